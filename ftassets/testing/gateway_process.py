"""`python -m ftassets.testing.gateway_process URLS PORT [LOOP [SETTINGS]]`: a gateway with engines elsewhere, for tests that kill it.

SIGUSR1 has it say how many tasks it has.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from ftassets.config.home import Home
from ftassets.gateway.event_loop import run
from ftassets.gateway.server import serve
from ftassets.testing.releases import loop_config


class ElsewhereHost:
    """Servers that somebody else runs: `urls` by digest."""

    context = 4096

    def __init__(self, urls: dict[str, str]) -> None:
        self._urls = urls

    async def start(self, digest: str, folder: Path) -> None:
        """They run already."""

    async def stop(self, digest: str) -> None:
        """They go on."""

    async def running(self) -> dict[str, str]:
        return self._urls

    async def failure(self, digest: str) -> str | None:
        return None


async def main() -> None:
    stop = asyncio.Event()
    here = asyncio.get_running_loop()
    here.add_signal_handler(signal.SIGTERM, stop.set)
    here.add_signal_handler(signal.SIGUSR1, lambda: print(len(asyncio.all_tasks(here)), flush=True))
    urls, port, loop = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "support"
    settings = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    await serve(Home.from_env(), {loop: loop_config(loop, **settings)}, ElsewhereHost(urls), stop, port=port)


if __name__ == "__main__":
    run(main())
