"""The gate service of a home, until it is stopped."""

import contextlib
import logging
import os
import socket

from ftassets.config.home import Home
from ftassets.config.loops_folder import loops_folder
from ftassets.config.profiles import backend
from ftassets.errors import ConfigurationError
from ftassets.gate_service.admission import job_for
from ftassets.gate_service.app import gate_app
from ftassets.gate_service.turns import KEY, Turns, run_process

SHORTEST_KEY = 16  # characters
_CONNECTIONS = 200
log = logging.getLogger(__name__)


def run(home: Home, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises ConfigurationError without a key in FTASSETS_GATE_KEY, without a loop, on a bad profile, and
    when it cannot listen there."""
    import uvicorn

    from ftassets.gateway.connections import Limits, configured, tell_dead_peers

    key = the_key()
    found, artifacts, store = loops_folder(home), backend(home, "artifacts"), backend(home, "dataset_store")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for file in found.broken:
        log.error("its loops are not evaluated: %s", file.problem)
    app = gate_app(key, lambda request: job_for(request, home, artifacts, found.loops, store), Turns(run_process))
    limits = Limits(connections=_CONNECTIONS, drain=0.0)
    with contextlib.closing(_listening(host, port)) as sock:
        tell_dead_peers(sock, limits)
        uvicorn.Server(configured(app, limits)).run(sockets=[sock])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"{host} is not an address of this machine ({_why(error)}): choose another --host") from error
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        message = f"port {port} on {host} cannot be used ({_why(error)}): stop what uses it, or choose another --port or --host"
        raise ConfigurationError(message) from error
    return sock


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def the_key() -> str:
    """The key clients must have. Raises ConfigurationError when it is missing or could be guessed."""
    key = os.environ.get(KEY, "").strip()
    if not key:
        raise ConfigurationError(
            f'the gate service needs a key: export {KEY}="$(openssl rand -hex 32)" and give it to the pipelines that ask'
        )
    if len(key) < SHORTEST_KEY or not key.isascii():
        raise ConfigurationError(f"{KEY} must be {SHORTEST_KEY} or more ASCII characters: openssl rand -hex 32 makes one")
    return key
