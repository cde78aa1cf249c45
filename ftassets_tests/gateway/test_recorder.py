"""What the writer of the log does when the log cannot be written; what it does otherwise is in test_chat.py and test_kill.py."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ftassets.backends.traffic_log.base import Exchange, Feedback, LogUnreachable, UnknownAnswer
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.gateway import recorder as recorder_module
from ftassets.gateway.recorder import NotRecorded, Recorder
from ftassets.testing.contracts.traffic_log import exchange
from ftassets_tests.gateway.conftest import Running


class Away(SqliteTrafficLog):
    """A log whose server is away, as long as `away` says."""

    away = True
    tries = 0

    def append(self, exchanges: Sequence[Exchange]) -> int:
        self.tries += 1
        if self.away:
            raise LogUnreachable("no answer")
        return super().append(exchanges)


def test_a_server_that_is_away_is_not_asked_again_for_each_row(tmp_path: Path) -> None:
    log = Away(tmp_path / "traffic.db")
    recorder = Recorder(log)
    rows = [exchange(1), Feedback("voice-1", 1.0, "up", None), exchange(2)]
    assert [str(error) for error in recorder._write(rows)] == ["no answer"] * 3
    assert log.tries == 1
    log.away = False
    assert recorder._write(rows) == [None] * 3
    recorder.close()


def test_a_row_that_cannot_be_stored_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    log = SqliteTrafficLog(tmp_path / "traffic.db")
    recorder = Recorder(log)
    first, bad, last = recorder._write([exchange(1), exchange(2, answer=None), exchange(3)])
    recorder.close()
    assert (first, last) == (None, None)
    assert "NOT NULL" in str(bad)
    assert [row.id for row in log.exchanges("voice")] == ["voice-1", "voice-3"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection writes, as `VACUUM` does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_a_locked_log_is_waited_for_once_and_not_once_a_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = SqliteTrafficLog(tmp_path / "traffic.db", patience=0.3)
    log.append([exchange(0)])
    recorder = Recorder(log)
    rows = [*(exchange(n) for n in range(1, 6)), *[Feedback("voice-0", 1.0, "up", None)] * 5]
    with locked(tmp_path / "traffic.db"):
        began = time.monotonic()
        errors = recorder._write(rows)
        feedback = recorder._write(rows[5:])
        took = time.monotonic() - began
        recorder_module._report(errors)
    recorder.close()
    assert [type(error) for error in errors + feedback] == [LogUnreachable] * 15
    assert 0.5 < took < 1.2, "one wait for either batch"
    assert "database is locked" in str(errors[0])
    assert [record.message.split(":")[0] for record in caplog.records] == ["10 rows could not be stored"]
    assert recorder._write(rows) == [None] * 10


def test_a_full_disk_fails_all_rows_at_once(tmp_path: Path) -> None:
    log = SqliteTrafficLog(tmp_path / "traffic.db")
    log.append([exchange(0)])
    pages = log._connection().execute("PRAGMA page_count").fetchone()[0]
    log._connection().execute(f"PRAGMA max_page_count = {pages + 1}")
    recorder = Recorder(log)
    errors = recorder._write([exchange(n, answer="x" * 100_000) for n in (1, 2)])
    recorder.close()
    assert [str(error) for error in errors] == [str(errors[0])] * 2
    assert "free space on its disk" in str(errors[0])


class Slow(SqliteTrafficLog):
    """A log that takes no row until it may."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.may = threading.Event()

    def append(self, exchanges: Sequence[Exchange]) -> int:
        self.may.wait(10)
        return super().append(exchanges)


def test_a_row_has_a_deadline_the_queue_a_bound_and_what_waited_is_left_out(tmp_path: Path) -> None:
    log = Slow(tmp_path / "traffic.db")

    async def ask() -> list[str]:
        recorder = Recorder(log, waiting=2, deadline=0.3)
        first = asyncio.create_task(recorder.record(exchange(0)))
        await asyncio.sleep(0.1)  # its write has begun
        waiting = [asyncio.create_task(recorder.record(exchange(n))) for n in (1, 2)]
        await asyncio.sleep(0.05)
        with pytest.raises(NotRecorded, match="2 rows wait"):
            await recorder.record(exchange(3))
        said = [str(error) for error in await asyncio.gather(first, *waiting, return_exceptions=True)]
        log.may.set()
        await asyncio.sleep(0.2)
        await recorder.record(exchange(4))
        with pytest.raises(UnknownAnswer, match="no answer"):
            await recorder.record(Feedback("nobody's", 1.0, "up", None))
        await asyncio.to_thread(recorder.close)
        return said

    assert asyncio.run(ask()) == ["the traffic log did not take the row within 0.3 s"] * 3
    assert [row.id for row in log.exchanges("voice")] == ["voice-0", "voice-4"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftassets.gateway.server.PATIENCE", 0.5)


def test_clients_of_a_locked_log_are_answered_soon_and_served_again_after(impatient: None, serving_a: Running) -> None:
    serving_a.ask("before")
    with locked(serving_a.home.traffic_db), ThreadPoolExecutor(6) as clients:
        began = time.monotonic()
        replies = list(clients.map(lambda number: serving_a.ask(f"lost {number}", stream=bool(number % 2)), range(12)))
        took = time.monotonic() - began
    assert took < 4
    for reply in replies:
        assert "not_recorded" in reply.text
        assert "[DONE]" not in reply.text
    assert {reply.headers.get("retry-after") for reply in replies[::2]} == {"5"}
    assert serving_a.ask("after").status_code == 200
    assert [row.prompt for row in serving_a.rows()] == ["before", "after"]
