"""Dagster's storage of a home, for processes that Dagster did not start."""

import os

import dagster as dg

from ftassets.config.home import Home
from ftassets.processes.dagster_home import dagster_home


def open_instance(home: Home) -> dg.DagsterInstance:
    """The instance whose runs and events lie below the home, as `ftassets up` sets it up; closed by the caller."""
    os.environ["FTASSETS_DAGSTER_STORAGE"] = str(home.dagster_storage)
    return dg.DagsterInstance.from_config(str(dagster_home(home)))
