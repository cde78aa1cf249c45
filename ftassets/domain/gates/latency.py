"""Response times of the real server, candidate and production asked in turns."""

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, verdict_of
from ftassets.domain.statistics import p95_ratio, p95_ratio_upper_bound

FEWEST = 20  # pairs below which a 95th percentile is the maximum


def judge_latency(gate: Gate, report: EvalReport) -> GateResult:
    """The verdict of a latency_p95 gate."""
    candidate, production = report.latency_ms.get("candidate", []), report.latency_ms.get("production", [])
    limit = 1 + (gate.margin or 0.0)
    if len(candidate) != len(production) or len(candidate) < FEWEST:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, len(candidate), f"fewer than {FEWEST} interleaved requests")
    value, bound = p95_ratio(candidate, production), p95_ratio_upper_bound(candidate, production, gate.confidence)
    text = f"p95 {value:.2f} times production's over {len(candidate)} interleaved pairs, surely below {bound:.2f}, needs below {limit:.2f}"
    return GateResult.of(gate, verdict_of(bound < limit, value < limit), value, bound, limit, len(candidate), text)
