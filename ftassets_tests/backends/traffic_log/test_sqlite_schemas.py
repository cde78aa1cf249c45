"""Files of earlier schemas, and of a later one."""

import sqlite3
from pathlib import Path

import pytest

from ftassets.backends.traffic_log.base import LogUnusable
from ftassets.backends.traffic_log.sqlite import SCHEMA_VERSION, SqliteTrafficLog
from ftassets.testing.contracts.traffic_log import exchange

SAMPLES = Path(__file__).parents[2] / "samples"
FILES = {
    1: SAMPLES / "v1" / "traffic_1.sql",
    2: SAMPLES / "v1" / "home" / "traffic.sql",
    3: SAMPLES / "v2" / "home" / "traffic.sql",
    4: SAMPLES / "v3" / "traffic_4.sql",
    5: SAMPLES / "v3" / "traffic_5.sql",
    6: SAMPLES / "v3" / "traffic_6.sql",
    7: SAMPLES / "v3" / "traffic_7.sql",
    8: SAMPLES / "v3" / "traffic_8.sql",
    9: SAMPLES / "v3" / "traffic_9.sql",
    10: SAMPLES / "v3" / "traffic_10.sql",
    11: SAMPLES / "v3" / "traffic_11.sql",
    12: SAMPLES / "v3" / "home" / "traffic.sql",
}


def database(folder: Path, version: int) -> Path:
    """A file of this schema, as a release that wrote it left it."""
    path = folder / "traffic.db"
    connection = sqlite3.connect(path)
    connection.executescript(FILES[version].read_text())
    assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    connection.close()
    return path


def columns(path: Path) -> dict[str, list[tuple[str, str]]]:
    connection = sqlite3.connect(path)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: [(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({name})")] for name in names}
    connection.close()
    return found


def indexes(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")}
    connection.close()
    return found


def test_there_is_a_sample_of_every_schema() -> None:
    assert sorted(FILES) == list(range(1, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("version", FILES)
def test_a_file_of_an_earlier_schema_is_read_and_written(tmp_path: Path, version: int) -> None:
    path = database(tmp_path, version)
    log = SqliteTrafficLog(path)
    rows = log.exchanges("support")
    assert [row.weight for row in rows] == [100.0, 100.0, 100.0, 80.0]
    assert [(item.feedback.rating, item.feedback.correction) for item in log.reviewed("support")] == [
        ("up", None), (None, '{"intent": "open"}'),
    ]  # fmt: skip
    said = [item.feedback for item in log.reviewed("support")]
    assert {each.comment for each in said} == ({"opens the wrong door", None} if version >= 5 else {None})
    assert {each.tags for each in said} == ({"late, rude", None} if version >= 6 else {None})
    versions = sorted({row.version for row in rows})
    judged = version >= 4  # and none of them is a tool call
    assert sorted((o.count, o.judged, o.failed) for o in log.outcomes("support", versions)) == [(1, judged, judged), (3, judged, judged)]
    assert len(log.corrected("support")) == sum(log.feedback_counts("support", version).corrected for version in versions) == 1
    [(name, stored)] = log.corrected("support").items()
    assert stored == pytest.approx(log.feedback_on([name])[name].at, abs=1), "what an earlier release stored came when it was said"
    arrived = list(log.arrivals("support"))
    assert [each.exchange for each in arrived] == rows
    assert {each.stored_at > 0 for each in arrived} == {version >= 7}
    log.append([exchange(1)])
    assert log.forget(request_ids=["voice-1"]) == ["voice-1"]
    assert SqliteTrafficLog(path).exchanges("support") == rows, "once is enough"
    new = SqliteTrafficLog(tmp_path / "new.db")
    new.append([exchange(1)])
    assert columns(path) == columns(tmp_path / "new.db")
    assert indexes(path) == indexes(tmp_path / "new.db")


def test_a_file_of_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = database(tmp_path, SCHEMA_VERSION)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(LogUnusable, match=f"has schema {SCHEMA_VERSION + 1}, this release reads {SCHEMA_VERSION}.*upgrade"):
        SqliteTrafficLog(path).count("support")
