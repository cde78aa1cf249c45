"""Response times of the real server, candidate and production asked in turns."""

import numpy as np

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, rows_to_tell, verdict_of
from ftassets.domain.statistics import p95_ratio, p95_ratio_upper_bound, p95_upper_bound

FEWEST = 20  # pairs below which a 95th percentile is the maximum
_UNIT = "pairs of requests"


def evaluate_latency(gate: Gate, report: EvalReport) -> GateResult:
    """The verdict of a latency_p95 gate. Raises ValueError on a time that is not finite."""
    candidate, production = report.latency_ms.get("candidate", []), report.latency_ms.get("production", [])
    for role, times in (("candidate", candidate), ("production", production)):
        if not np.isfinite(times).all():
            raise ValueError(f"request {int(np.flatnonzero(~np.isfinite(times))[0])} of {role}: latency_p95 has a time that is no number")
    if gate.at_most is not None:
        return _ceiling(gate, candidate, gate.at_most)
    limit = 1 + (gate.margin or 0.0)
    if len(candidate) != len(production) or len(candidate) < FEWEST:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, len(candidate), f"fewer than {FEWEST} interleaved requests")
    value, bound = p95_ratio(candidate, production), p95_ratio_upper_bound(candidate, production, gate.confidence)
    text = f"p95 {value:.2f} times production's over {len(candidate)} interleaved pairs, surely below {bound:.2f}, needs below {limit:.2f}"
    return GateResult.of(
        gate, verdict_of(bound < limit, value < limit), value, bound, limit, len(candidate), text,
        rows_needed=rows_to_tell(len(candidate), value, bound, limit), unit=_UNIT,
    )  # fmt: skip


def _ceiling(gate: Gate, times: list[float], limit: float) -> GateResult:
    """The candidate's own percentile below a number of milliseconds."""
    n = len(times)
    if n < FEWEST:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, n, f"fewer than {FEWEST} requests")
    value, bound = float(np.quantile(times, 0.95)), p95_upper_bound(times, gate.confidence)
    if bound is None:
        fewest = int(np.ceil(np.log(1 - gate.confidence) / np.log(0.95)))
        text = f"p95 {value:.0f} ms over {n} requests, of which not even the slowest is a sure bound, needs at most {limit:.0f} ms"
        return GateResult.of(gate, verdict_of(False, value <= limit), value, None, limit, n, text, rows_needed=fewest, unit=_UNIT)
    text = f"p95 {value:.0f} ms over {n} requests, surely below {bound:.0f} ms, needs at most {limit:.0f} ms"
    return GateResult.of(
        gate, verdict_of(bound <= limit, value <= limit), value, bound, limit, n, text,
        rows_needed=rows_to_tell(n, value, bound, limit), unit=_UNIT,
    )  # fmt: skip
