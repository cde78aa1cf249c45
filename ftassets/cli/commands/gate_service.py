"""The gate service of a home, until it is stopped."""

import logging
import os

from ftassets.config.home import Home
from ftassets.config.loop_files import read_loops
from ftassets.config.profiles import backend
from ftassets.errors import ConfigurationError
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
    uvicorn.run(app, host=host, port=port, lifespan="off", server_header=False, access_log=False, timeout_graceful_shutdown=5)


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
