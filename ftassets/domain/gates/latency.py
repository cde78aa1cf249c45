"""Response times of the real server, candidate and production asked in turns."""

from collections.abc import Callable, Sequence
from math import ceil, log
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, verdict_of
from ftassets.domain.mean_bounds import Floats
from ftassets.domain.power import POWER, smallest
from ftassets.domain.statistics import (
    p95_lower_bound,
    p95_lower_rank,
    p95_ratio,
    p95_ratio_ranks,
    p95_ratio_upper_bound,
    p95_upper_bound,
    p95_upper_rank,
)
from ftassets.errors import InvalidInput
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue(None, lower_is_better=True, relative_margin=True)  # milliseconds
_UNIT = "pairs of requests"
_DRAWS = 2000

Quantiles = Callable[[Floats], Floats]  # from shares to times


def evaluate_latency(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a latency_p95 gate. Raises InvalidInput on a time that is not finite."""
    candidate, production = report.latency_ms.get("candidate", []), report.latency_ms.get("production", [])
    for role, times in (("candidate", candidate), ("production", production)):
        if not np.isfinite(times).all():
            raise InvalidInput(f"request {int(np.flatnonzero(~np.isfinite(times))[0])} of {role}: its latency is not a number")
        if min(times, default=0) < 0:
            raise InvalidInput(f"request {int(np.argmin(times))} of {role}: its latency is below 0 ms")
    if gate.at_most is not None:
        return _ceiling(gate, candidate, gate.at_most)
    limit, n, least = 1 + (gate.margin or 0.0), len(candidate), fewest_pairs(gate)
    if n != len(production):
        text = f"{amount(n, 'time')} of the candidate and {len(production)} of production are not pairs"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, n, text)
    if n < least:
        text = f"{n} interleaved pairs cannot bound the ratio of two 95th percentiles, at least {least} are needed"
        needed = _pairs_needed(gate, _quantiles(candidate), _quantiles(production), least - 1) if n else None
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, n, text, rows_needed=needed, unit=_UNIT)
    value, bound = p95_ratio(candidate, production), p95_ratio_upper_bound(candidate, production, gate.confidence)
    turned = p95_ratio_upper_bound(production, candidate, gate.confidence)
    if bound is None or not turned:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, value, None, limit, n, "times of 0 ms have no ratio")
    lower, verdict = 1 / turned, verdict_of(bound < limit, 1 / turned > limit)
    text = (
        f"p95 {value:.2f} times production's over {n} interleaved pairs, {100 * gate.confidence:g} % lower bound {lower:.2f}, "
        f"upper {bound:.2f} (order statistics), needs an upper bound below {limit:.2f}"
    )
    ours, theirs = _quantiles(candidate), _quantiles(production)
    needed = _pairs_needed(gate, ours, theirs, n) if verdict is Verdict.NOT_ENOUGH_DATA else None
    return GateResult.of(
        gate, verdict, value, bound, limit, n, text, rows_needed=needed, fail_bound=lower, unit=_UNIT,
    )  # fmt: skip


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> Callable[[int], float] | str:
    """Chance that the gate passes an equally fast model, by pairs of requests, or why it is not known for a number of milliseconds."""
    if gate.at_most is not None:
        return f"how far the server's p95 is from {gate.at_most:g} ms is not known before the first report"
    return lambda n: latency_power(gate, n, spread)


def average(gate: "Gate", report: EvalReport, role: str) -> float | None:
    """A role's 95th percentile in milliseconds, None when it was not measured."""
    times = report.latency_ms.get(role, [])
    return float(np.quantile(times, 0.95)) if times else None


def fewest_pairs(gate: "Gate") -> int:
    """Requests below which the gate cannot bound what it compares: the largest time is below the 95th percentile too often."""
    least = ceil(log(1 - gate.confidence) / log(0.95))
    if gate.at_most is None:
        while p95_ratio_ranks(least, gate.confidence) is None:
            least += 1
    return least


def latency_power(gate: "Gate", n: int, spread: float) -> float:
    """Chance that a latency gate passes an equally fast model on n interleaved pairs.

    `spread` is the standard deviation of log response times, which are taken as lognormal and independent; pairs that are slow
    together make the chance larger. Raises ValueError on a spread that is not above 0.
    """
    from scipy.special import ndtri

    if not spread > 0:
        raise ValueError(f"a spread of {spread:g} is not possible: give the standard deviation of log response times, for example 0.3")

    def times(shares: Floats) -> Floats:
        found: Floats = np.exp(spread * ndtri(shares))
        return found

    return _chance(times, times, n, 1 + (gate.margin or 0.0), gate.confidence)


def _chance(ours: Quantiles, theirs: Quantiles, n: int, limit: float, confidence: float) -> float:
    """Chance that the upper bound of the ratio is below the limit for independent times with these quantiles.

    Order statistics of uniform shares are beta variables, so that no times need be drawn.
    """
    ranks = p95_ratio_ranks(n, confidence)
    if ranks is None:
        return 0.0
    upper, lower = ranks
    rng = np.random.default_rng(0)
    above, below = rng.beta(upper, n - upper + 1, _DRAWS), rng.beta(lower, n - lower + 1, _DRAWS)
    return float(np.mean(ours(above) < limit * theirs(below)))


def _quantiles(times: Sequence[float]) -> Quantiles:
    ordered = np.sort(np.asarray(times, dtype=float))
    return lambda shares: ordered[np.minimum((shares * len(ordered)).astype(int), len(ordered) - 1)]


def _pairs_needed(gate: "Gate", ours: Quantiles, theirs: Quantiles, n: int) -> int | None:
    """Pairs with which the gate would pass, or fail, in 80 % of cases if the times measured are typical."""
    limit = 1 + (gate.margin or 0.0)
    tail = np.array([0.95])
    if (ours(tail) < limit * theirs(tail))[0]:
        return smallest(lambda pairs: _chance(ours, theirs, pairs, limit, gate.confidence) >= POWER, n + 1)
    return smallest(lambda pairs: _chance(theirs, ours, pairs, 1 / limit, gate.confidence) >= POWER, n + 1)


def _ceiling(gate: "Gate", times: list[float], limit: float) -> GateResult:
    """The candidate's own percentile below a number of milliseconds."""
    n, least = len(times), fewest_pairs(gate)
    if n < least:
        text = f"{amount(n, 'request is', 'requests are')} too few to bound the p95, at least {least} are; it needs at most {limit:.0f} ms"
        needed = _requests_needed(gate, times, limit, least - 1) if n else None
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, n, text, rows_needed=needed, unit="requests")
    value, bound, lower = float(np.quantile(times, 0.95)), p95_upper_bound(times, gate.confidence), p95_lower_bound(times, gate.confidence)
    assert bound is not None
    assert lower is not None  # the upper one takes more requests
    text = (
        f"p95 {value:.0f} ms over {amount(n, 'request')}, lower bound {lower:.0f} ms, upper {bound:.0f} ms, "
        f"needs an upper bound of at most {limit:.0f} ms"
    )
    return GateResult.of(
        gate, verdict_of(bound <= limit, lower > limit), value, bound, limit, n, text,
        rows_needed=_requests_needed(gate, times, limit, n), fail_bound=lower, unit="requests",
    )  # fmt: skip


def _requests_needed(gate: "Gate", times: list[float], limit: float, above: int) -> int | None:
    """Requests, more than `above`, with which the ceiling would be PASS or FAIL in 80 % of cases, given the share of these that keep it."""
    from scipy.stats import binom

    kept = sum(time <= limit for time in times) / len(times)
    if kept > 0.95:  # passes when the upper order statistic is kept
        return smallest(lambda size: float(binom.sf(p95_upper_rank(size, gate.confidence) - 1, size, kept)) >= POWER, above + 1)
    return smallest(lambda size: float(binom.cdf(p95_lower_rank(size, gate.confidence) - 1, size, kept)) >= POWER, above + 1)
