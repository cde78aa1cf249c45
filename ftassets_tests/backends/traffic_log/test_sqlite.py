"""The log in one SQLite file: its schema, and what its files hold."""

import random
import sqlite3
from pathlib import Path

import pytest

from ftassets.backends.traffic_log import sqlite as embedded
from ftassets.backends.traffic_log.base import Feedback, StillReadable
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.testing.contracts.traffic_log import exchange


def test_file_of_another_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "traffic.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(RuntimeError, match="schema 99"):
        SqliteTrafficLog(path).count("voice")


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


def test_file_of_the_first_schema_is_migrated_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "traffic.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(VERSION_1)
    log = SqliteTrafficLog(path)
    assert [(r.exchange, r.feedback.rating) for r in log.reviewed("voice")] == [(exchange(1), "up")]
    assert log.forget(user="u") == ["voice-1"]
    assert (SqliteTrafficLog(path).forgotten(), SqliteTrafficLog(path).count("voice")) == ({"voice-1"}, 0)
