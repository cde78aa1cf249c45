"""The traffic log in a PostgreSQL database, shared by machines."""

import json
import re
import secrets
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, fields
from typing import Any

from ftassets.backends.postgres.base import DatabaseTables
from ftassets.backends.postgres.dump import PostgresTables
from ftassets.backends.postgres.pool import Connections, Link, Use, errors, is_lost, reason
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

_USE = Use("the traffic log", "FTASSETS_TRAFFIC_URL", LogUnreachable, LogUnusable)
LOCK_SECONDS = 30.0  # how long wiping waits for others that use the tables
SCHEMA_VERSION = 11
_TYPES = {
    str: "text",
    int: "bigint",
    float: "double precision",
    float | None: "double precision",
    int | None: "bigint",
    str | None: "text",
    bool | None: "boolean",
}


def _typed(row: type[Exchange] | type[ShadowAnswer]) -> str:
    return ", ".join(f'"{column.name}" {_TYPES[column.type]}' for column in fields(row))  # type: ignore[index]


_COLUMNS = [f'"{column.name}"' for column in fields(Exchange)]
_SHADOW_COLUMNS = [f'"{column.name}"' for column in fields(ShadowAnswer)]
_COUNTS = """
CREATE INDEX traffic_exchange_by_version ON traffic_exchange (loop, version, at, number) INCLUDE (weight, status, well_formed);
CREATE INDEX traffic_feedback_by_answer ON traffic_feedback (loop, asked_at);
"""
_ARRIVALS = """
CREATE INDEX traffic_exchange_by_arrival ON traffic_exchange (loop, stored_at, number);
CREATE INDEX traffic_feedback_corrections ON traffic_feedback (loop, stored_at) INCLUDE (asked_at) WHERE correction <> '';
"""
_SHADOW = """
CREATE TABLE traffic_shadow (
    request_id text NOT NULL REFERENCES traffic_exchange (id) ON DELETE CASCADE, loop text NOT NULL, version text NOT NULL,
    production text NOT NULL, "user" text NOT NULL, at double precision NOT NULL, status bigint NOT NULL,
    latency_ms double precision NOT NULL, first_token_ms double precision, tokens_in bigint, tokens_out bigint, well_formed boolean,
    refused boolean, production_status bigint NOT NULL, production_latency_ms double precision NOT NULL,
    production_first_token_ms double precision, production_tokens_out bigint, production_well_formed boolean,
    production_refused boolean, agrees boolean, answer text NOT NULL, error text, PRIMARY KEY (request_id, version)
);
CREATE INDEX traffic_shadow_by_version ON traffic_shadow (loop, version, at);
"""
_BY_USER = """CREATE INDEX traffic_exchange_by_user ON traffic_exchange ("user", at, number) WHERE "user" <> '';"""
# what is told of an answer when it is logged, so that nobody reads texts to count it
_TOLD = """
ALTER TABLE traffic_exchange ADD COLUMN refused boolean, ADD COLUMN other_language boolean;
ALTER TABLE traffic_shadow ADD COLUMN other_language boolean, ADD COLUMN production_other_language boolean;
"""
SCHEMA = f"""
CREATE TABLE traffic_exchange (
    number bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY, loop text NOT NULL, version text NOT NULL, "user" text NOT NULL,
    prompt text NOT NULL, messages text NOT NULL, answer text NOT NULL, status bigint NOT NULL, at double precision NOT NULL,
    latency_ms double precision NOT NULL, first_token_ms double precision, tokens_in bigint, tokens_out bigint,
    weight double precision NOT NULL, error text, well_formed boolean, stored_at double precision NOT NULL DEFAULT 0,
    client text
);
CREATE INDEX traffic_exchange_by_time ON traffic_exchange (loop, at, number);
CREATE TABLE traffic_feedback (
    number bigint GENERATED ALWAYS AS IDENTITY, id uuid PRIMARY KEY,
    request_id text NOT NULL REFERENCES traffic_exchange (id) ON DELETE CASCADE,
    at double precision NOT NULL, rating text, correction text,
    loop text NOT NULL, version text NOT NULL, asked_at double precision NOT NULL, comment text, tags text,
    stored_at double precision NOT NULL DEFAULT 0
);
CREATE INDEX traffic_feedback_by_request ON traffic_feedback (request_id, at, number);
{_COUNTS}
{_ARRIVALS}
CREATE TABLE traffic_forgotten (id text PRIMARY KEY, "user" text);
{_SHADOW}
{_TOLD}
{_BY_USER}
CREATE TABLE traffic_schema (version bigint NOT NULL);
"""
MIGRATIONS = {
    # from 0..1 to percent; the table is written anew, with its old rows gone from its files
    1: """
ALTER TABLE traffic_exchange RENAME COLUMN share TO weight;
ALTER TABLE traffic_exchange ALTER COLUMN weight TYPE double precision USING 100 * weight;
""",
    # counts are made without reading texts, and without reading what is not counted
    2: f"""
ALTER TABLE traffic_exchange ADD COLUMN well_formed boolean;
ALTER TABLE traffic_feedback ADD COLUMN loop text, ADD COLUMN version text, ADD COLUMN asked_at double precision;
UPDATE traffic_feedback f SET loop = e.loop, version = e.version, asked_at = e.at FROM traffic_exchange e WHERE e.id = f.request_id;
ALTER TABLE traffic_feedback ALTER COLUMN loop SET NOT NULL, ALTER COLUMN version SET NOT NULL, ALTER COLUMN asked_at SET NOT NULL;
{_COUNTS}
CREATE INDEX traffic_feedback_corrections ON traffic_feedback (loop, at) INCLUDE (asked_at) WHERE correction <> '';
""",
    3: "ALTER TABLE traffic_feedback ADD COLUMN comment text;",
    4: "ALTER TABLE traffic_feedback ADD COLUMN tags text;",
    # what is new is known by its arrival: a row may have any time
    5: f"""
ALTER TABLE traffic_exchange ADD COLUMN stored_at double precision NOT NULL DEFAULT 0;
ALTER TABLE traffic_feedback ADD COLUMN stored_at double precision NOT NULL DEFAULT 0;
UPDATE traffic_feedback SET stored_at = least(at, extract(epoch FROM clock_timestamp()));
DROP INDEX traffic_feedback_corrections;
{_ARRIVALS}
""",
    6: 'ALTER TABLE traffic_forgotten ADD COLUMN "user" text;',
    7: _SHADOW,
    8: "ALTER TABLE traffic_exchange ADD COLUMN client text;",
    9: _TOLD,
    10: _BY_USER,
}  # from this schema to the next one
_SETUP_LOCK = 0x66746173  # any number, the same for all who create the tables
_NOW = "extract(epoch FROM clock_timestamp())"
_APPEND = f"""
WITH stored AS (
    INSERT INTO traffic_exchange ({", ".join(_COLUMNS)}, stored_at)
    SELECT {", ".join(f"r.{column}" for column in _COLUMNS)}, {_NOW}
    FROM ROWS FROM (json_to_recordset(CAST(:rows AS json)) AS ({_typed(Exchange)}))
        WITH ORDINALITY AS r ({", ".join(_COLUMNS)}, place)
    WHERE NOT EXISTS (SELECT 1 FROM traffic_forgotten f WHERE f.id = r.id)
    ORDER BY place
    ON CONFLICT (id) DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM stored"""
# with the same lock as `_ADD_FEEDBACK`
_APPEND_SHADOW = f"""
WITH given AS (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r ({_typed(ShadowAnswer)})
),
known AS (SELECT id FROM traffic_exchange WHERE id IN (SELECT request_id FROM given) ORDER BY id FOR KEY SHARE),
stored AS (
    INSERT INTO traffic_shadow ({", ".join(_SHADOW_COLUMNS)})
    SELECT {", ".join(f"g.{column}" for column in _SHADOW_COLUMNS)} FROM given g WHERE g.request_id IN (SELECT id FROM known)
    ON CONFLICT (request_id, version) DO NOTHING RETURNING 1
)
SELECT count(*) FROM stored"""
_SHADOW_ANSWERS = f"""
SELECT {", ".join(_SHADOW_COLUMNS)} FROM traffic_shadow WHERE loop = :loop AND version = :version
AND at >= CAST(:since AS double precision) ORDER BY at DESC, request_id DESC LIMIT CAST(:most AS bigint)"""
# the lock on the exchange's row makes a concurrent `forget` wait, or this statement find that the row is gone
_FEEDBACK = uuid.UUID("6f1d1b0e-6f0a-4d3b-9a52-3d0c9a7f2e11")  # namespace of the ids
_ADD_FEEDBACK = f"""
WITH known AS (SELECT id, loop, version, at FROM traffic_exchange WHERE id = :request_id FOR KEY SHARE),
stored AS (
    INSERT INTO traffic_feedback (id, request_id, at, rating, correction, comment, tags, loop, version, asked_at, stored_at)
    SELECT CAST(:id AS uuid), id, CAST(:at AS double precision), CAST(:rating AS text), CAST(:correction AS text),
        CAST(:comment AS text), CAST(:tags AS text), loop, version, at, {_NOW}
    FROM known
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
SELECT (SELECT count(*) FROM known), (SELECT count(*) FROM stored)"""
_SELECTED = ", ".join(f"e.{column}" for column in _COLUMNS)
_WINDOW = "WHERE loop = :loop AND at >= CAST(:since AS double precision) AND at < CAST(:until AS double precision)"
_LAST = "(CAST(:since AS double precision), CAST(:number AS bigint))"
_ARRIVED = f"""
SELECT e.stored_at, e.number, {_SELECTED} FROM traffic_exchange e
WHERE loop = :loop AND status = {ANSWERED} AND at >= CAST(:asked_since AS double precision) AND (stored_at, number) > {_LAST}
ORDER BY stored_at, number LIMIT {PAGE}"""
# the correction of an answer, as `added_up` finds it
_CORRECTION = """
    SELECT n.correction FROM traffic_feedback n WHERE n.request_id = f.request_id AND n.correction <> '' {and_when}
    ORDER BY n.at DESC, n.number DESC LIMIT 1
"""
# the last thumb of each answer, and whether it has a correction, as `added_up` finds them
_SAID = """
    SELECT request_id, max(rating) FILTER (WHERE place = 1) AS thumb, coalesce(bool_or(correction <> ''), false) AS corrected FROM (
        SELECT request_id, correction, CASE WHEN rating IN ('up', 'down') THEN rating END AS rating, row_number() OVER (
            PARTITION BY request_id, rating IN ('up', 'down') ORDER BY f.at DESC, f.number DESC
        ) AS place
        FROM traffic_feedback f {of_answers} WHERE f.loop = :loop AND f.version = :version
        AND asked_at >= CAST(:since AS double precision) AND asked_at < CAST(:until AS double precision) {and_when}
    ) events GROUP BY request_id
"""
# rows of an earlier release have no arrival
_ARRIVED_AT = "greatest(e.stored_at, e.at)"
_AGE = f"greatest(f.at - e.at, f.stored_at - {_ARRIVED_AT})"
_OF_ANSWERS = "JOIN traffic_exchange e ON e.id = f.request_id"
_BY_AGE = f"AND {_AGE} <= CAST(:age AS double precision) AND {_ARRIVED_AT} <= CAST(:arrived AS double precision)"
_WITH_FEEDBACK = f"""
SELECT f.asked_at, e.number, {_SELECTED} FROM (
    SELECT DISTINCT request_id, asked_at FROM traffic_feedback WHERE loop = :loop AND asked_at >= CAST(:since AS double precision)
) f JOIN traffic_exchange e ON e.id = f.request_id
WHERE (f.asked_at, e.number) > {_LAST} ORDER BY f.asked_at, e.number LIMIT {PAGE}"""
_EXCHANGES_NAMED = f"""
SELECT {_SELECTED} FROM traffic_exchange e
WHERE e.loop = coalesce(CAST(:loop AS text), e.loop) AND e.id IN (SELECT json_array_elements_text(CAST(:names AS json)))"""
_OF_USER = f"""
SELECT e.at, e.number, {_SELECTED} FROM traffic_exchange e
WHERE "user" = :user AND "user" <> '' AND (at, number) > {_LAST} ORDER BY at, number LIMIT {PAGE}"""
_DERIVED = """
SELECT e.id FROM traffic_exchange e, json_array_elements_text(CAST(:names AS json)) begin WHERE starts_with(e.id, begin)"""
_SERVED = f"""
SELECT version, CAST(floor(stored_at / {MINUTE}) AS bigint) AS minute, count(*) FILTER (WHERE status = {ANSWERED}),
    count(*) FILTER (WHERE status <> {ANSWERED}),
    count(*) FILTER (WHERE status = {ANSWERED} AND (tokens_in IS NULL OR tokens_out IS NULL)),
    CAST(coalesce(sum(tokens_in), 0) AS bigint), CAST(coalesce(sum(tokens_out), 0) AS bigint), sum(latency_ms)
FROM traffic_exchange
WHERE loop = :loop AND stored_at >= CAST(:since AS double precision) AND stored_at < CAST(:until AS double precision)
AND stored_at < at + latency_ms / 1000 + {LATE} GROUP BY version, minute"""
_FEEDBACK_COUNTS = f"""
SELECT count(*), count(*) FILTER (WHERE thumb = 'down'), count(*) FILTER (WHERE corrected)
FROM ({_SAID.format(of_answers="", and_when="")}) f"""
_FEEDBACK_BY_USER = f"""
SELECT count(*), coalesce(sum(liked), 0), count(*), coalesce(sum(uncorrected), 0) FROM (
    SELECT avg(CASE WHEN thumb IS DISTINCT FROM 'down' THEN 1.0 ELSE 0.0 END) AS liked,
        avg(CASE WHEN corrected THEN 0.0 ELSE 1.0 END) AS uncorrected
    FROM ({_SAID.format(of_answers=_OF_ANSWERS, and_when=_BY_AGE)}) rated JOIN traffic_exchange e ON e.id = rated.request_id
    GROUP BY CASE e."user" WHEN '' THEN e.id ELSE e."user" END, e."user" = ''
) users"""
_FEEDBACK_AGES = f"""
SELECT CAST(floor(greatest({_AGE}, 0) / 3600) AS bigint) AS hours, count(*) FILTER (WHERE rating = 'up'),
    count(*) FILTER (WHERE rating = 'down'), count(*) FILTER (WHERE correction <> '')
FROM traffic_feedback f {_OF_ANSWERS}
WHERE f.loop = :loop AND asked_at >= CAST(:since AS double precision) AND asked_at < CAST(:until AS double precision) GROUP BY hours"""
_OUTCOMES_BY_USER = f"""
SELECT count(answered), coalesce(sum(answered), 0), count(formed), coalesce(sum(formed), 0) FROM (
    SELECT avg(CASE WHEN status = {ANSWERED} THEN 1.0 ELSE 0.0 END) AS answered,
        avg(CASE WHEN well_formed THEN 1.0 WHEN NOT well_formed AND error IS NULL THEN 0.0 END)
            FILTER (WHERE status = {ANSWERED}) AS formed
    FROM traffic_exchange WHERE loop = :loop AND version = :version AND at >= CAST(:since AS double precision)
    AND at < CAST(:until AS double precision) AND (status = {ANSWERED} OR status >= 500)
    GROUP BY CASE "user" WHEN '' THEN id ELSE "user" END, "user" = ''
) users"""
_CORRECTED = f"""
SELECT request_id, newest FROM (
    SELECT request_id, max(stored_at) AS newest FROM traffic_feedback WHERE loop = :loop AND correction <> ''
    AND stored_at >= CAST(:since AS double precision) AND asked_at >= CAST(:asked_since AS double precision) GROUP BY request_id
) f WHERE ({_CORRECTION.format(and_when="")})
IS DISTINCT FROM ({_CORRECTION.format(and_when="AND n.stored_at < CAST(:since AS double precision)")})"""
# as `Outcomes` has it: an answer without the form counts unless the client's own settings explain it
_MALFORMED = f"status = {ANSWERED} AND well_formed = false"
_FAILED = f"(status >= 500 OR ({_MALFORMED} AND error IS NULL))"
_JUDGED = f"({_FAILED} OR (status = {ANSWERED} AND well_formed))"
_OF_VERSIONS = """WHERE loop = :loop AND version IN (SELECT json_array_elements_text(CAST(:versions AS json)))
AND at >= CAST(:since AS double precision)"""
# only rows without the form are read whole; the others are counted in the index
_OUTCOMES = f"""
SELECT version, weight, status, well_formed, sum(number) FROM (
    SELECT version, weight, status, well_formed, count(*) AS number FROM traffic_exchange
    {_OF_VERSIONS} AND at < CAST(:until AS double precision) AND ({_MALFORMED}) IS NOT TRUE GROUP BY version, weight, status, well_formed
    UNION ALL
    SELECT version, weight, status, CASE WHEN error IS NULL THEN false END, count(*) FROM traffic_exchange
    {_OF_VERSIONS} AND at < CAST(:until AS double precision) AND {_MALFORMED} GROUP BY version, weight, status, error IS NULL
) counted GROUP BY version, weight, status, well_formed"""
_NUMBER = "CAST(floor((at - CAST(:since AS double precision)) / CAST(:window AS double precision)) AS bigint)"
_FIRST_LAPSES = first_lapses("traffic_exchange", _NUMBER)
_FIRST_REPROOFS = first_reproofs("traffic_feedback", "traffic_exchange", _NUMBER)
_LAPSES = counts("traffic_exchange", "SELECT json_array_elements_text(CAST(:without AS json))")
_FEEDBACK_LAPSES = feedback_counts(_SAID.format(of_answers="", and_when=""), "traffic_exchange")
_ENDED = ended("traffic_exchange")
_DISCORDANT, _SHADOW_COUNTS = discordant("traffic_shadow", _NUMBER), shadow_counts("traffic_shadow")
_USERS = """
SELECT count(*) FROM (
    SELECT DISTINCT "user" FROM traffic_exchange
    WHERE loop = :loop AND version = :version AND at >= CAST(:since AS double precision) LIMIT CAST(:most AS bigint)
) found"""
_TIME_OF_NEWEST = f"""
SELECT at FROM traffic_exchange WHERE loop = :loop AND version = :version AND at >= CAST(:since AS double precision) AND {_JUDGED}
ORDER BY at DESC, number DESC LIMIT 1 OFFSET CAST(:before AS bigint)"""
_FIRST_TIME = "SELECT min(at) FROM traffic_exchange WHERE loop = :loop AND at >= CAST(:since AS double precision)"
_ROW_BYTES = 560  # of a row without its texts, indexes included, as measured on a log of 50,000 rows
_TEXT_BYTES = " + ".join(f"coalesce(pg_column_size({name}), 0)" for name in ("prompt", "messages", "answer", "error"))
_SAMPLED = f"""
SELECT count(*), coalesce(sum({_ROW_BYTES} + {_TEXT_BYTES}), 0) FROM traffic_exchange {_WINDOW}
AND (number % 2147483647 * 2654435761) % 4294967296 < CAST(:share AS double precision)"""
_FEEDBACK_EVENTS = """
SELECT request_id, at, rating, correction, comment, tags FROM traffic_feedback
WHERE request_id IN (SELECT json_array_elements_text(CAST(:names AS json))) ORDER BY number"""
_KNOWN = "json_to_recordset(CAST(:known AS json)) AS k (id text, events bigint)"
_LOCK_KNOWN = f"""
SELECT count(*) FROM (
    SELECT 1 FROM traffic_exchange WHERE loop = :loop AND id IN (SELECT k.id FROM {_KNOWN}) ORDER BY id FOR UPDATE
) locked"""
_REMOVE_KNOWN = f"""
WITH gone AS (
    DELETE FROM traffic_exchange e USING {_KNOWN} WHERE e.id = k.id AND e.loop = :loop
    AND k.events = (SELECT count(*) FROM traffic_feedback f WHERE f.request_id = e.id) RETURNING 1
)
SELECT count(*) FROM gone"""
_TABLES = ("traffic_exchange", "traffic_feedback", "traffic_shadow")  # with texts of users
_SIZE = "SELECT " + " + ".join(f"pg_total_relation_size('{table}')" for table in _TABLES)
_TO_FORGET = """
SELECT id FROM traffic_exchange WHERE "user" = :user AND "user" <> '' AND loop = coalesce(CAST(:loop AS text), loop)
UNION
SELECT named.id FROM json_array_elements_text(CAST(:names AS json)) AS named (id) LEFT JOIN traffic_exchange e ON e.id = named.id
WHERE e.id IS NULL OR e.loop = coalesce(CAST(:loop AS text), e.loop)"""
_REMEMBER = """
INSERT INTO traffic_forgotten (id, "user") SELECT name, CAST(:user AS text) FROM json_array_elements_text(CAST(:names AS json)) name
ON CONFLICT (id) DO UPDATE SET "user" = coalesce(excluded."user", traffic_forgotten."user")"""
_REMEMBERED = """SELECT id FROM traffic_forgotten WHERE CAST(:user AS text) IS NULL OR "user" = CAST(:user AS text)"""
_NAMED = "(SELECT json_array_elements_text(CAST(:names AS json)))"
_AGAIN = "forget them once more, when the server has room for a second copy of the log and no long query reads from it"
_ESCAPES = {0: "\x010", 1: "\x011"}


def tables(url: str) -> DatabaseTables:
    """All that a traffic log has in a database, for a backup. Raises as `PostgresTrafficLog` does."""
    names = ("exchange", "feedback", "forgotten", "shadow", "schema")
    return PostgresTables("traffic_log", url, _USE, [f"traffic_{name}" for name in names], "traffic_schema")


class PostgresTrafficLog(TrafficLog):
    """Rows outlive a kill of any process and, unless the server's fsync is off, a power cut.

    Threads and forked processes may share one; each call takes a connection of a pool, or opens one. A call whose connection
    breaks is done again once on a new one, which is safe: every write is known by its id. `append` then counts as new only what
    the second attempt stored.
    """

    def __init__(self, url: str) -> None:
        """`url` as in FTASSETS_TRAFFIC_URL. Raises ConfigurationError if it is invalid or the driver is missing. Does not connect yet."""
        self._server = Connections(url, _USE, _set_up)

    def check(self) -> str:
        [[version, fsync]] = self._server.do(lambda link: link.run("SELECT current_setting('server_version'), current_setting('fsync')"))
        place = f"PostgreSQL {version} at {self._server.where.place}"
        row = probe(secrets.token_hex(512))
        if self._server.do(lambda link: _there_and_back(link, row)) != row.answer:
            raise LogUnusable(f"{place} does not give back what was written: check its tables and disks")
        return place if fsync == "on" else f"{place}, fsync is off: a power cut may lose rows"

    def append(self, exchanges: Sequence[Exchange]) -> int:
        if not exchanges:
            return 0
        rows = _rows(exchanges)
        return self._server.do(lambda link: link.run(_APPEND, rows=rows))[0][0]

    def add_feedback(self, feedback: Feedback) -> bool:
        row = {name: _escaped(value) for name, value in asdict(feedback).items()}
        same = str(uuid.uuid5(_FEEDBACK, json.dumps(list(row.values()))))  # of the same words at the same time, whoever adds them
        [[known, stored]] = self._server.do(lambda link: link.run(_ADD_FEEDBACK, **row, id=same))
        if not known:
            raise UnknownAnswer(f"there is no answer {feedback.request_id!r} in the log")
        return bool(stored)

    def stream(
        self, loop: str, since: float = 0.0, until: float = float("inf"), version: str | None = None, answered: bool = False
    ) -> Iterator[Exchange]:
        query = f"""SELECT e.at, e.number, {_SELECTED} FROM traffic_exchange e
            {_window(version, answered)} AND (at, number) > {_LAST} ORDER BY at, number LIMIT {PAGE}"""
        values = {"loop": loop, "until": until} | ({} if version is None else {"version": version})
        return (Exchange(*row) for row in self._pages(query, since, **values))

    def arrivals(self, loop: str, since: float = 0.0, asked_since: float = 0.0) -> Iterator[Arrival]:
        number = 0  # of the last row read; numbers begin at 1
        while True:
            page = self._run(_ARRIVED, loop=loop, since=since, number=number, asked_since=asked_since)
            yield from (Arrival(row[0], Exchange(*row[2:])) for row in page)
            if len(page) < PAGE:
                return
            since, number = page[-1][:2]

    def named(self, loop: str | None, request_ids: Sequence[str]) -> list[Exchange]:
        rows = self._run(_EXCHANGES_NAMED, loop=loop, names=_to_json(list(map(_escaped, request_ids))))
        return [Exchange(*row) for row in rows]

    def of_user(self, user: str) -> Iterator[Exchange]:
        return (Exchange(*row) for row in self._pages(_OF_USER, float("-inf"), user=_escaped(user)))

    def derived(self, names: Collection[str]) -> set[str]:
        return {row[0] for row in self._run(_DERIVED, names=_to_json([_escaped(f"{name}:") for name in names]))}

    def count(self, loop: str, since: float = 0.0, until: float = float("inf"), answered: bool = False) -> int:
        query = f"SELECT count(*) FROM traffic_exchange {_window(None, answered)}"
        return self._run(query, loop=loop, since=since, until=until)[0][0]

    def outcomes(self, loop: str, versions: Sequence[str], since: float = 0.0, until: float = float("inf")) -> list[Outcomes]:
        names = _to_json(list(map(_escaped, versions)))
        rows = self._run(_OUTCOMES, loop=loop, versions=names, since=since, until=until)
        return [Outcomes(version, weight, status, well_formed, int(count)) for version, weight, status, well_formed, count in rows]

    def first_lapses(self, loop: str, pair: Pair, since: float, window: float) -> list[FirstLapse]:
        values = {"loop": loop, "since": since, "window": window, **pair_values(pair)}
        values_of_feedback = {name: values[name] for name in ("loop", "since", "window", "candidate", "production")}
        of_answers = firsts_of(self._run(_FIRST_LAPSES, **values), OF_ANSWER)
        return of_answers + firsts_of(self._run(_FIRST_REPROOFS, **values_of_feedback), OF_FEEDBACK)

    def lapse_counts(
        self, loop: str, version: str, since: float, until: float, limits: Limits, without: Collection[str] = ()
    ) -> Mapping[Lapse, LapseCounts]:
        [of_answers] = self._run(
            _LAPSES, loop=loop, since=since, until=until, without=_to_json(list(without)), **limit_values(version, limits)
        )
        [of_feedback] = self._run(_FEEDBACK_LAPSES, loop=loop, version=version, since=since, until=until)
        return {**counts_of(of_answers, OF_ANSWER), **counts_of(of_feedback, OF_FEEDBACK)}

    def ended(self, loop: str, version: str, since: float, until: float, most: int) -> list[Ended]:
        return [Ended(*row) for row in self._run(_ENDED, loop=loop, version=version, since=since, until=until, most=most)]

    def users(self, loop: str, version: str, since: float, most: int) -> int:
        return self._run(_USERS, loop=loop, version=version, since=since, most=most)[0][0]

    def outcomes_by_user(self, loop: str, version: str, since: float, until: float) -> tuple[ByUser, ByUser]:
        return self._by_user(_OUTCOMES_BY_USER, loop=loop, version=version, since=since, until=until)

    def time_of_newest(self, loop: str, version: str, number: int, since: float = 0.0) -> float | None:
        found = self._run(_TIME_OF_NEWEST, loop=loop, version=version, since=since, before=number - 1)
        return found[0][0] if found else None

    def last_time(self, loop: str, until: float) -> float | None:
        query = "SELECT at FROM traffic_exchange WHERE loop = :loop AND at < :until ORDER BY at DESC LIMIT 1"
        return next((at for (at,) in self._run(query, loop=loop, until=until)), None)

    def served(self, loop: str, since: float, until: float) -> list[ServedMinute]:
        return [ServedMinute(*row) for row in self._run(_SERVED, loop=loop, since=since, until=until)]

    def with_feedback(self, loop: str, since: float = 0.0) -> Iterator[Exchange]:
        return (Exchange(*row) for row in self._pages(_WITH_FEEDBACK, since, loop=loop))

    def feedback_counts(self, loop: str, version: str, since: float = 0.0, until: float = float("inf")) -> FeedbackCounts:
        return FeedbackCounts(*self._run(_FEEDBACK_COUNTS, loop=loop, version=version, since=since, until=until)[0])

    def feedback_by_user(
        self, loop: str, version: str, since: float, until: float, age: float = float("inf"), arrived: float = float("inf")
    ) -> tuple[ByUser, ByUser]:
        return self._by_user(_FEEDBACK_BY_USER, loop=loop, version=version, since=since, until=until, age=age, arrived=arrived)

    def feedback_ages(self, loop: str, since: float, until: float) -> list[FeedbackAge]:
        return [FeedbackAge(*row) for row in self._run(_FEEDBACK_AGES, loop=loop, since=since, until=until)]

    def _by_user(self, query: str, **values: Any) -> tuple[ByUser, ByUser]:
        [row] = self._run(query, **values)
        return ByUser(row[0], float(row[1])), ByUser(row[2], float(row[3]))

    def corrected(self, loop: str, since: float = 0.0, asked_since: float = 0.0) -> dict[str, float]:
        return {name: at for name, at in self._run(_CORRECTED, loop=loop, since=since, asked_since=asked_since)}

    def append_shadow(self, answers: Sequence[ShadowAnswer]) -> int:
        if not answers:
            return 0
        rows = _rows(answers)
        return self._server.do(lambda link: link.run(_APPEND_SHADOW, rows=rows))[0][0]

    def shadow_answers(self, loop: str, version: str, since: float, most: int) -> list[ShadowAnswer]:
        return [ShadowAnswer(*row) for row in self._run(_SHADOW_ANSWERS, loop=loop, version=version, since=since, most=most)]

    def discordant(self, loop: str, pair: Pair, since: float, window: float) -> list[Discordant]:
        return discordant_of(self._run(_DISCORDANT, loop=loop, since=since, window=window, **pair_values(pair)))

    def shadow_counts(self, loop: str, pair: Pair, since: float) -> ShadowCounts:
        [row] = self._run(_SHADOW_COUNTS, loop=loop, since=since, **pair_values(pair))
        return shadow_counts_of(row)

    def forget(self, loop: str | None = None, user: str | None = None, request_ids: Sequence[str] = ()) -> list[str]:
        check_forget(user, request_ids)
        names = _to_json([_escaped(name) for name in request_ids])
        found: set[str] = set()  # by all attempts: when only the answer to a commit was lost, the next one finds the user's rows gone

        def delete(link: Link) -> None:
            link.run("BEGIN")
            # what is found must be what is deleted, and an append on its way must see what is forgotten
            link.run("LOCK TABLE traffic_exchange IN SHARE ROW EXCLUSIVE MODE")
            ids = [row[0] for row in link.run(_TO_FORGET, user=_escaped(user), loop=_escaped(loop), names=names)]
            link.run(f"DELETE FROM traffic_exchange WHERE id IN {_NAMED}", names=_to_json(ids))
            link.run(_REMEMBER, names=_to_json(ids), user=_escaped(user))
            found.update(ids)
            link.run("COMMIT")

        self._server.do(delete)
        self._wipe()
        return sorted(_unescaped(name) for name in found)

    def forgotten(self, user: str | None = None) -> set[str]:
        return {row[0] for row in self._run(_REMEMBERED, user=user)}

    def first_time(self, loop: str, since: float = float("-inf")) -> float | None:
        return self._run(_FIRST_TIME, loop=loop, since=since)[0][0]

    def sampled(self, loop: str, since: float, until: float, share: float) -> tuple[int, int]:
        [[rows, size]] = self._run(_SAMPLED, loop=loop, since=since, until=until, share=share * 2**32)
        return rows, int(size)

    def feedback_events(self, request_ids: Sequence[str]) -> dict[str, list[Feedback]]:
        found: dict[str, list[Feedback]] = {}
        for row in self._run(_FEEDBACK_EVENTS, names=_to_json(list(map(_escaped, request_ids)))):
            found.setdefault(row[0], []).append(Feedback(*row))
        return found

    def remove(self, loop: str, events: Mapping[str, int]) -> int:
        removed, names = 0, list(events)
        for start in range(0, len(names), PAGE):
            known = _to_json([{"id": _escaped(name), "events": events[name]} for name in names[start : start + PAGE]])

            def delete(link: Link, known: str = known) -> int:
                link.run("BEGIN")
                # waits for feedback that is being stored; only a statement that begins after it sees it
                link.run(_LOCK_KNOWN, known=known, loop=_escaped(loop))
                [[gone]] = link.run(_REMOVE_KNOWN, known=known, loop=_escaped(loop))
                link.run("COMMIT")
                return int(gone)

            removed += self._server.do(delete)
        return removed

    def reclaim(self) -> None:
        """What autovacuum would do later. It blocks no other process, and shrinks the files only where their ends are empty."""
        link = self._server.open(None)
        with closing(link), suppress(*errors()):  # autovacuum comes anyway
            link.run("SET statement_timeout = 0")
            for table in _TABLES:
                link.run(f"VACUUM {table}")

    def size(self) -> LogSize:
        [[size]] = self._run(_SIZE)
        return LogSize(int(size), None)

    def _run(self, query: str, **values: Any) -> list[list[Any]]:
        """The rows of a query, with texts as they were stored."""
        escaped = {name: _escaped(value) for name, value in values.items()}
        rows = self._server.do(lambda link: link.run(query, **escaped))
        return [[_unescaped(value) for value in row] for row in rows]

    def _pages(self, query: str, since: float, **values: Any) -> Iterator[list[Any]]:
        """Rows of a query, without the time and number it sorts by, page by page: no statement takes long however wide the window."""
        at, number = since, 0  # numbers begin at 1
        while True:
            page = self._run(query, since=at, number=number, **values)
            yield from (row[2:] for row in page)
            if len(page) < PAGE:
                return
            at, number = page[-1][:2]

    def _wipe(self) -> None:
        """Leave no copy of deleted rows in the tables' files: they are written anew, while everybody else waits."""
        left = f"the rows are deleted from {self._server.where.place}, but their text is still in its files"
        link = None
        expected: tuple[type[Exception], ...] = (LogUnreachable, *errors())
        try:
            link = self._server.open(None)  # the server may be silent for long
            link.run("SET statement_timeout = 0")
            link.run(f"SET lock_timeout = {LOCK_SECONDS * 1000:.0f}")
            for table in _TABLES:
                link.connection.notices.clear()
                link.connection.execute_simple(f"VACUUM (FULL, VERBOSE) {table}")
                # what an older snapshot may still see is copied too, and a table of another owner is left alone: only the notices say so
                details = (notice.get(b"D", b"") for notice in link.connection.notices)
                kept = [int(found[0]) for detail in details if (found := re.search(rb"\d+", detail))]
                if kept != [0]:
                    why = "a long transaction may still read them" if kept else f"{self._server.where.user} does not own {table}"
                    raise StillReadable(f"{left} ({why}): {_AGAIN}")
        except expected as error:
            raise StillReadable(f"{left} ({reason(error)}): {_AGAIN}") from error
        finally:
            if link is not None:
                link.close()


def _set_up(link: Link, patiently: Callable[[], Link], place: str) -> None:
    """Create missing tables, and migrate those of an earlier release to this one's schema.

    `patiently` opens a connection for what may take long. Raises LogUnusable for tables of a newer release or those that this user may
    not change, and for a database that is not UTF-8.
    """
    [[encoding]] = link.run("SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise LogUnusable(f"{place} stores {encoding}, which not every text fits: CREATE DATABASE ... ENCODING 'UTF8'")
    if _version(link, place) in (None, *MIGRATIONS):
        other = patiently()
        try:
            _create_or_migrate(other, place)
        finally:
            other.close()
    version = _version(link, place)
    if version != SCHEMA_VERSION:
        raise LogUnusable(
            f"{place} has traffic schema {version}, this release reads {SCHEMA_VERSION}: upgrade ftassets, or take another database"
        )


def _version(link: Link, place: str) -> int | None:
    """Number of the schema; None when there are no tables. Raises LogUnusable when the table with the number is empty."""
    if link.run("SELECT to_regclass('traffic_schema') IS NULL") == [[True]]:
        return None
    [[version]] = link.run("SELECT max(version) FROM traffic_schema")
    if version is None:
        raise LogUnusable(f"{place} has an empty table traffic_schema, its schema is not known: restore its row, or take another database")
    return version


def _create_or_migrate(link: Link, place: str) -> None:
    """All in one transaction: others see the tables as they were or as they are to be."""
    link.run("BEGIN")
    link.run("SET LOCAL statement_timeout = 0")  # a long log is written anew
    link.run(f"SELECT pg_advisory_xact_lock({_SETUP_LOCK})")  # processes that start together take turns
    version = _version(link, place)
    if version is None:
        link.connection.execute_simple(f"{SCHEMA} INSERT INTO traffic_schema VALUES ({SCHEMA_VERSION})")
        version = SCHEMA_VERSION
    while version in MIGRATIONS:
        try:
            link.connection.execute_simple(f"{MIGRATIONS[version]} UPDATE traffic_schema SET version = {version + 1}")
        except errors() as error:
            if is_lost(error):
                raise
            raise LogUnusable(
                f"{place} has traffic schema {version}, which cannot be brought to {version + 1} ({reason(error)}): start one process of "
                "this release as the owner of the tables, then the others"
            ) from None
        version += 1
    link.run("COMMIT")


def _rows(exchanges: Sequence[Exchange | ShadowAnswer]) -> str:
    return _to_json([{name: _escaped(value) for name, value in asdict(exchange).items()} for exchange in exchanges])


def _there_and_back(link: Link, row: Exchange) -> str:
    """The answer of a row that was stored and read; it is gone again for everybody else."""
    link.run("BEGIN")
    link.run(_APPEND, rows=_rows([row]))
    [[answer]] = link.run("SELECT answer FROM traffic_exchange WHERE id = :id", id=row.id)
    link.run("DELETE FROM traffic_exchange WHERE id = :id", id=row.id)
    link.run("COMMIT")  # an error before it closes the connection, and the server takes everything back
    return str(answer)


def _window(version: str | None, answered: bool) -> str:
    """The condition for exchanges of a window: a fixed text for each kind of window, so that it is prepared once."""
    return _WINDOW + ("" if version is None else " AND version = :version") + (f" AND status = {ANSWERED}" if answered else "")


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _escaped(value: Any) -> Any:
    """PostgreSQL's text holds every character but NUL, so that and the character that stands for it are written as two."""
    return storable(value).translate(_ESCAPES) if isinstance(value, str) else value  # type: ignore[attr-defined]


def _unescaped(value: Any) -> Any:
    """What `_escaped` was given."""
    return value.replace("\x010", "\x00").replace("\x011", "\x01") if isinstance(value, str) and "\x01" in value else value
