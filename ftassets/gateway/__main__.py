"""`python -m ftassets.gateway`: the gateway of the home that FTASSETS_HOME names."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.gateway.__main__")

import argparse
import asyncio
import logging
import os
import signal
from pathlib import Path

from ftassets.backends.control.kept_loops import keep, kept_loops
from ftassets.config import profiles
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loops_folder import loops_folder
from ftassets.config.version_engine import without_room
from ftassets.errors import ConfigurationError
from ftassets.gateway.event_loop import run
from ftassets.gateway.json_log import FORMAT, log_to_stderr
from ftassets.gateway.model_hosts.supervisor import SupervisorHost
from ftassets.gateway.server import serve

log = logging.getLogger(__name__)
TLS_CERT, TLS_KEY = "FTASSETS_TLS_CERT", "FTASSETS_TLS_KEY"


async def _run(args: argparse.Namespace) -> None:
    home = Home.from_env()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    loops, held = served_loops(home)
    host = SupervisorHost(home.processes, loops)
    await serve(
        home,
        loops,
        host,
        stop,
        held=held,
        bind=args.host,
        port=args.port,
        admin_port=args.admin_port,
        certificate=args.tls_cert,
        key=args.tls_key,
    )


def served_loops(home: Home) -> tuple[dict[str, LoopConfig], dict[str, str]]:
    """The loops to serve, and why those among them are held whose file broke since a gateway served them. Raises ConfigurationError."""
    found, control = loops_folder(home), profiles.control(home)
    for name, path in found.paths.items():
        try:
            keep(control, name, path)
        except OSError as error:
            log.error("the file of %s is not kept (%s): should it break, the next gateway does not serve the loop", name, error)
    held = kept_loops(control, found.broken, found.loops)
    for file in found.broken:  # the other loops are served: their users have no part in it
        served = [name for name, each in held.items() if each.problem == file.problem]
        log.error("%s: %s", f"served as before: {', '.join(served)}" if served else "its loops are not served", file.problem)
    if not found.loops and not held:
        raise ConfigurationError(found.broken[0].problem)
    loops = found.loops | {name: each.config for name, each in held.items()}
    crowded = without_room(loops)
    for why in sorted(set(crowded.values())):
        log.error("nothing new gets traffic on a server without room: %s", why)
    return loops, crowded | {name: each.problem for name, each in held.items()}


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m ftassets.gateway", description="Gateway and admin API.")
    parser.add_argument("--host", default="127.0.0.1", help="address clients reach; the admin API stays on loopback")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--admin-port", type=int, required=True)
    parser.add_argument("--tls-cert", type=Path, default=os.environ.get(TLS_CERT) or None, help="certificate chain: clients then use https")
    parser.add_argument("--tls-key", type=Path, default=os.environ.get(TLS_KEY) or None, help="its private key, without a password")
    parser.add_argument("--log-format", choices=["text", "json"], default=os.environ.get(FORMAT) or "text")
    args = parser.parse_args()
    log_to_stderr(args.log_format == "json")
    run(_run(args))
    return 0
