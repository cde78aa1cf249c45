"""The traffic log in one SQLite file, shared by the processes of one machine."""

import json
import os
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ftassets.backends.traffic_log.base import (
    PAGE,
    Arrival,
    Discordant,
    Ended,
    Exchange,
    Feedback,
    FeedbackAge,
    FeedbackCounts,
    FirstLapse,
    Lapse,
    LapseCounts,
    Limits,
    LogSize,
    LogUnreachable,
    LogUnusable,
    Outcomes,
    Pair,
    ServedMinute,
    ShadowAnswer,
    ShadowCounts,
    StillReadable,
    TrafficLog,
    UnknownAnswer,
    check_forget,
    probe,
    storable,
)
from ftassets.backends.traffic_log.lapse_queries import (
    counts,
    counts_of,
    ended,
    feedback_counts,
    first_lapses,
    first_reproofs,
    firsts_of,
    limit_values,
    pair_values,
)
from ftassets.backends.traffic_log.shadow_queries import discordant, discordant_of, shadow_counts, shadow_counts_of
from ftassets.domain.spending.served import LATE, MINUTE
from ftassets.domain.traffic.exchange import ANSWERED, ByUser
from ftassets.domain.traffic.lapses import OF_ANSWER, OF_FEEDBACK
from ftassets.durable import prove_writable

BUSY_SECONDS = 30.0
REMOVED_ROWS = 200  # deleted in one transaction: writers wait meanwhile
RECLAIMED_PAGES = 500  # given back in one transaction, about 2 MB
LONGEST_PAUSE = 0.1  # seconds
SCHEMA_VERSION = 12
_COUNTS = """
CREATE INDEX exchange_by_version ON exchange (loop, version, at, weight, status, well_formed);
CREATE INDEX feedback_by_answer ON feedback (loop, asked_at);
"""
_ARRIVALS = """
CREATE INDEX exchange_by_arrival ON exchange (loop, stored_at);
CREATE INDEX feedback_corrections ON feedback (loop, stored_at, asked_at) WHERE correction <> '';
"""
# answer and error stand last, so that the others are read without them
_SHADOW = """
CREATE TABLE shadow (
    request_id TEXT NOT NULL REFERENCES exchange (id), loop TEXT NOT NULL, version TEXT NOT NULL, production TEXT NOT NULL,
    user TEXT NOT NULL, at REAL NOT NULL, status INTEGER NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL, tokens_in INTEGER,
    tokens_out INTEGER, well_formed INTEGER, refused INTEGER, production_status INTEGER NOT NULL, production_latency_ms REAL NOT NULL,
    production_first_token_ms REAL, production_tokens_out INTEGER, production_well_formed INTEGER, production_refused INTEGER,
    agrees INTEGER, answer TEXT NOT NULL, error TEXT, PRIMARY KEY (request_id, version)
);
CREATE INDEX shadow_by_version ON shadow (loop, version, at);
"""
_BY_USER = "CREATE INDEX exchange_by_user ON exchange (user, at) WHERE user <> '';"
# what is told of an answer when it is logged, so that nobody reads texts to count it
_TOLD = """
ALTER TABLE exchange ADD COLUMN refused INTEGER;
ALTER TABLE exchange ADD COLUMN other_language INTEGER;
ALTER TABLE shadow ADD COLUMN other_language INTEGER;
ALTER TABLE shadow ADD COLUMN production_other_language INTEGER;
"""
SCHEMA = f"""
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT, well_formed INTEGER, stored_at REAL NOT NULL DEFAULT 0,
    client TEXT
);
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT,
    loop TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '', asked_at REAL NOT NULL DEFAULT 0, comment TEXT, tags TEXT,
    stored_at REAL NOT NULL DEFAULT 0
);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
{_COUNTS}
{_ARRIVALS}
CREATE TABLE forgotten (id TEXT PRIMARY KEY, user TEXT) WITHOUT ROWID;
{_SHADOW}
{_TOLD}
{_BY_USER}
"""
MIGRATIONS = {
    1: "CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;",
    2: "ALTER TABLE exchange RENAME COLUMN share TO weight; UPDATE exchange SET weight = 100 * weight;",  # from 0..1 to percent
    # counts are made without reading texts, and without reading what is not counted
    3: f"""
ALTER TABLE exchange ADD COLUMN well_formed INTEGER;
ALTER TABLE feedback ADD COLUMN loop TEXT NOT NULL DEFAULT '';
ALTER TABLE feedback ADD COLUMN version TEXT NOT NULL DEFAULT '';
ALTER TABLE feedback ADD COLUMN asked_at REAL NOT NULL DEFAULT 0;
UPDATE feedback SET (loop, version, asked_at) = (SELECT loop, version, at FROM exchange WHERE id = request_id);
{_COUNTS}
CREATE INDEX feedback_corrections ON feedback (loop, at, asked_at) WHERE correction <> '';
""",
    4: "ALTER TABLE feedback ADD COLUMN comment TEXT;",
    5: "ALTER TABLE feedback ADD COLUMN tags TEXT;",
    # what is new is known by its arrival: a row may have any time
    6: f"""
ALTER TABLE exchange ADD COLUMN stored_at REAL NOT NULL DEFAULT 0;
ALTER TABLE feedback ADD COLUMN stored_at REAL NOT NULL DEFAULT 0;
UPDATE feedback SET stored_at = min(at, CAST(strftime('%s', 'now') AS REAL));
DROP INDEX feedback_corrections;
{_ARRIVALS}
""",
    7: "ALTER TABLE forgotten ADD COLUMN user TEXT;",
    8: _SHADOW,
    9: "ALTER TABLE exchange ADD COLUMN client TEXT;",
    10: _TOLD,
    11: _BY_USER,
}  # from this schema to the next one
_HELD = "another process holds it, as `ftassets forget` does while it wipes; try again when that has ended"
_DISK = "check its disk, and that this user may write the file"
_ENVIRONMENT = {
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_PROTOCOL: _HELD,
    sqlite3.SQLITE_FULL: "free space on its disk",
    sqlite3.SQLITE_NOMEM: "free memory",
    sqlite3.SQLITE_READONLY: _DISK,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CANTOPEN: _DISK,
    sqlite3.SQLITE_PERM: _DISK,
    sqlite3.SQLITE_CORRUPT: "restore a copy of it, or move it away to start with an empty log",
    sqlite3.SQLITE_NOTADB: "restore a copy of it, or move it away to start with an empty log",
}  # by SQLite's result code: what fails for each row, and what to do
_AGAIN = "forget them once more, when the disk has room for a second copy of the log and no long query reads from it"
_COLUMNS = [field.name for field in fields(Exchange)]
_values = attrgetter(*_COLUMNS)
_EXCHANGE_TRUTHS = [number for number, field in enumerate(fields(Exchange)) if field.type == bool | None]  # SQLite has none
_SHADOW_COLUMNS = [field.name for field in fields(ShadowAnswer)]
_SHADOW_TRUTHS = [number for number, field in enumerate(fields(ShadowAnswer)) if field.type == bool | None]
_ENDED_TRUTHS = [number for number, field in enumerate(fields(Ended)) if field.type == bool | None]
_JUDGED_FORM = f"status = {ANSWERED} AND (well_formed OR error IS NULL)"
_SELECTED = ", ".join(f"e.{name}" for name in _COLUMNS)
# as `Outcomes` has it: an answer without the form counts unless the client's own settings explain it
_MALFORMED = f"status = {ANSWERED} AND well_formed = 0"
_FAILED = f"(status >= 500 OR ({_MALFORMED} AND error IS NULL))"
_JUDGED = f"({_FAILED} OR (status = {ANSWERED} AND well_formed = 1))"
# the correction of an answer, as `added_up` finds it
_CORRECTION = """
    SELECT n.correction FROM feedback n WHERE n.request_id = f.request_id AND n.correction <> '' {and_when}
    ORDER BY n.at DESC, n.number DESC LIMIT 1
"""
# the last thumb of each answer, and whether it has a correction, as `added_up` finds them
_SAID = """
    SELECT request_id, max(rating) FILTER (WHERE place = 1) AS thumb, max(correction <> '') AS corrected FROM (
        SELECT request_id, correction, CASE WHEN rating IN ('up', 'down') THEN rating END AS rating, row_number() OVER (
            PARTITION BY request_id, rating IN ('up', 'down') ORDER BY f.at DESC, number DESC
        ) AS place
        FROM feedback f INDEXED BY feedback_by_answer {of_answers} WHERE f.loop = ? AND asked_at >= ? AND asked_at < ? AND {where}
    ) GROUP BY request_id
"""
_ALL_SAID = _SAID.format(of_answers="", where="version = ?")
# rows of an earlier release have no arrival
_ARRIVED = "max(e.stored_at, e.at)"
_AGE = f"max(f.at - e.at, f.stored_at - {_ARRIVED})"
_OF_ANSWERS = "CROSS JOIN exchange e ON e.id = f.request_id"
_SAID_BY_AGE = _SAID.format(of_answers=_OF_ANSWERS, where=f"f.version = ? AND {_AGE} <= ? AND {_ARRIVED} <= ?")
_BY_VERSION = "exchange INDEXED BY exchange_by_version"
_NUMBER = "CAST((at - :since) / :window AS INTEGER)"
_FIRST_LAPSES = first_lapses(_BY_VERSION, _NUMBER)
_FIRST_REPROOFS = first_reproofs("feedback", "exchange", _NUMBER)
_LAPSES = counts(_BY_VERSION, "SELECT value FROM json_each(:without)")
_FEEDBACK_LAPSES, _ENDED = feedback_counts(_ALL_SAID, "exchange"), ended(_BY_VERSION)
_DISCORDANT, _SHADOW_COUNTS = discordant("shadow", _NUMBER), shadow_counts("shadow")
_ROW_BYTES = 450  # of a row without its texts, indexes included, as measured on a log of 100,000 rows
_TEXT_BYTES = " + ".join(f"coalesce(length(CAST(e.{name} AS BLOB)), 0)" for name in ("prompt", "messages", "answer", "error"))


class SqliteTrafficLog(TrafficLog):
    """Rows outlive a kill of any process; a power cut may take the last ones (WAL with synchronous=NORMAL)."""

    def __init__(self, path: Path, patience: float | None = None, clock: Callable[[], float] = time.time) -> None:
        """`patience`: seconds that a write waits for other processes, `BUSY_SECONDS` unless given. `clock` says when rows arrive."""
        self._path = path
        self._clock = clock
        self._patience = BUSY_SECONDS if patience is None else patience
        self._local = threading.local()

    def check(self) -> str:
        where = f"SQLite file {self._path}, for the processes of this machine"
        if not self._path.exists():
            try:
                prove_writable(self._path.parent)
            except OSError as error:
                raise LogUnreachable(f"the traffic log {self._path} cannot be made ({error.strerror or error}): {_DISK}") from error
            return f"{where}; the first request makes it"
        row = probe(secrets.token_hex(512))
        with self._writing() as connection:
            self._insert(connection, [row])
            [answer] = connection.execute("SELECT answer FROM exchange WHERE id = ?", (row.id,)).fetchone()
            connection.execute("DELETE FROM exchange WHERE id = ?", (row.id,))
        if answer != row.answer:
            raise LogUnusable(f"the traffic log {self._path} does not give back what was written: {_ENVIRONMENT[sqlite3.SQLITE_CORRUPT]}")
        return where

    def append(self, exchanges: Sequence[Exchange]) -> int:
        if not exchanges:
            return 0
        with self._writing() as connection:
            return self._insert(connection, exchanges)

    def _insert(self, connection: sqlite3.Connection, exchanges: Sequence[Exchange]) -> int:
        marks, now = ", ".join("?" * len(_COLUMNS)), self._clock()
        rows = [tuple(map(storable, _values(exchange))) for exchange in exchanges]
        return connection.executemany(
            f"INSERT INTO exchange ({', '.join(_COLUMNS)}, stored_at) SELECT {marks}, ? "
            "WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE id = ?) ON CONFLICT (id) DO NOTHING",
            [(*row, now, row[0]) for row in rows],
        ).rowcount

    def add_feedback(self, feedback: Feedback) -> bool:
        row = tuple(map(storable, astuple(feedback)))
        with self._writing() as connection:
            stored = connection.execute(
                "INSERT INTO feedback (request_id, at, rating, correction, comment, tags, loop, version, asked_at, stored_at) "
                "SELECT ?, ?, ?, ?, ?, ?, loop, version, at, ? FROM exchange WHERE id = ? AND NOT EXISTS (SELECT 1 FROM feedback "
                "WHERE request_id = ? AND at = ? AND rating IS ? AND correction IS ? AND comment IS ? AND tags IS ?)",
                (*row, self._clock(), row[0], *row),
            ).rowcount
            known = stored or connection.execute("SELECT 1 FROM exchange WHERE id = ?", row[:1]).fetchone()
        if not known:
            raise UnknownAnswer(f"there is no answer {feedback.request_id!r} in the log")
        return stored == 1

    def stream(
        self, loop: str, since: float = 0.0, until: float = float("inf"), version: str | None = None, answered: bool = False
    ) -> Iterator[Exchange]:
        number = 0  # of the last row read; numbers begin at 1
        while True:
            where, values = _window(loop, since, until, version, answered)
            # the page is found in an index, and only its rows are read
            page = self._connection().execute(
                f"""SELECT e.at, e.rowid, {_SELECTED} FROM exchange e JOIN (
                    SELECT rowid AS number FROM exchange WHERE {where} AND (at > ? OR rowid > ?) ORDER BY at, rowid LIMIT {PAGE}
                ) found ON e.rowid = found.number ORDER BY e.at, e.rowid""",
                (*values, since, number),
            ).fetchall()  # fmt: skip
            yield from (_exchange(row[2:]) for row in page)
            if len(page) < PAGE:
                return
            since, number = page[-1][:2]

    def arrivals(self, loop: str, since: float = 0.0, asked_since: float = 0.0) -> Iterator[Arrival]:
        number = 0
        while True:
            page = self._connection().execute(
                f"""SELECT e.stored_at, e.rowid, {_SELECTED} FROM exchange e INDEXED BY exchange_by_arrival
                    WHERE e.loop = ? AND e.stored_at >= ? AND (e.stored_at > ? OR e.rowid > ?) AND e.at >= ? AND e.status = {ANSWERED}
                    ORDER BY e.stored_at, e.rowid LIMIT {PAGE}""",
                (loop, since, since, number, asked_since),
            ).fetchall()  # fmt: skip
            yield from (Arrival(row[0], _exchange(row[2:])) for row in page)
            if len(page) < PAGE:
                return
            since, number = page[-1][:2]

    def named(self, loop: str | None, request_ids: Sequence[str]) -> list[Exchange]:
        query = f"SELECT {_SELECTED} FROM exchange e WHERE e.loop = coalesce(?, e.loop) AND e.id IN"
        return [_exchange(row) for row in self._among(query, request_ids, loop)]

    def of_user(self, user: str) -> Iterator[Exchange]:
        since, number = float("-inf"), 0
        while True:
            page = self._connection().execute(
                f"""SELECT e.at, e.rowid, {_SELECTED} FROM exchange e INDEXED BY exchange_by_user
                    WHERE e.user = ? AND e.user <> '' AND e.at >= ? AND (e.at > ? OR e.rowid > ?) ORDER BY e.at, e.rowid LIMIT {PAGE}""",
                (storable(user), since, since, number),
            ).fetchall()  # fmt: skip
            yield from (_exchange(row[2:]) for row in page)
            if len(page) < PAGE:
                return
            since, number = page[-1][:2]

    def derived(self, names: Collection[str]) -> set[str]:
        query = "SELECT id FROM exchange WHERE id > ? AND id < ?"  # a semicolon is the character behind the colon
        ranges = [(storable(f"{name}:"), storable(f"{name};")) for name in names]
        return {row[0] for each in ranges for row in self._connection().execute(query, each)}

    def count(self, loop: str, since: float = 0.0, until: float = float("inf"), answered: bool = False) -> int:
        where, values = _window(loop, since, until, None, answered)
        return self._connection().execute(f"SELECT count(*) FROM exchange WHERE {where}", values).fetchone()[0]

    def outcomes(self, loop: str, versions: Sequence[str], since: float = 0.0, until: float = float("inf")) -> list[Outcomes]:
        window = f"loop = ? AND version IN ({', '.join('?' * len(versions))}) AND at >= ? AND at < ?"
        values = (loop, *versions, since, until)
        rows = self._connection().execute(
            f"""SELECT version, weight, status, well_formed, count(*) FROM exchange INDEXED BY exchange_by_version
                WHERE {window} GROUP BY version, weight, status, well_formed""",
            values,
        )  # fmt: skip
        counts = {(version, weight, status, _truth(well_formed)): count for version, weight, status, well_formed, count in rows}
        explained = self._connection().execute(
            f"""SELECT version, weight, count(*) FROM exchange INDEXED BY exchange_by_version
                WHERE {window} AND {_MALFORMED} AND error IS NOT NULL GROUP BY version, weight""",
            values,
        )  # fmt: skip
        for version, weight, count in explained:
            counts[version, weight, ANSWERED, False] -= count
            counts[version, weight, ANSWERED, None] = counts.get((version, weight, ANSWERED, None), 0) + count
        return [Outcomes(*alike, count) for alike, count in counts.items() if count]

    def first_lapses(self, loop: str, pair: Pair, since: float, window: float) -> list[FirstLapse]:
        values = {"loop": loop, "since": since, "window": window, **pair_values(pair)}
        of_answers = self._connection().execute(_FIRST_LAPSES, values)
        return firsts_of(of_answers, OF_ANSWER) + firsts_of(self._connection().execute(_FIRST_REPROOFS, values), OF_FEEDBACK)

    def lapse_counts(
        self, loop: str, version: str, since: float, until: float, limits: Limits, without: Collection[str] = ()
    ) -> Mapping[Lapse, LapseCounts]:
        values = {"loop": loop, "since": since, "until": until, "without": json.dumps(list(without)), **limit_values(version, limits)}
        of_answers = self._connection().execute(_LAPSES, values).fetchone()
        of_feedback = self._connection().execute(_FEEDBACK_LAPSES, (loop, since, until, version)).fetchone()
        return {**counts_of(of_answers, OF_ANSWER), **counts_of(of_feedback, OF_FEEDBACK)}

    def ended(self, loop: str, version: str, since: float, until: float, most: int) -> list[Ended]:
        values = {"loop": loop, "version": version, "since": since, "until": until, "most": most}
        found = self._connection().execute(_ENDED, values)
        return [Ended(*_with_truths(row, _ENDED_TRUTHS)) for row in found]

    def users(self, loop: str, version: str, since: float, most: int) -> int:
        found = self._connection().execute(
            """SELECT count(*) FROM (
                SELECT DISTINCT user FROM exchange INDEXED BY exchange_by_version
                WHERE loop = ? AND version = ? AND at >= ? LIMIT ?
            )""",
            (loop, version, since, most),
        )
        return found.fetchone()[0]

    def outcomes_by_user(self, loop: str, version: str, since: float, until: float) -> tuple[ByUser, ByUser]:
        found = self._connection().execute(
            f"""SELECT count(answered), total(answered), count(formed), total(formed) FROM (
                SELECT avg(status = {ANSWERED}) AS answered, avg(well_formed) FILTER (WHERE {_JUDGED_FORM}) AS formed
                FROM exchange INDEXED BY exchange_by_version
                WHERE loop = ? AND version = ? AND at >= ? AND at < ? AND (status = {ANSWERED} OR status >= 500)
                GROUP BY CASE user WHEN '' THEN id ELSE user END, user = ''
            )""",
            (loop, version, since, until),
        )
        return _by_user(found.fetchone())

    def time_of_newest(self, loop: str, version: str, number: int, since: float = 0.0) -> float | None:
        found = self._connection().execute(
            f"SELECT at FROM exchange WHERE loop = ? AND version = ? AND at >= ? AND {_JUDGED} ORDER BY at DESC LIMIT 1 OFFSET ?",
            (loop, version, since, number - 1),
        )
        return next((at for (at,) in found), None)

    def last_time(self, loop: str, until: float) -> float | None:
        found = self._connection().execute("SELECT at FROM exchange WHERE loop = ? AND at < ? ORDER BY at DESC LIMIT 1", (loop, until))
        return next((at for (at,) in found), None)

    def served(self, loop: str, since: float, until: float) -> list[ServedMinute]:
        found = self._connection().execute(
            f"""SELECT version, CAST(stored_at / {MINUTE} AS INTEGER) AS minute, count(*) FILTER (WHERE status = {ANSWERED}),
                    count(*) FILTER (WHERE status <> {ANSWERED}),
                    count(*) FILTER (WHERE status = {ANSWERED} AND (tokens_in IS NULL OR tokens_out IS NULL)),
                    coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), sum(latency_ms)
                FROM exchange INDEXED BY exchange_by_arrival
                WHERE loop = ? AND stored_at >= ? AND stored_at < ? AND stored_at < at + latency_ms / 1000 + {LATE}
                GROUP BY version, minute""",
            (loop, since, until),
        )  # fmt: skip
        return [ServedMinute(*row) for row in found]

    def with_feedback(self, loop: str, since: float = 0.0) -> Iterator[Exchange]:
        rows = self._connection().execute(
            f"""SELECT {_SELECTED} FROM (
                SELECT DISTINCT request_id, asked_at FROM feedback INDEXED BY feedback_by_answer WHERE loop = ? AND asked_at >= ?
            ) f CROSS JOIN exchange e ON e.id = f.request_id ORDER BY f.asked_at, e.rowid""",
            (loop, since),
        )
        return iter([_exchange(row) for row in rows])

    def feedback_counts(self, loop: str, version: str, since: float = 0.0, until: float = float("inf")) -> FeedbackCounts:
        found = self._connection().execute(
            f"SELECT count(*), count(*) FILTER (WHERE thumb = 'down'), count(*) FILTER (WHERE corrected) FROM ({_ALL_SAID})",
            (loop, since, until, version),
        )
        return FeedbackCounts(*found.fetchone())

    def feedback_by_user(
        self, loop: str, version: str, since: float, until: float, age: float = float("inf"), arrived: float = float("inf")
    ) -> tuple[ByUser, ByUser]:
        found = self._connection().execute(
            f"""SELECT count(*), total(liked), count(*), total(uncorrected) FROM (
                SELECT avg(thumb IS NOT 'down') AS liked, avg(NOT coalesce(corrected, 0)) AS uncorrected
                FROM ({_SAID_BY_AGE}) JOIN exchange ON id = request_id GROUP BY CASE user WHEN '' THEN id ELSE user END, user = ''
            )""",
            (loop, since, until, version, age, arrived),
        )
        return _by_user(found.fetchone())

    def feedback_ages(self, loop: str, since: float, until: float) -> list[FeedbackAge]:
        found = self._connection().execute(
            f"""SELECT CAST(max({_AGE}, 0) / 3600 AS INTEGER) AS hours, count(*) FILTER (WHERE rating = 'up'),
                    count(*) FILTER (WHERE rating = 'down'), count(*) FILTER (WHERE correction <> '')
                FROM feedback f INDEXED BY feedback_by_answer {_OF_ANSWERS}
                WHERE f.loop = ? AND asked_at >= ? AND asked_at < ? GROUP BY hours""",
            (loop, since, until),
        )
        return [FeedbackAge(*row) for row in found]

    def corrected(self, loop: str, since: float = 0.0, asked_since: float = 0.0) -> dict[str, float]:
        found = self._connection().execute(
            f"""SELECT request_id, newest FROM (
                SELECT request_id, max(stored_at) AS newest FROM feedback INDEXED BY feedback_corrections
                WHERE loop = ? AND stored_at >= ? AND asked_at >= ? AND correction <> '' GROUP BY request_id
            ) f WHERE ({_CORRECTION.format(and_when="")}) IS NOT ({_CORRECTION.format(and_when="AND n.stored_at < ?")})""",
            (loop, since, asked_since, since),
        )
        return dict(found.fetchall())

    def append_shadow(self, answers: Sequence[ShadowAnswer]) -> int:
        if not answers:
            return 0
        rows = [tuple(map(storable, astuple(answer))) for answer in answers]
        with self._writing() as connection:
            return connection.executemany(
                f"INSERT INTO shadow ({', '.join(_SHADOW_COLUMNS)}) SELECT {', '.join('?' * len(_SHADOW_COLUMNS))} "
                "WHERE EXISTS (SELECT 1 FROM exchange WHERE id = ?) ON CONFLICT (request_id, version) DO NOTHING",
                [(*row, row[0]) for row in rows],
            ).rowcount

    def shadow_answers(self, loop: str, version: str, since: float, most: int) -> list[ShadowAnswer]:
        found = self._connection().execute(
            f"""SELECT {", ".join(_SHADOW_COLUMNS)} FROM shadow WHERE loop = ? AND version = ? AND at >= ?
                ORDER BY at DESC, request_id DESC LIMIT ?""",
            (loop, version, since, most),
        )
        return [_shadow_answer(row) for row in found]

    def discordant(self, loop: str, pair: Pair, since: float, window: float) -> list[Discordant]:
        values = {"loop": loop, "since": since, "window": window, **pair_values(pair)}
        return discordant_of(self._connection().execute(_DISCORDANT, values))

    def shadow_counts(self, loop: str, pair: Pair, since: float) -> ShadowCounts:
        values = {"loop": loop, "since": since, **pair_values(pair)}
        return shadow_counts_of(self._connection().execute(_SHADOW_COUNTS, values).fetchone())

    def forget(self, loop: str | None = None, user: str | None = None, request_ids: Sequence[str] = ()) -> list[str]:
        check_forget(user, request_ids)
        connection = self._connection()
        with connection:
            connection.execute("BEGIN IMMEDIATE")  # what is found must be what is deleted
            of_user = connection.execute("SELECT id FROM exchange WHERE user = ? AND user <> '' AND loop = coalesce(?, loop)", (user, loop))
            ids = {row[0] for row in of_user}
            for name in map(storable, request_ids):
                found = connection.execute("SELECT loop FROM exchange WHERE id = ?", (name,)).fetchone()
                if loop is None or found is None or found[0] == loop:
                    ids.add(name)
            keys = [(name,) for name in sorted(ids)]
            connection.executemany("DELETE FROM feedback WHERE request_id = ?", keys)
            connection.executemany("DELETE FROM shadow WHERE request_id = ?", keys)
            connection.executemany("DELETE FROM exchange WHERE id = ?", keys)
            connection.executemany(
                "INSERT INTO forgotten (id, user) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET user = coalesce(excluded.user, user)",
                [(name, user) for (name,) in keys],
            )
        self._wipe(connection)
        return [name for (name,) in keys]

    def forgotten(self, user: str | None = None) -> set[str]:
        found = self._connection().execute("SELECT id FROM forgotten WHERE ? IS NULL OR user = ?", (user, user))
        return {row[0] for row in found}

    def first_time(self, loop: str, since: float = float("-inf")) -> float | None:
        query = "SELECT min(at) FROM exchange INDEXED BY exchange_by_time WHERE loop = ? AND at >= ?"
        return self._connection().execute(query, (loop, since)).fetchone()[0]

    def sampled(self, loop: str, since: float, until: float, share: float) -> tuple[int, int]:
        found = self._connection().execute(
            f"""SELECT count(*), coalesce(sum({_ROW_BYTES} + {_TEXT_BYTES}), 0) FROM exchange e JOIN (
                SELECT rowid AS number FROM exchange INDEXED BY exchange_by_time
                WHERE loop = ? AND at >= ? AND at < ? AND (rowid % 2147483647 * 2654435761) % 4294967296 < ?
            ) found ON e.rowid = found.number""",
            (loop, since, until, share * 2**32),
        )
        return tuple(found.fetchone())

    def feedback_events(self, request_ids: Sequence[str]) -> dict[str, list[Feedback]]:
        found: dict[str, list[Feedback]] = {}
        rows = self._among(
            "SELECT number, request_id, at, rating, correction, comment, tags FROM feedback WHERE request_id IN", request_ids
        )
        for row in sorted(rows):
            found.setdefault(row[1], []).append(Feedback(*row[1:]))
        return found

    def remove(self, loop: str, events: Mapping[str, int]) -> int:
        known = {str(storable(name)): count for name, count in events.items()}
        removed, names = 0, list(known)
        for start in range(0, len(names), REMOVED_ROWS):
            began = time.monotonic()
            with self._connection() as connection:
                connection.execute("BEGIN IMMEDIATE")
                page = names[start : start + REMOVED_ROWS]
                said = Counter(name for (name,) in self._among("SELECT request_id FROM feedback WHERE request_id IN", page))
                keys = [(name, loop) for name in page if said[name] == known[name]]
                gone = connection.executemany("DELETE FROM exchange WHERE id = ? AND loop = ?", keys)
                removed += gone.rowcount
                for table in ("feedback", "shadow"):
                    connection.executemany(
                        f"DELETE FROM {table} WHERE request_id = ? AND NOT EXISTS (SELECT 1 FROM exchange WHERE id = request_id)",
                        [(name,) for name, _ in keys],
                    )
            time.sleep(min(time.monotonic() - began, LONGEST_PAUSE))  # SQLite has no queue: without a pause a writer may wait for long
        return removed

    def reclaim(self) -> None:
        connection = self._connection()
        while free := self._pages("freelist_count"):
            began = time.monotonic()
            connection.execute(f"PRAGMA incremental_vacuum({RECLAIMED_PAGES})").fetchall()
            time.sleep(min(time.monotonic() - began, LONGEST_PAUSE))
            if self._pages("freelist_count") == free:  # a file of an earlier release, which only VACUUM makes smaller
                break
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # the file gets smaller without making a writer wait

    def size(self) -> LogSize:
        page = self._pages("page_size")
        return LogSize(page * self._pages("page_count"), page * self._pages("freelist_count"))

    def _pages(self, pragma: str) -> int:
        found: int = self._connection().execute(f"PRAGMA {pragma}").fetchone()[0]
        return found

    def _among(self, query: str, names: Sequence[str], *values: object) -> Iterator[tuple[Any, ...]]:
        """Rows of a query that ends in `IN`, for names of any number; SQLite's JSON functions cut texts off at a NUL character."""
        for start in range(0, len(names), PAGE):
            page = [storable(name) for name in names[start : start + PAGE]]
            yield from self._connection().execute(f"{query} ({', '.join('?' * len(page))})", (*values, *page))

    def _wipe(self, connection: sqlite3.Connection) -> None:
        """Leave no copy of deleted rows: secure delete misses what splits left in the gaps of pages, so the file is written anew.

        Writers wait meanwhile; then the write-ahead log, which has older copies of pages, is emptied.
        """
        try:
            connection.execute("VACUUM")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise StillReadable(f"the rows are deleted from {self._path}, but their text is still in it ({error}): {_AGAIN}") from error
        if busy:
            raise StillReadable(f"the rows are deleted from {self._path}, but a reader held their text in {self._path}-wal: {_AGAIN}")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction. Raises LogUnreachable for what another row would meet too."""
        try:
            with self._connection() as connection:
                yield connection
        except sqlite3.Error as error:
            if why := _not_now(error):
                raise LogUnreachable(f"the traffic log {self._path} cannot be written now ({error}): {why}") from error
            raise

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection: SQLite's must not be shared between threads nor carried over a fork.

        A file that was moved away or replaced is opened anew, or rows would be lost.
        """
        if getattr(self._local, "opened", None) != (os.getpid(), self._identity()):
            self._local.opened = None
            self._local.connection = self._open()
            self._local.opened = os.getpid(), self._identity()
        return self._local.connection

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened()
        except Timeout as error:
            raise LogUnreachable(f"the traffic log {self._path} cannot be opened now ({error}): {_HELD}") from error
        except sqlite3.DatabaseError as error:
            if _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise LogUnreachable(f"the traffic log {self._path} cannot be opened now ({error}): {_HELD}") from error
            raise LogUnusable(
                f"the traffic log {self._path} cannot be opened ({error}): check that it is a file this user may write; "
                "restore a copy of it, or move it away to start with an empty log"
            ) from error

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # the busy timeout does not cover the switch to WAL, so processes that start together take turns
        with FileLock(f"{self._path}.lock", timeout=self._patience):
            connection = sqlite3.connect(self._path, timeout=self._patience)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a new file at once, of an older one from its next VACUUM
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
                version = SCHEMA_VERSION
            while version in MIGRATIONS:
                connection.executescript(f"BEGIN; {MIGRATIONS[version]} PRAGMA user_version = {version + 1}; COMMIT;")
                version += 1
            if version != SCHEMA_VERSION:
                connection.close()
                raise LogUnusable(f"{self._path} has schema {version}, this release reads {SCHEMA_VERSION}: move the file away or upgrade")
        return connection


def _primary(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; -1 for an error of the driver itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def _not_now(error: sqlite3.Error) -> str | None:
    """What to do about an error that has nothing to do with the row; None for another one."""
    return _ENVIRONMENT.get(_primary(error))


def _window(loop: str, since: float, until: float, version: str | None, answered: bool) -> tuple[str, list[object]]:
    """The condition for exchanges of a window, and its values."""
    where, values = "loop = ? AND at >= ? AND at < ?", [loop, since, until]
    if version is not None:
        where += " AND version = ?"
        values.append(version)
    return where + (f" AND status = {ANSWERED}" if answered else ""), values


def _exchange(row: Sequence[Any]) -> Exchange:
    return Exchange(*_with_truths(row, _EXCHANGE_TRUTHS))


def _shadow_answer(row: Sequence[Any]) -> ShadowAnswer:
    return ShadowAnswer(*_with_truths(row, _SHADOW_TRUTHS))


def _by_user(row: Sequence[Any]) -> tuple[ByUser, ByUser]:
    return ByUser(*row[:2]), ByUser(*row[2:])


def _with_truths(row: Sequence[Any], places: Collection[int]) -> list[Any]:
    return [_truth(value) if number in places else value for number, value in enumerate(row)]


def _truth(stored: int | None) -> bool | None:
    return None if stored is None else bool(stored)
