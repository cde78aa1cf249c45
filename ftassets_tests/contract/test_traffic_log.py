"""The contract of a traffic log, on every one we have."""

from functools import partial
from pathlib import Path

import pytest

from ftassets.backends.traffic_log.postgres import PostgresTrafficLog
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.testing.contracts.traffic_log import OpenLog, TrafficLogContract
from ftassets.testing.postgres_server import PostgresServer


class TestSqlite(TrafficLogContract):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> OpenLog:
        return partial(SqliteTrafficLog, tmp_path / "state" / "traffic.db")


class TestPostgres(TrafficLogContract):
    @pytest.fixture
    def open_log(self, postgres: PostgresServer) -> OpenLog:
        return partial(PostgresTrafficLog, postgres.account())
