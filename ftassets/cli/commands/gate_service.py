"""The gate service of a home, until it is stopped."""

import logging
import os
import socket

from ftassets.config.home import Home
from ftassets.config.loop_files import read_loops
from ftassets.config.profiles import backend
from ftassets.errors import ConfigurationError, InvalidInput
from ftassets.gate_service.admission import job_for
from ftassets.gate_service.app import gate_app
from ftassets.gate_service.turns import KEY, Turns, run_process

SHORTEST_KEY = 16  # characters


def run(home: Home, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises ConfigurationError without a key in FTASSETS_GATE_KEY, or on a bad loop file or profile."""
    import uvicorn

    key = the_key()
    loops, artifacts, store = read_loops(), backend(home, "artifacts"), backend(home, "dataset_store")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    app = gate_app(key, lambda request: job_for(request, home, artifacts, loops, store), Turns(run_process))
    config = uvicorn.Config(app, lifespan="off", server_header=False, access_log=False, timeout_graceful_shutdown=5)
    with _listening(host, port) as sock:
        uvicorn.Server(config).run(sockets=[sock])


def _listening(host: str, port: int) -> socket.socket:
    """A socket that accepts connections. Raises InvalidInput when the address cannot be used."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    except OSError as error:
        raise InvalidInput(f"port {port} on {host} cannot be used ({error.strerror}): stop what uses it or choose another") from error


def the_key() -> str:
    """The key clients must have. Raises ConfigurationError when there is none, or one that could be guessed."""
    key = os.environ.get(KEY, "").strip()
    if not key:
        raise ConfigurationError(
            f'the gate service needs a key: export {KEY}="$(openssl rand -hex 32)" and give it to the pipelines that ask'
        )
    if len(key) < SHORTEST_KEY or not key.isascii():
        raise ConfigurationError(f"{KEY} must be {SHORTEST_KEY} or more ASCII characters: openssl rand -hex 32 makes one")
    return key
