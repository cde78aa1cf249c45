"""Better than production, and no worse than production: two versions on the same rows."""

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, verdict_of
from ftassets.domain.scoring import Score
from ftassets.domain.statistics import Pairs, mcnemar_p, paired_lower_bound, paired_mean_lower_bound


def judge_paired(gate: Gate, report: EvalReport) -> GateResult:
    """The verdict of a gate with better_than or no_worse_than. Raises ValueError when the two were not scored on the same rows."""
    candidate, production = report.rows("candidate", gate.slice), report.rows("production", gate.slice)
    if [s.id for s in candidate] != [s.id for s in production]:
        raise ValueError(f"gate {gate.name}: candidate and production were not scored on the same rows")
    if not candidate:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, 0, f"no golden row in slice {gate.slice!r}")
    return _superiority(gate, candidate, production) if gate.better_than else _non_inferiority(gate, candidate, production)


def _superiority(gate: Gate, candidate: list[Score], production: list[Score]) -> GateResult:
    pairs = Pairs.of([s.exact for s in candidate], [s.exact for s in production])
    p, alpha = mcnemar_p(pairs), 1 - gate.confidence
    text = (
        f"candidate {_share(candidate)}, production {_share(production)} of {pairs.n} rows; right only by the candidate "
        f"{pairs.only_candidate}, only by production {pairs.only_production}; exact McNemar p = {p:.2g}, needs < {alpha:.2g}"
    )
    return GateResult.of(gate, verdict_of(p < alpha, pairs.difference > 0), pairs.difference, p, alpha, pairs.n, text)


def _non_inferiority(gate: Gate, candidate: list[Score], production: list[Score]) -> GateResult:
    margin = gate.margin or 0.0
    if gate.metric == "exact_match":
        pairs = Pairs.of([s.exact for s in candidate], [s.exact for s in production])
        value, bound = pairs.difference, paired_lower_bound(pairs, gate.confidence)
    else:
        differences = [c.fields - p.fields for c, p in zip(candidate, production, strict=True)]
        value, bound = sum(differences) / len(differences), paired_mean_lower_bound(differences, gate.confidence)
    text = f"difference to production {value:+.3f} on {len(candidate)} rows, surely above {bound:+.3f}, needs above {-margin:+.3f}"
    return GateResult.of(gate, verdict_of(bound > -margin, value > -margin), value, bound, -margin, len(candidate), text)


def _share(scores: list[Score]) -> str:
    return f"{sum(s.exact for s in scores) / len(scores):.3f}"
