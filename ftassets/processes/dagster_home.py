"""Where Dagster finds its configuration: DAGSTER_HOME, else a copy of the package's dagster.yaml below the home."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ftassets.config.home import Home
from ftassets.durable import write_durably
from ftassets.errors import ConfigurationError

CONFIGURATION = Path(__file__).parents[1] / "dagster.yaml"
_WRITTEN = "# Written by `ftassets up` from the package. For settings of your own set DAGSTER_HOME to a folder with your dagster.yaml.\n"
_OPEN = """
import sys, dagster
from dagster._core.run_coordinator import QueuedRunCoordinator
try:
    with dagster.DagsterInstance.get() as instance:
        print(isinstance(instance.run_coordinator, QueuedRunCoordinator))
except Exception as error:
    sys.exit(" ".join(str(error).split())[:500])
"""


def dagster_home_named() -> Path | None:
    """The folder DAGSTER_HOME names."""
    named = os.environ.get("DAGSTER_HOME")
    return Path(named) if named else None


def dagster_home(home: Home) -> Path:
    """The folder of dagster.yaml. The package's own folder would not do: Dagster writes next to the file."""
    if named := dagster_home_named():
        return named
    text = _WRITTEN + CONFIGURATION.read_text(encoding="utf-8")
    path = home.dagster_storage / CONFIGURATION.name
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_durably(path, text)
    return home.dagster_storage


def make_storage(environment: Mapping[str, str]) -> bool:
    """Have one process make Dagster's tables: several that start at once and find none damage the database, for Dagster has no lock there.

    Returns whether Dagster has a queue for runs. Raises ConfigurationError with Dagster's last words when its storage cannot be opened.
    """
    command = [sys.executable, "-P", "-c", _OPEN]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ConfigurationError(f"Dagster's storage cannot be opened: {said[-1]}. Check {environment['DAGSTER_HOME']}/dagster.yaml")
    return done.stdout.split()[-1:] == ["True"]
