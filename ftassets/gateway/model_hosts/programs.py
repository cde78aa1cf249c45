"""Servers as programs of the supervisord that `ftassets up` runs: restarted when they crash, until given up; their logs are kept."""

import random
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xmlrpc.client import Fault

from ftassets.gateway.model_hosts.base import HostError
from ftassets.processes.supervisor_client import call
from ftassets.processes.supervisord_conf import program, supervisor_socket

_ALIVE = {"STARTING", "RUNNING", "BACKOFF"}
_PORTS = range(20000, 30000)  # below the range the system gives to outgoing connections, so a restart finds its port free
DAMAGED = 3  # exit code of a server whose files are not as stated: it is not tried again and again; one that crashes is


@dataclass(frozen=True)
class Program:
    """One server: the name of its program, where it listens, and whether supervisord runs it or is about to."""

    name: str
    url: str
    state: str

    @property
    def alive(self) -> bool:
        return self.state in _ALIVE


class Programs:
    """Servers of one kind, each under a name of its own (64 hex digits).

    They belong to supervisord: a gateway that comes back finds them by the names of their programs.
    """

    def __init__(self, processes: Path, kind: str) -> None:
        self._processes = processes
        self._kind = kind
        self._pattern = re.compile(rf"{kind}_([0-9a-f]{{64}})_(\d+)")
        self._lock = threading.Lock()  # the configuration is re-read as a whole

    def start(self, name: str, arguments: Callable[[Path, int], Sequence[str]]) -> None:
        """Start the server anew; `arguments` are those of our interpreter, for the folder it runs in and its port. Raises HostError."""
        self.stop(name)
        port = _free_port()
        full = f"{self._kind}_{name}_{port}"
        command = arguments(self._processes, port)
        text = program(full, command, autorestart="unexpected", exitcodes=DAMAGED, startretries=3, stopsignal="KILL")
        with self._lock:
            (self._processes / "programs" / f"{full}.conf").write_text(text)
            self._call("reloadConfig")
            self._call("addProcessGroup", full)

    def stop(self, name: str) -> None:
        """End the server; does nothing without one. Raises HostError."""
        with self._lock:
            for group in {info["group"] for info in self._infos() if info["group"].startswith(f"{self._kind}_{name}_")}:
                self._call("stopProcessGroup", group)
                self._call("removeProcessGroup", group)
            for path in (self._processes / "programs").glob(f"{self._kind}_{name}_*.conf"):
                path.unlink()

    def all(self) -> dict[str, Program]:
        """Every server that was started and not stopped, by name. Raises HostError."""
        found = [(self._pattern.fullmatch(info["group"]), info["statename"]) for info in self._infos()]
        return {match[1]: Program(match[0], f"http://127.0.0.1:{match[2]}", state) for match, state in found if match}

    def failure(self, name: str) -> str | None:
        """Why a server was given up, with the end of its log; None when it was not. Raises HostError."""
        server = self.all().get(name)
        return None if server is None or server.alive else f"its server ended ({server.state.lower()}): {self._log_end(server.name)}"

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
