"""What every traffic log must do; another backend joins by a line in BACKENDS."""

import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ftassets.backends.traffic_log import sqlite as embedded
from ftassets.backends.traffic_log.base import Exchange, Feedback, StillReadable, TrafficLog, UnknownAnswer
from ftassets.backends.traffic_log.postgres import PostgresTrafficLog
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog

MakeLog = Callable[[str], TrafficLog]
BACKENDS: dict[str, MakeLog] = {"embedded": lambda path: SqliteTrafficLog(Path(path)), "postgres": PostgresTrafficLog}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def place(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Path or URL of a log that is not there yet."""
    return request.getfixturevalue("postgres").account() if backend == "postgres" else str(tmp_path / "state" / "traffic.db")


@pytest.fixture
def log(backend: str, place: str) -> TrafficLog:
    return BACKENDS[backend](place)


def exchange(number: int, loop: str = "voice", **changes: object) -> Exchange:
    fixed = Exchange(
        id=f"{loop}-{number}",
        loop=loop,
        version="v1",
        user="u",
        prompt="lights on",
        messages='[{"role": "user"}]',
        answer='{"intent": "on"}',
        status=200,
        at=float(number),
        latency_ms=12.5,
        first_token_ms=3.25,
        tokens_in=7,
        tokens_out=9,
        weight=5.0,
    )
    return replace(fixed, **changes)  # type: ignore[arg-type]


def test_rows_come_back_as_they_went_in(log: TrafficLog) -> None:
    rows = [
        exchange(1),
        exchange(
            2,
            prompt="h\u00e9 \U0001f4a1 \x00 '; DROP TABLE",
            answer="",
            status=502,
            first_token_ms=None,
            tokens_in=None,
            tokens_out=None,
            error="upstream\nclosed",
        ),
    ]
    log.append(rows)
    assert log.exchanges("voice") == rows


TEXTS = ["\x00", "\x00\x01\x010\x011", "\\u0000 \\", '{"a": "\\ud83d"}', "\U0001f4a1\U0001f468\u200d\U0001f469", "NULL", "{}", ""]


def test_text_of_users_comes_back_as_it_is(log: TrafficLog) -> None:
    rows = [exchange(n, id=f"{n} {text}", user=text, prompt=text, messages=text, answer=text, error=text) for n, text in enumerate(TEXTS)]
    said = [Feedback(row.id, 1.0, row.prompt, row.prompt) for row in rows]
    log.append(rows)
    for feedback in said:
        log.add_feedback(feedback)
    assert [(r.exchange, r.feedback) for r in log.reviewed("voice")] == list(zip(rows, said, strict=True))
    assert log.forget("voice", TEXTS[0], [rows[1].id]) == [row.id for row in rows[:2]]
    assert (log.exchanges("voice"), log.forgotten(), log.append(rows)) == (rows[2:], {row.id for row in rows[:2]}, 0)


def test_names_of_loops_may_be_any_text(log: TrafficLog) -> None:
    for text in TEXTS:
        log.append([exchange(1, loop=text)])
        assert (log.exchanges(text), log.count(text)) == ([exchange(1, loop=text)], 1)


def test_a_megabyte_of_text_comes_back_as_it_is(log: TrafficLog) -> None:
    row = exchange(1, answer="h\u00e9 \x00" * 200_000)
    log.append([row, exchange(2)])
    assert log.exchanges("voice", limit=1) == [row]


def test_an_empty_log_answers(log: TrafficLog) -> None:
    log.append([])
    assert (log.exchanges("voice"), log.reviewed("voice"), log.count("voice")) == ([], [], 0)


def test_an_id_is_stored_once_and_never_changed(log: TrafficLog) -> None:
    assert log.append([exchange(1)]) == 1
    assert log.append([exchange(1, answer="other"), exchange(2)]) == 1
    assert log.exchanges("voice") == [exchange(1), exchange(2)]


def test_half_a_surrogate_pair_does_not_fail_its_batch(log: TrafficLog) -> None:
    log.append([exchange(1, prompt="a\ud83d"), exchange(2)])
    assert [e.prompt for e in log.exchanges("voice")] == ["a?", "lights on"]


def test_windows_are_half_open_ordered_limited_and_per_loop(log: TrafficLog) -> None:
    log.append([exchange(n) for n in (4, 2, 3, 1)] + [exchange(2, loop="triage")])
    assert [e.at for e in log.exchanges("voice", since=2, until=4)] == [2, 3]
    assert [e.at for e in log.exchanges("voice", since=2, limit=2)] == [2, 3]
    assert [e.id for e in log.exchanges("triage")] == ["triage-2"]
    assert (log.count("voice"), log.count("voice", since=3), log.count("nobody")) == (4, 2, 0)


def test_feedback_needs_an_answer(log: TrafficLog) -> None:
    log.append([exchange(1)])
    with pytest.raises(UnknownAnswer, match="voice-9"):
        log.add_feedback(Feedback("voice-9", 1.0, "up", None))
    assert log.reviewed("voice") == []


def test_the_newest_feedback_counts(log: TrafficLog) -> None:
    log.append([exchange(1), exchange(2), exchange(3)])
    newest = Feedback("voice-2", 9.0, None, '{"intent": "off"}')
    older, late = Feedback("voice-2", 5.0, "up", None), Feedback("voice-2", 7.0, "down", None)
    for feedback in (older, newest, late, Feedback("voice-1", 5.0, "down", None)):
        log.add_feedback(feedback)
    assert [(r.exchange, r.feedback) for r in log.reviewed("voice")] == [
        (exchange(1), Feedback("voice-1", 5.0, "down", None)),
        (exchange(2), newest),
    ]
    assert [r.exchange.id for r in log.reviewed("voice", since=2)] == ["voice-2"]


def test_of_feedback_given_at_one_moment_the_last_counts(log: TrafficLog) -> None:
    log.append([exchange(1)])
    log.add_feedback(Feedback("voice-1", 5.0, "up", None))
    log.add_feedback(Feedback("voice-1", 5.0, "down", None))
    assert [r.feedback.rating for r in log.reviewed("voice")] == ["down"]


def test_a_batch_lands_whole_or_not_at_all(log: TrafficLog) -> None:
    with pytest.raises(Exception, match="(?i)not.null"):
        log.append([exchange(1), exchange(2, answer=None)])
    assert log.exchanges("voice") == []
    log.append([exchange(1)])
    assert log.count("voice") == 1


def test_threads_write_and_read_at_once(log: TrafficLog) -> None:
    errors: list[Exception] = []

    def work(name: int) -> None:
        try:
            for n in range(20):
                log.append([exchange(n, id=f"{name}-{n}")])
                log.add_feedback(Feedback(f"{name}-{n}", 1.0, "up", None))
                log.count("voice")
        except Exception as error:  # noqa: BLE001  a thread's failure must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, log.count("voice"), len(log.reviewed("voice"))) == ([], 80, 80)


def test_a_forgotten_user_is_gone_from_every_loop_and_nobody_else_is(log: TrafficLog) -> None:
    rows = [exchange(1, user="a"), exchange(2, user="b"), exchange(3, user="a", loop="triage")]
    log.append(rows)
    for row in rows:
        log.add_feedback(Feedback(row.id, 9.0, "up", None))
    assert log.forget(user="a") == ["triage-3", "voice-1"]
    assert (log.exchanges("voice"), log.exchanges("triage"), log.reviewed("triage")) == ([rows[1]], [], [])
    assert [r.exchange.id for r in log.reviewed("voice")] == ["voice-2"]
    assert log.forgotten() == {"triage-3", "voice-1"}
    assert log.forget(user="a") == []


def test_forgetting_in_one_loop_leaves_the_other_alone(log: TrafficLog) -> None:
    log.append([exchange(1, user="a"), exchange(2, user="a", loop="triage")])
    assert log.forget("voice", "a", ["triage-2", "voice-7"]) == ["voice-1", "voice-7"]
    assert (log.count("voice"), log.count("triage")) == (0, 1)


def test_named_requests_are_forgotten_whoever_sent_them(log: TrafficLog) -> None:
    log.append([exchange(n) for n in range(5)])
    assert log.forget(request_ids=["voice-1", "voice-3"]) == ["voice-1", "voice-3"]
    assert [e.id for e in log.exchanges("voice")] == ["voice-0", "voice-2", "voice-4"]


def test_what_was_forgotten_does_not_come_back(log: TrafficLog) -> None:
    log.append([exchange(1)])
    log.forget(request_ids=["voice-1", "voice-2"])  # the second is still on its way
    assert log.append([exchange(1), exchange(2), exchange(3)]) == 1
    assert [e.id for e in log.exchanges("voice")] == ["voice-3"]
    with pytest.raises(UnknownAnswer):
        log.add_feedback(Feedback("voice-1", 1.0, "up", None))


def test_forgetting_nobody_is_a_mistake(log: TrafficLog) -> None:
    log.append([exchange(1)])
    with pytest.raises(ValueError, match="nothing to forget"):
        log.forget("voice")
    assert (log.count("voice"), log.forgotten()) == (1, set())


WRITER = """
import sys
from ftassets_tests.contract.test_traffic_log import BACKENDS, exchange
log = BACKENDS[sys.argv[1]](sys.argv[2])
for n in range(int(sys.argv[4])):
    log.append([exchange(n, id=f"{sys.argv[3]}-{n}-{part}") for part in "ab"])
    print(n, flush=True)
"""


def test_processes_share_one_new_log(backend: str, place: str, log: TrafficLog) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, backend, place, str(n), "25"], stdout=subprocess.DEVNULL) for n in range(2)]
    log.append([exchange(n) for n in range(50)])
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert log.count("voice") == 150


def test_killed_writer_loses_nothing_it_acknowledged(backend: str, place: str, log: TrafficLog) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, backend, place, "w", "100000"], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(50):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    acknowledged = 50 + sum(line.endswith("\n") for line in writer.stdout)
    writer.wait(timeout=10)
    writer.stdout.close()
    stored = {e.id for e in log.exchanges("voice")}
    assert {f"w-{n}-{part}" for n in range(acknowledged) for part in "ab"} <= stored
    assert len(stored) % 2 == 0
    assert log.append([exchange(1)]) == 1


def test_embedded_file_of_another_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "traffic.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(RuntimeError, match="schema 99"):
        SqliteTrafficLog(path).count("voice")


def bytes_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_embedded_files_hold_no_text_that_was_forgotten(tmp_path: Path) -> None:
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


def test_embedded_reader_that_holds_forgotten_text_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


VERSION_1 = """
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, share REAL NOT NULL, error TEXT
);
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT
);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
INSERT INTO exchange VALUES ('voice-1', 'voice', 'v1', 'u', 'lights on', '[{"role": "user"}]', '{"intent": "on"}', 200, 1.0, 12.5, 3.25,
    7, 9, 0.05, NULL);
INSERT INTO feedback VALUES (1, 'voice-1', 2.0, 'up', NULL);
PRAGMA user_version = 1;
"""


def test_embedded_file_of_the_first_schema_is_migrated_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "traffic.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(VERSION_1)
    log = SqliteTrafficLog(path)
    assert [(r.exchange, r.feedback.rating) for r in log.reviewed("voice")] == [(exchange(1), "up")]
    assert log.forget(user="u") == ["voice-1"]
    assert (SqliteTrafficLog(path).forgotten(), SqliteTrafficLog(path).count("voice")) == ({"voice-1"}, 0)
