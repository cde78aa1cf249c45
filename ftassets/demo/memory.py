"""How much memory all processes of a home use together."""

import os
import threading

import psutil


class MemoryWatch:
    """Samples the proportional set size (shared pages counted once) of all processes of a home; `peak_mb` is the highest sum."""

    def __init__(self, home: str, every: float = 10.0) -> None:
        self.peak_mb = 0.0
        self._home = home
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.peak_mb = max(self.peak_mb, self._sample() / 1e6)

    def _sample(self) -> float:
        total = 0
        for process in psutil.process_iter():
            try:
                if process.pid == os.getpid() or process.environ().get("FTASSETS_HOME") == self._home:
                    total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return total
