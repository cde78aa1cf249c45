"""A real Ray cluster on this machine, of two nodes or more, for tests and measurements."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

_STORE = 80_000_000  # bytes of a node's object store; the least that Ray takes is 75 MB
_UP_WITHIN = 60.0  # s


class RayCluster:
    """Its nodes, each with all its processes below one; `address` is what a loop file names."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder, self._nodes = folder, list[subprocess.Popen[bytes]]()
        self._environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **variables}
        self._port, self._client = _free_ports(2)
        self.address = f"ray://127.0.0.1:{self._client}"

    def start_head(self) -> None:
        """Start the head, which works too, and wait until clients may connect."""
        workers = f"--min-worker-port=0 --max-worker-port=0 --ray-client-server-port={self._client}"  # else a range that may be taken
        self._start(f"--head --port={self._port} --include-dashboard=false --temp-dir={self._folder} {workers}")

    def start_node(self) -> None:
        """Start one more node."""
        self._start(f"--address=127.0.0.1:{self._port} --min-worker-port=0 --max-worker-port=0")

    def workers(self) -> list[psutil.Process]:
        """The processes that train now."""
        every = [process for node in self._nodes if node.poll() is None for process in psutil.Process(node.pid).children(recursive=True)]
        return [process for process in every if "RayTrainWorker" in _name(process)]

    def kill_head(self) -> None:
        """Kill the head's processes and with them the cluster, as when its machine is lost."""
        self._kill(self._nodes.pop(0))

    def end(self) -> None:
        """Kill what is left."""
        while self._nodes:
            self._kill(self._nodes.pop())

    def _start(self, arguments: str) -> None:
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1", f"--object-store-memory={_STORE}"]
        log = self._folder.parent / f"ray-node-{len(self._nodes)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([*command, *arguments.split()], stdout=out, stderr=out, env=self._environment)
        self._nodes.append(process)
        until = time.monotonic() + _UP_WITHIN
        while b"Ray runtime started" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"ray start did not come up: {log.read_text()[-2000:]}")
            time.sleep(0.1)

    def _kill(self, node: subprocess.Popen[bytes]) -> None:
        below = psutil.Process(node.pid).children(recursive=True) if node.poll() is None else []
        node.kill()
        node.wait()
        for process in below:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(below, timeout=10)


@contextmanager
def ray_cluster(folder: Path, nodes: int = 2, variables: Mapping[str, str] | None = None) -> Iterator[RayCluster]:
    """A cluster with one CPU a node, all of whose processes have ended after the block.

    `folder` has a short path, as Ray's sockets are below it. `variables`: more environment variables of its processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cluster = RayCluster(folder / "ray", variables or {})
    try:
        cluster.start_head()
        for _ in range(nodes - 1):
            cluster.start_node()
        yield cluster
    finally:
        cluster.end()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
