"""Where Dagster finds its configuration: DAGSTER_HOME, else a copy of the package's dagster.yaml below the home."""

import os
from pathlib import Path

from ftassets.config.home import Home
from ftassets.durable import write_durably

CONFIGURATION = Path(__file__).parents[1] / "dagster.yaml"
_WRITTEN = "# Written by `ftassets up` from the package. For settings of your own set DAGSTER_HOME to a folder with your dagster.yaml.\n"


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
