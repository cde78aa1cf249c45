"""One model server outside of the gateway: the program that serves, for answers that are decoded otherwise than served ones."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from ftassets.domain.release.decoding import first_request
from ftassets.gateway.model_hosts.base import HostError
from ftassets.workers.process import end_with_parent

READY_WITHIN = 600.0  # seconds: it reads and checks every byte of the version first


@contextmanager
def model_server(folder: Path, temperature: float, own: Mapping[str, Any]) -> Iterator[str]:
    """URL of a server of the version in `folder` that decodes at a temperature; it ends with the block. Raises HostError."""
    with tempfile.TemporaryDirectory(prefix="ftassets-server-") as cache, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        log = Path(cache) / "server.log"
        command = [sys.executable, "-m", "ftassets.gateway.model_hosts.transformers_serve", str(folder)]
        with log.open("wb") as out:
            server = subprocess.Popen(
                [*command, "--port", str(port), "--cache", f"{cache}/hub"], stdout=out, stderr=subprocess.STDOUT, preexec_fn=end_with_parent
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(server, url, log)
            answer = requests.post(f"{url}/v1/chat/completions", json=first_request(temperature, own), timeout=READY_WITHIN)
            if not answer.ok:
                raise HostError(
                    f"the server of {folder.name[:12]} answered its first request with {answer.status_code}: {answer.text[:300]}"
                )
            yield url
        finally:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        if server.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise HostError(f"the model server ended with exit code {server.returncode}: {' / '.join(lines[-3:]) or 'it wrote nothing'}")
        try:
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    raise HostError(f"the model server was not ready within {READY_WITHIN:.0f} s")
