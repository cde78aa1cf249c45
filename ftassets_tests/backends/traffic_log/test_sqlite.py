"""The log in one SQLite file: its schema, and what its files hold."""

import random
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ftassets.backends.traffic_log import sqlite as embedded
from ftassets.backends.traffic_log.base import Feedback, StillReadable
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.domain.traffic.lapses import Pair
from ftassets.testing.contracts.traffic_log import exchange


def bytes_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_files_hold_no_text_that_was_forgotten(tmp_path: Path) -> None:
    log, chance = SqliteTrafficLog(tmp_path / "traffic.db"), random.Random(2)
    for start in range(0, 1500, 50):  # rows of all sizes in random order of ids: pages are split while it grows
        rows = []
        for number in range(start, start + 50):
            user = chance.choice("ab")
            text = f"{'forget me' if user == 'a' else 'keep me'} {number} " * chance.choice([1, 5, 50, 300])
            rows.append(exchange(number, id=f"{chance.random()}", user=user, prompt=text, messages=text, answer=text))
        log.append(rows)
        for row in rows[::2]:
            log.add_feedback(Feedback(row.id, 1.0, None, row.prompt))
    assert b"forget me" in bytes_on_disk(tmp_path)
    log.forget(user="a")
    assert b"forget me" not in bytes_on_disk(tmp_path)
    assert b"keep me" in bytes_on_disk(tmp_path)


def test_reader_that_holds_forgotten_text_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "BUSY_SECONDS", 0.1)
    log = SqliteTrafficLog(tmp_path / "traffic.db")
    log.append([exchange(1, prompt="forget me")])
    reader = sqlite3.connect(tmp_path / "traffic.db")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM exchange").fetchall()
    with pytest.raises(StillReadable, match="once more"):
        log.forget(request_ids=["voice-1"])
    assert (log.count("voice"), log.forgotten()) == (0, {"voice-1"})
    reader.close()
    log.forget(request_ids=["voice-1"])
    assert b"forget me" not in bytes_on_disk(tmp_path)


def test_a_log_of_an_earlier_release_shrinks_once_it_was_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "traffic.db"
    with sqlite3.connect(path) as connection:  # made without incremental vacuum
        connection.executescript(f"{embedded.SCHEMA} PRAGMA user_version = {embedded.SCHEMA_VERSION};")
    log = SqliteTrafficLog(path)
    log.append([exchange(n, answer=f"{n} " * 2000) for n in range(300)])
    full = log.size()
    assert log.remove("voice", {f"voice-{n}": 0 for n in range(200)}) == 200
    log.reclaim()
    kept = log.size()
    assert kept.bytes == full.bytes
    assert kept.free is not None
    assert kept.free > 0.5 * full.bytes, "it is used for new rows"
    log.forget(request_ids=["voice-299"])
    assert log.size().bytes < 0.5 * full.bytes
    log.remove("voice", {f"voice-{n}": 0 for n in range(250)})
    log.reclaim()
    assert log.size().bytes < 0.3 * full.bytes
    assert log.size().free == 0


def test_nothing_that_sensors_and_reports_ask_reads_a_whole_table(tmp_path: Path) -> None:
    log = SqliteTrafficLog(tmp_path / "traffic.db")
    log.append([exchange(1)])
    asked: list[str] = []
    connection = log._connection()
    connection.set_trace_callback(lambda query: asked.append(query.replace("Inf", "9e999")))
    list(log.stream("voice", 1.0, 9.0))
    list(log.stream("voice", 1.0, 9.0, "v1", answered=True))
    list(log.arrivals("voice", 1.0, 1.0))
    log.count("voice", 1.0, answered=True)
    log.outcomes("voice", ["v1", "v2"], 1.0)
    log.first_lapses("voice", Pair("v1", "v2"), 1.0, 86_400.0)
    log.lapse_counts("voice", "v1", 1.0, 9.0, {}, {"u"})
    log.ended("voice", "v1", 1.0, 9.0, 100)
    log.users("voice", "v1", 1.0, 3)
    log.time_of_newest("voice", "v1", 10, 1.0)
    log.reviewed("voice", 1.0)
    log.feedback_counts("voice", "v1", 1.0)
    log.feedback_by_user("voice", "v1", 1.0, 9.0, 3600.0, 9.0)
    log.feedback_ages("voice", 1.0, 9.0)
    log.corrected("voice", 1.0, 1.0)
    log.first_time("voice", 1.0)
    log.sampled("voice", 1.0, 9.0, 0.5)
    log.feedback_events(["voice-1"])
    connection.set_trace_callback(None)
    plans = {query: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")] for query in asked}
    assert len(plans) == 21
    for query, plan in plans.items():
        assert not [step for step in plan if step.startswith(("SCAN exchange", "SCAN e", "SCAN feedback", "SCAN f ", "SCAN n"))], (
            query,
            plan,
        )
        used = [step for step in plan if "USING INDEX" in step or "USING COVERING INDEX" in step]
        assert used, plan
        assert all(re.search(r"\((loop|request_id|id)=\?", step) for step in used), (query, plan)
    [outcomes] = [plan for query, plan in plans.items() if "GROUP BY version, weight, status" in query]
    assert "SEARCH exchange USING COVERING INDEX exchange_by_version" in outcomes[0], "texts are not read to count outcomes"


def test_a_check_of_a_log_that_is_not_there_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "home" / "traffic.db"
    assert SqliteTrafficLog(path).check().endswith("the first request makes it")
    assert list(tmp_path.iterdir()) == []


_UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
from ftassets.errors import FtassetsError
from ftassets.domain.traffic.lapses import Pair
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
log = SqliteTrafficLog(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    print(log.check())
except FtassetsError as error:
    print("failed:", error)
"""


@pytest.mark.parametrize("used", [False, True])
def test_a_check_fails_where_nothing_more_can_be_written(tmp_path: Path, used: bool) -> None:
    path = tmp_path / "traffic.db"
    if used:
        SqliteTrafficLog(path).append([exchange(1)])

    def said(limit: int) -> str:
        command = [sys.executable, "-c", _UNDER_A_LIMIT, str(path), str(limit)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert said(10**9).startswith("SQLite file")
    assert said(8192).startswith(f"failed: the traffic log {path} cannot be ")
    if used:
        assert SqliteTrafficLog(path).exchanges("voice") == [exchange(1)]


def test_a_log_that_was_moved_away_is_begun_anew_and_not_written_where_nobody_reads(tmp_path: Path) -> None:
    path = tmp_path / "traffic.db"
    log = SqliteTrafficLog(path)
    log.append([exchange(1)])
    for name in ("traffic.db", "traffic.db-wal", "traffic.db-shm"):
        (tmp_path / name).rename(tmp_path / f"away-{name}")
    log.append([exchange(2)])
    assert SqliteTrafficLog(path).exchanges("voice") == log.exchanges("voice") == [exchange(2)]
