"""Fixed rules that others roll canaries back by, to be compared with: what they would do with the same answers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICK = 300.0  # seconds
Counts = NDArray[np.int64]
Ends = NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """A rule, and what it does with the candidate's requests and errors in each tick of many canaries (canaries, ticks).

    `ends` has -1 for a canary that is rolled back, 1 for one that gets all traffic or its next step, 0 for one that is still held.
    """

    name: str
    ends: Callable[[Counts, Counts], Ends]


def _hour(asked: Counts, failed: Counts) -> Ends:
    """Each 5 minutes for 1 h: above 2 % errors since the start rolls back; below 1 % after the hour promotes; between them it holds."""
    rate = failed.cumsum(axis=1) / np.maximum(asked.cumsum(axis=1), 1)
    back, forth = rate > 0.02, rate < 0.01
    forth[:, : int(3600 / TICK) - 1] = False
    return _first(back, forth)


def _flagger(asked: Counts, failed: Counts) -> Ends:
    """Flagger's example: success below 99 % of an interval fails a check, five failed checks roll back, ten good ones promote."""
    bad = failed > 0.01 * asked
    return _first((bad.cumsum(axis=1) >= 5), ((~bad & (asked > 0)).cumsum(axis=1) >= 10))


def _argo(asked: Counts, failed: Counts) -> Ends:
    """Argo Rollouts' example: success below 95 % in 5 minutes fails, more than three failures abort. It runs as long as the canary."""
    bad = (failed > 0.05 * asked).cumsum(axis=1) > 3
    back = bad.any(axis=1)
    return np.where(back, -1, 1)


RULES = (
    Rule("1 h, > 2 % errors rolls back, < 1 % promotes", _hour),
    Rule("Flagger, success >= 99 %", _flagger),
    Rule("Argo Rollouts, success >= 95 %", _argo),
)


def false_rollbacks(share: float, requests_per_day: float, error_rate: float, days: float, runs: int, seed: int = 0) -> dict[str, float]:
    """Share of canaries as good as production that each rule rolls back in so many days, where no user fails twice; simulated."""
    rng = np.random.default_rng(seed)
    asked = rng.poisson(share * requests_per_day * TICK / 86_400, size=(runs, max(1, int(days * 86_400 / TICK))))
    failed = rng.binomial(asked, error_rate)
    return {rule.name: float((rule.ends(asked, failed) < 0).mean()) for rule in RULES}


def _first(back: NDArray[np.bool_], forth: NDArray[np.bool_]) -> Ends:
    """Which comes first; a canary that is rolled back in the same tick is not promoted."""
    never = back.shape[1]
    first_back, first_forth = (np.where(each.any(axis=1), each.argmax(axis=1), never) for each in (back, forth))
    return np.where(first_back < never, np.where(first_back <= first_forth, -1, 1), np.where(first_forth < never, 1, 0))
