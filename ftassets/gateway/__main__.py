"""`python -m ftassets.gateway`: the gateway of the home that FTASSETS_HOME names."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.gateway.__main__")

import argparse
import asyncio
import logging
import signal

import uvicorn

from ftassets.config.home import Home
from ftassets.config.loops_folder import sound_loops_folder
from ftassets.gateway.model_hosts.supervisor import SupervisorHost
from ftassets.gateway.server import serve


async def _run(args: argparse.Namespace) -> None:
    home = Home.from_env()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host = SupervisorHost(home.processes)
    found = sound_loops_folder(home)
    for file in found.broken:  # the other loops are served: their users have no part in it
        logging.getLogger(__name__).warning("its loops are not served: %s", file.problem)
    await serve(home, found.loops, host, stop, bind=args.host, port=args.port, admin_port=args.admin_port)


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m ftassets.gateway", description="Gateway and admin API.")
    parser.add_argument("--host", default="127.0.0.1", help="address clients reach; the admin API stays on loopback")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--admin-port", type=int, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
        runner.run(_run(args))
    return 0
