"""What every traffic log must do; another backend joins by a line in BACKENDS."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ftassets.resources.traffic_log.base import Exchange, Feedback, TrafficLog, UnknownAnswer
from ftassets.resources.traffic_log.embedded import SqliteTrafficLog

MakeLog = Callable[[Path], TrafficLog]
BACKENDS: dict[str, MakeLog] = {"embedded": lambda folder: SqliteTrafficLog(folder / "state" / "traffic.db")}


@pytest.fixture(params=BACKENDS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> TrafficLog:
    return BACKENDS[request.param](tmp_path)


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
        share=0.05,
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


def test_an_empty_log_answers(log: TrafficLog) -> None:
    log.append([])
    assert (log.exchanges("voice"), log.reviewed("voice"), log.count("voice")) == ([], [], 0)


def test_an_id_is_stored_once_and_never_changed(log: TrafficLog) -> None:
    log.append([exchange(1)])
    log.append([exchange(1, answer="other"), exchange(2)])
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
    with pytest.raises(Exception, match="NOT NULL"):
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


WRITER = """
import sys
from pathlib import Path
from ftassets.resources.traffic_log.embedded import SqliteTrafficLog
from ftassets_tests.resources.test_traffic_log import exchange
log = SqliteTrafficLog(Path(sys.argv[1]))
for n in range(int(sys.argv[3])):
    log.append([exchange(n, id=f"{sys.argv[2]}-{n}-{part}") for part in "ab"])
    print(n, flush=True)
"""


def test_embedded_processes_share_one_new_file(tmp_path: Path) -> None:
    path = tmp_path / "traffic.db"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(n), "25"], stdout=subprocess.DEVNULL) for n in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert SqliteTrafficLog(path).count("voice") == 150


def test_embedded_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "traffic.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), "w", "100000"], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(50):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    acknowledged = 50 + sum(line.endswith("\n") for line in writer.stdout)
    writer.wait(timeout=10)
    writer.stdout.close()
    stored = {e.id for e in SqliteTrafficLog(path).exchanges("voice")}
    assert {f"w-{n}-{part}" for n in range(acknowledged) for part in "ab"} <= stored
    assert len(stored) % 2 == 0
    SqliteTrafficLog(path).append([exchange(1)])


def test_embedded_file_of_another_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "traffic.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(RuntimeError, match="schema 99"):
        SqliteTrafficLog(path).count("voice")
