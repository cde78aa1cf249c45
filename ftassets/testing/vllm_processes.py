"""Real vLLM servers as processes of a test, in place of supervisord's programs."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftassets.gateway.model_hosts.programs import Program
from ftassets.workers.process import end_with_parent


class VllmProcesses:
    """One process a server; `folder` gets their logs. FTASSETS_VLLM names vLLM's command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[str, tuple[subprocess.Popen[bytes], int]] = {}

    def start(self, name: str, arguments: Callable[[Path, int], Any]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with (self._folder / f"{name}.log").open("wb") as out:
            command = [sys.executable, *arguments(self._folder, port)]
            server = subprocess.Popen(command, cwd=self._folder, stdout=out, stderr=subprocess.STDOUT, preexec_fn=end_with_parent)
        self._servers[name] = (server, port)

    def stop(self, name: str) -> None:
        if found := self._servers.pop(name, None):
            found[0].terminate()
            found[0].wait(30)

    def all(self) -> dict[str, Program]:
        return {
            name: Program(name, f"http://127.0.0.1:{port}", "RUNNING" if server.poll() is None else "EXITED")
            for name, (server, port) in self._servers.items()
        }

    def failure(self, name: str) -> str | None:
        found = self._servers.get(name)
        if found is None or found[0].poll() is None:
            return None
        lines = (self._folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return f"its server ended ({found[0].returncode}): {' / '.join(lines[-3:])}"
