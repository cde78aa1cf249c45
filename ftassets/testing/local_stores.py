"""Stores of one machine whatever the profile is, for homes that are thrown away."""

from collections.abc import Callable

from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home


def local_stores(home: Home, clock: Callable[[], float]) -> tuple[TrafficLog, DatasetStore]:
    """A traffic log in which rows arrive at the time of a clock (epoch seconds), and a dataset store."""
    return SqliteTrafficLog(home.traffic_db, clock=clock), GitDatasetStore(home.datasets)
