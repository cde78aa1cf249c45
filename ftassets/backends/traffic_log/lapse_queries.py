"""Queries about lapses, in the words that SQLite and PostgreSQL share. Rows are counted where they are; no text is read."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ftassets.domain.traffic.exchange import ANSWERED
from ftassets.domain.traffic.lapses import LIMITED, OF_ANSWER, OF_FEEDBACK, TOLD, FirstLapse, Lapse, LapseCounts, Limits, Pair

_MALFORMED = f"status = {ANSWERED} AND well_formed IS FALSE AND error IS NULL"
_HAS_VALUE = {
    Lapse.ERROR: f"(status = {ANSWERED} OR status >= 500)",
    Lapse.MALFORMED: f"(status = {ANSWERED} AND (well_formed IS TRUE OR {_MALFORMED}))",
} | {lapse: f"(status = {ANSWERED} AND {column} IS NOT NULL)" for lapse, column in (LIMITED | TOLD).items()}


def first_lapses(table: str, window: str) -> str:
    """Of users, the first lapse of each kind, version, weight and window; of requests without a user, how many.

    `window` is the number of the window in which a time `at` is. Parameters: those of `pair_values`.
    """
    firsts = ", ".join(
        f"CASE \"user\" WHEN '' THEN count(CASE WHEN {_lapsed(lapse)} THEN 1 END) ELSE min(CASE WHEN {_lapsed(lapse)} THEN at END) END"
        for lapse in OF_ANSWER
    )
    return f"""SELECT version, weight, "user", {window} AS nth, {firsts} FROM {table} WHERE loop = :loop
        AND version IN (:candidate, :production) AND at >= CAST(:since AS double precision)
        AND ({" OR ".join(_lapsed(lapse) for lapse in OF_ANSWER)}) GROUP BY version, weight, "user", nth"""


def first_reproofs(feedback: str, exchange: str, window: str) -> str:
    """As `first_lapses`, of feedback, by the time of the user's first such feedback. A request without a user has its id as the user."""
    at = "CASE WHEN f.at < CAST(:since AS double precision) THEN CAST(:since AS double precision) ELSE f.at END"
    return f"""SELECT version, weight, "user", {window} AS nth, min(CASE WHEN down THEN at END), min(CASE WHEN corrected THEN at END)
        FROM (
            SELECT e.version, e.weight, CASE e."user" WHEN '' THEN 'request ' || e.id ELSE e."user" END AS "user", {at} AS at,
                f.rating = 'down' AS down, f.correction <> '' AS corrected
            FROM {feedback} f JOIN {exchange} e ON e.id = f.request_id
            WHERE f.loop = :loop AND f.version IN (:candidate, :production) AND f.asked_at >= CAST(:since AS double precision)
            AND (f.rating = 'down' OR f.correction <> '')
        ) reproofs GROUP BY version, weight, "user", nth"""


def counts(table: str, names: str) -> str:
    """Sums over the users of a version, for each of `OF_ANSWER` as `counts_of` reads them; `names` selects users who do not count."""
    kinds = range(len(OF_ANSWER))
    numbers = ", ".join(
        f"count(CASE WHEN {_known(lapse)} THEN 1 END) AS answers{n}, count(CASE WHEN {_lapsed(lapse)} THEN 1 END) AS lapses{n}"
        for n, lapse in zip(kinds, OF_ANSWER, strict=True)
    )
    return f"""SELECT {", ".join(_sums(n) for n in kinds)} FROM (
        SELECT {numbers} FROM {table} WHERE loop = :loop AND version = :version AND at >= CAST(:since AS double precision)
        AND at < CAST(:until AS double precision) AND (status = {ANSWERED} OR status >= 500) AND "user" NOT IN ({names})
        GROUP BY CASE "user" WHEN '' THEN id ELSE "user" END, "user" = ''
    ) users"""


def feedback_counts(said: str, exchange: str) -> str:
    """Sums over the users of a version whose answers have feedback, for each of `OF_FEEDBACK`; `said` selects what it adds up to."""
    return f"""SELECT {", ".join(_sums(n) for n in range(len(OF_FEEDBACK)))} FROM (
        SELECT count(*) AS answers0, count(CASE WHEN thumb = 'down' THEN 1 END) AS lapses0,
            count(*) AS answers1, count(CASE WHEN corrected THEN 1 END) AS lapses1
        FROM ({said}) rated JOIN {exchange} e ON e.id = rated.request_id
        GROUP BY CASE e."user" WHEN '' THEN e.id ELSE e."user" END, e."user" = ''
    ) users"""


def ended(table: str) -> str:
    """The newest exchanges of a version in a span, as `Ended` has them."""
    malformed = f"CASE WHEN {_HAS_VALUE[Lapse.MALFORMED]} THEN well_formed IS FALSE END"
    return f"""SELECT "user", status, {malformed}, latency_ms, first_token_ms, tokens_out, refused, other_language FROM {table}
        WHERE loop = :loop AND version = :version AND at >= CAST(:since AS double precision) AND at < CAST(:until AS double precision)
        ORDER BY at DESC LIMIT CAST(:most AS bigint)"""


def pair_values(pair: Pair) -> dict[str, Any]:
    """Parameters of two versions and their limits."""
    return {"candidate": pair.candidate, "production": pair.production} | {
        f"{lapse}_{side}": pair.limits.get((version, lapse))
        for side, version in (("candidate", pair.candidate), ("production", pair.production))
        for lapse in LIMITED
    }


def limit_values(version: str, limits: Limits) -> dict[str, Any]:
    """Parameters of one version and its limits."""
    return {"version": version} | pair_values(Pair(version, version, limits))


def firsts_of(rows: Iterable[Sequence[Any]], kinds: Sequence[Lapse]) -> list[FirstLapse]:
    """What the rows of `first_lapses` or `first_reproofs` say: each user once in each window, with the first lapse of a kind."""
    first: dict[tuple[Lapse, str, int], tuple[float, FirstLapse]] = {}
    counted: list[FirstLapse] = []
    for version, weight, user, window, *found in rows:
        for lapse, value in zip(kinds, found, strict=True):
            if not value and not (user and value is not None):
                continue
            each = FirstLapse(lapse, version, weight, user, int(window), 1 if user else int(value))
            if not user:
                counted.append(each)
            elif (key := (lapse, user, int(window))) not in first or value < first[key][0]:
                first[key] = value, each
    return counted + [each for _, each in first.values()]


def counts_of(row: Sequence[Any], kinds: Sequence[Lapse]) -> Mapping[Lapse, LapseCounts]:
    """What the row of `counts` or `feedback_counts` says."""
    return {lapse: LapseCounts(*map(int, row[7 * n : 7 * n + 7])) for n, lapse in enumerate(kinds)}


def _known(lapse: Lapse) -> str:
    return f"({_HAS_VALUE[lapse]} AND {_limit(lapse)} IS NOT NULL)" if lapse in LIMITED else _HAS_VALUE[lapse]


def _lapsed(lapse: Lapse) -> str:
    if lapse is Lapse.ERROR:
        return "(status >= 500)"
    if lapse in TOLD:
        return f"(status = {ANSWERED} AND {TOLD[lapse]} IS TRUE)"
    return f"({_MALFORMED})" if lapse is Lapse.MALFORMED else f"(status = {ANSWERED} AND {LIMITED[lapse]} > {_limit(lapse)})"


def _limit(lapse: Lapse) -> str:
    of = (f"CAST(:{lapse}_{side} AS double precision)" for side in ("candidate", "production"))
    return f"CASE version WHEN :candidate THEN {next(of)} ELSE {next(of)} END"


def _sums(n: int) -> str:
    users = f"count(CASE WHEN answers{n} > 0 THEN 1 END)"
    summed = (f"answers{n}", f"lapses{n}", f"answers{n} * answers{n}", f"lapses{n} * lapses{n}", f"answers{n} * lapses{n}")
    return ", ".join([users, *(f"coalesce(sum({each}), 0)" for each in summed), f"coalesce(max(lapses{n}), 0)"])
