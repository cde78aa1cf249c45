"""Response times of the real server, candidate and production asked in turns."""

from collections.abc import Callable
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, rows_to_tell, verdict_of
from ftassets.domain.statistics import p95_ratio, p95_ratio_upper_bound, p95_upper_bound
from ftassets.errors import InvalidInput

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue(None, lower_is_better=True, relative_margin=True)  # milliseconds
FEWEST = 20  # pairs below which a 95th percentile is the maximum
_UNIT = "pairs of requests"
_LARGE = 100
_RUNS = 200


def evaluate_latency(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a latency_p95 gate. Raises InvalidInput on a time that is not finite."""
    candidate, production = report.latency_ms.get("candidate", []), report.latency_ms.get("production", [])
    for role, times in (("candidate", candidate), ("production", production)):
        if not np.isfinite(times).all():
            raise InvalidInput(f"request {int(np.flatnonzero(~np.isfinite(times))[0])} of {role}: its latency is not a number")
    if gate.at_most is not None:
        return _ceiling(gate, candidate, gate.at_most)
    limit = 1 + (gate.margin or 0.0)
    if len(candidate) != len(production) or len(candidate) < FEWEST:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, len(candidate), f"fewer than {FEWEST} interleaved requests")
    value, bound = p95_ratio(candidate, production), p95_ratio_upper_bound(candidate, production, gate.confidence)
    text = f"p95 {value:.2f} times production's over {len(candidate)} interleaved pairs, upper bound {bound:.2f}, needs below {limit:.2f}"
    return GateResult.of(
        gate, verdict_of(bound < limit, value < limit), value, bound, limit, len(candidate), text,
        rows_needed=rows_to_tell(len(candidate), value, bound, limit), unit=_UNIT,
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


def latency_power(gate: "Gate", n: int, spread: float) -> float:
    """Chance that a latency gate passes an equally fast model on n interleaved pairs.

    `spread` is the standard deviation of log response times, which are taken as lognormal and independent; pairs that are slow
    together make the chance larger. From `_LARGE` pairs the normal limit of sample quantiles (Mosteller 1946), below it the gate's own
    bound on simulated times. Raises ValueError on a spread that is not above 0.
    """
    from scipy.stats import norm

    if not spread > 0:
        raise ValueError(f"a spread of {spread:g} is not possible: give the standard deviation of log response times, for example 0.3")
    if n < FEWEST:
        return 0.0
    limit = 1 + (gate.margin or 0.0)
    if n < _LARGE:
        times = np.random.default_rng(n).lognormal(0.0, spread, (_RUNS, 2, n))
        return float(np.mean([p95_ratio_upper_bound(mine, theirs, gate.confidence, draws=199) < limit for mine, theirs in times]))
    error = spread * sqrt(2 * 0.95 * 0.05 / n) / norm.pdf(norm.ppf(0.95))
    return float(norm.cdf(log(limit) / error - norm.ppf(gate.confidence)))


def _ceiling(gate: "Gate", times: list[float], limit: float) -> GateResult:
    """The candidate's own percentile below a number of milliseconds."""
    n = len(times)
    if n < FEWEST:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, n, f"fewer than {FEWEST} requests")
    value, bound = float(np.quantile(times, 0.95)), p95_upper_bound(times, gate.confidence)
    if bound is None:
        fewest = int(np.ceil(np.log(1 - gate.confidence) / np.log(0.95)))
        text = f"p95 {value:.0f} ms over {n} requests, too few requests to bound the p95, needs at most {limit:.0f} ms"
        return GateResult.of(gate, verdict_of(False, value <= limit), value, None, limit, n, text, rows_needed=fewest, unit=_UNIT)
    text = f"p95 {value:.0f} ms over {n} requests, upper bound {bound:.0f} ms, needs at most {limit:.0f} ms"
    return GateResult.of(
        gate, verdict_of(bound <= limit, value <= limit), value, bound, limit, n, text,
        rows_needed=rows_to_tell(n, value, bound, limit), unit=_UNIT,
    )  # fmt: skip
