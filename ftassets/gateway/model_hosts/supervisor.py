"""Model servers as programs of the supervisord that `ftassets up` runs."""

import asyncio
import os
import random
import re
import socket
import threading
from pathlib import Path
from xmlrpc.client import Fault

from ftassets.gateway.model_hosts.base import HostError
from ftassets.gateway.model_hosts.transformers_serve import CONTEXT
from ftassets.processes.supervisor_client import call
from ftassets.processes.supervisord_conf import program, supervisor_socket

_ALIVE = {"STARTING", "RUNNING", "BACKOFF"}
_NAME = re.compile(r"model_([0-9a-f]{64})_(\d+)")
_PORTS = range(20000, 30000)  # below the range the system gives to outgoing connections, so a restart finds its port free


class SupervisorHost:
    """One `transformers serve` a version, as a program of the supervisord that `ftassets up` runs for this home.

    The servers belong to supervisord: a gateway that comes back finds them by the names of their programs.
    """

    context = CONTEXT

    def __init__(self, processes: Path) -> None:
        self._processes = processes
        self._lock = threading.Lock()  # the configuration is re-read as a whole

    async def start(self, digest: str, folder: Path) -> None:
        await asyncio.to_thread(self._start, digest, folder)

    async def stop(self, digest: str) -> None:
        await asyncio.to_thread(self._stop, digest)

    async def running(self) -> dict[str, str]:
        programs = await asyncio.to_thread(self._programs)
        return {digest: f"http://127.0.0.1:{port}" for digest, (_, port, state) in programs.items() if state in _ALIVE}

    async def failure(self, digest: str) -> str | None:
        name, _, state = (await asyncio.to_thread(self._programs)).get(digest, ("", 0, "RUNNING"))
        return None if state in _ALIVE else f"its server ended ({state.lower()}): {self._log_end(name)}"

    def _start(self, digest: str, folder: Path) -> None:
        self._stop(digest)
        port = _free_port()
        name = f"model_{digest}_{port}"
        command = [
            "-m",
            "ftassets.gateway.model_hosts.transformers_serve",
            os.path.relpath(folder, self._processes),  # where supervisord runs its programs
            "--port",
            str(port),
            "--cache",
            "hf-cache",
        ]
        # a version that fails its check (exit code 3) is not tried again and again; a server that crashes is
        text = program(name, command, autorestart="unexpected", exitcodes=3, startretries=3, stopsignal="KILL")
        with self._lock:
            (self._processes / "programs" / f"{name}.conf").write_text(text)
            self._call("reloadConfig")
            self._call("addProcessGroup", name)

    def _stop(self, digest: str) -> None:
        with self._lock:
            for group in {info["group"] for info in self._infos() if info["group"].startswith(f"model_{digest}_")}:
                self._call("stopProcessGroup", group)
                self._call("removeProcessGroup", group)
            for path in (self._processes / "programs").glob(f"model_{digest}_*.conf"):
                path.unlink()

    def _programs(self) -> dict[str, tuple[str, int, str]]:
        """Program name, port and supervisor's state of every version."""
        matches = [(_NAME.fullmatch(info["group"]), info["statename"]) for info in self._infos()]
        return {match[1]: (match[0], int(match[2]), state) for match, state in matches if match}

    def _infos(self) -> list[dict]:
        return self._call("getAllProcessInfo")  # type: ignore[return-value]

    def _call(self, method: str, *args: object) -> object:
        try:
            return call(self._processes, method, *args)
        except Fault as error:
            raise HostError(f"supervisord refused {method}{args}: {error.faultString}") from error
        except OSError as error:
            path = supervisor_socket(self._processes)
            raise HostError(f"supervisord is not reachable at {path} ({error}): start it with `ftassets up`") from error

    def _log_end(self, name: str) -> str:
        path = self._processes / "logs" / f"{name}.log"
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        return " / ".join(lines[-3:]) or f"nothing in {path.name}"


def _free_port() -> int:
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise HostError(f"no free port between {_PORTS.start} and {_PORTS.stop - 1}")
