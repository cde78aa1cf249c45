"""Queries about pairs of a candidate in shadow and production, in the words that SQLite and PostgreSQL share. No text is read."""

from collections.abc import Iterable, Sequence
from typing import Any

from ftassets.domain.traffic.exchange import ANSWERED
from ftassets.domain.traffic.lapses import LIMITED, Lapse
from ftassets.domain.traffic.shadow_answer import Discordant, PairCounts, PairLapse, ShadowCounts

_LIMITS = {PairLapse.SLOW: Lapse.SLOW, PairLapse.LATE: Lapse.LATE, PairLapse.LONG: Lapse.LONG}
_TOLD = {PairLapse.MALFORMED: "well_formed", PairLapse.REFUSED: "refused", PairLapse.OTHER_LANGUAGE: "other_language"}
_OF_PAIR = """WHERE loop = :loop AND version = :candidate AND production = :production AND at >= CAST(:since AS double precision)"""


def discordant(table: str, window: str) -> str:
    """Of users, the first discordant pair of each kind and side in a window; of pairs without a user, how many.

    `window` is the number of the window in which a time `at` is. Parameters: those of `pair_values`.
    """
    sides = [_discordant(lapse, mine) for lapse in PairLapse for mine in (True, False)]
    firsts = ", ".join(
        f"CASE \"user\" WHEN '' THEN count(CASE WHEN {side} THEN 1 END) ELSE min(CASE WHEN {side} THEN at END) END" for side in sides
    )
    return f"""SELECT "user", {window} AS nth, {firsts} FROM {table} {_OF_PAIR} AND ({" OR ".join(sides)}) GROUP BY "user", nth"""


def discordant_of(rows: Iterable[Sequence[Any]]) -> list[Discordant]:
    """What the rows of `discordant` say: each user once in each window, with the first pair of a kind."""
    found: list[Discordant] = []
    for user, window, *values in rows:
        for number, lapse in enumerate(PairLapse):
            mine, theirs = values[2 * number : 2 * number + 2]
            if not user:
                found += [Discordant(lapse, side, "", int(window), int(count)) for side, count in ((True, mine), (False, theirs)) if count]
            elif mine is not None or theirs is not None:
                found.append(Discordant(lapse, theirs is None or (mine is not None and mine < theirs), user, int(window)))
    return found


def shadow_counts(table: str) -> str:
    """Sums over the pairs of two versions, as `shadow_counts_of` reads them."""
    numbers = [
        f"count(CASE WHEN {condition} THEN 1 END)"
        for lapse in PairLapse
        for known, mine, theirs in (_sides(lapse),)
        for condition in (known, f"{known} AND {mine}", f"{known} AND {theirs}", f"{known} AND {mine} AND {theirs}")
    ]
    return f"""SELECT count(*), count(CASE WHEN status = {ANSWERED} AND well_formed IS TRUE THEN 1 END), count(agrees),
        count(CASE WHEN agrees IS TRUE THEN 1 END), {", ".join(numbers)} FROM {table} {_OF_PAIR}"""


def shadow_counts_of(row: Sequence[Any]) -> ShadowCounts:
    """What the row of `shadow_counts` says."""
    numbers = list(map(int, row))
    lapses = {lapse: PairCounts(*numbers[4 + 4 * n : 8 + 4 * n]) for n, lapse in enumerate(PairLapse)}
    copies, good, compared, agreeing = numbers[:4]
    return ShadowCounts(copies, good, compared, agreeing, lapses)


def _sides(lapse: PairLapse) -> tuple[str, str, str]:
    """Conditions: it is known of both answers, the candidate's lapsed, production's lapsed."""
    if lapse is PairLapse.ERROR:
        return "status IS NOT NULL", f"status <> {ANSWERED}", f"production_status <> {ANSWERED}"
    if lapse in _TOLD:
        column, bad = _TOLD[lapse], "FALSE" if lapse is PairLapse.MALFORMED else "TRUE"
        known = f"({column} IS NOT NULL AND production_{column} IS NOT NULL)"
        return known, f"{column} IS {bad}", f"production_{column} IS {bad}"
    column, limits = (
        LIMITED[_LIMITS[lapse]],
        [f"CAST(:{_LIMITS[lapse]}_{side} AS double precision)" for side in ("candidate", "production")],
    )
    known = f"(status = {ANSWERED} AND production_status = {ANSWERED} AND {column} IS NOT NULL AND production_{column} IS NOT NULL"
    return (
        f"{known} AND {limits[0]} IS NOT NULL AND {limits[1]} IS NOT NULL)",
        f"{column} > {limits[0]}",
        f"production_{column} > {limits[1]}",
    )


def _discordant(lapse: PairLapse, mine: bool) -> str:
    known, candidate, production = _sides(lapse)
    return f"({known} AND {candidate} AND NOT ({production}))" if mine else f"({known} AND {production} AND NOT ({candidate}))"
