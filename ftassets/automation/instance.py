"""Dagster's storage of a home, for processes that Dagster did not start."""

import os
from pathlib import Path

import dagster as dg

import ftassets
from ftassets.config.home import Home


def open_instance(home: Home) -> dg.DagsterInstance:
    """The instance whose runs and events lie below the home, as `ftassets up` sets it up; closed by the caller."""
    os.environ.setdefault("DAGSTER_HOME", str(Path(ftassets.__file__).parents[1]))
    os.environ["FTASSETS_DAGSTER_STORAGE"] = str(home.dagster_storage)
    return dg.DagsterInstance.get()
