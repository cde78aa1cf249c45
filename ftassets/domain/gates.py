"""Promotion gates: what a report must show before a candidate may be released. Pure, so any verdict can be computed again."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ftassets.domain.answers import Measurements
from ftassets.domain.loop import Gate
from ftassets.domain.scoring import Score
from ftassets.domain.statistics import (
    Pairs,
    mcnemar_p,
    p95_ratio,
    p95_ratio_upper_bound,
    paired_lower_bound,
    paired_mean_lower_bound,
)

HELD_OUT = "held_out"


class Verdict(StrEnum):
    """What a gate says. Only PASS promotes."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_ENOUGH_DATA = "NOT ENOUGH DATA"


class GateResult(BaseModel):
    """A gate's verdict with its evidence; `value` is the estimate, `bound` its one-sided confidence bound (or p-value)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    verdict: Verdict
    value: float | None
    bound: float | None
    threshold: float
    n: int
    sentence: str


class EvalReport(BaseModel):
    """Everything the gates look at, and what it was measured on. Stored as canonical JSON under its digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loop: str
    run_id: str
    candidate: str
    production: str
    production_is_base: bool
    base: str
    dataset_commit: str
    golden_commit: str
    policy_digest: str
    generation: dict[str, float | int]
    scores: dict[str, list[Score]]  # candidate, production, base -> one score a row, same rows in the same order
    latency_ms: dict[str, list[float]]  # candidate, production -> milliseconds of the same requests, interleaved
    answers: dict[str, list[str]]  # names of the stored answer files, by role
    metrics: Measurements = {}  # what the loop asks for besides: metric -> role -> slice -> value name -> number


def judge(gates: Sequence[Gate], report: EvalReport) -> list[GateResult]:
    """One result a gate, in the order of the policy."""
    return [_judge(gate, report) for gate in gates]


def passed(results: Sequence[GateResult]) -> bool:
    """Whether every gate says PASS; no gates is no promotion."""
    return bool(results) and all(result.verdict is Verdict.PASS for result in results)


def in_slice(scores: Sequence[Score], name: str | None) -> list[Score]:
    """Rows of a slice; without a name the golden rows, i.e. all but the held-out ones."""
    return [s for s in scores if (s.slice == name if name else s.slice != HELD_OUT)]


def _judge(gate: Gate, report: EvalReport) -> GateResult:
    if gate.metric == "latency_p95":
        return _latency(gate, report.latency_ms.get("candidate", []), report.latency_ms.get("production", []))
    candidate = in_slice(report.scores["candidate"], gate.slice)
    production = in_slice(report.scores["production"], gate.slice)
    if [s.id for s in candidate] != [s.id for s in production]:
        raise ValueError(f"gate {gate.name}: candidate and production were not scored on the same rows")
    if not candidate:
        return _result(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, 0, f"no golden row in slice {gate.slice!r}")
    if gate.better_than:
        return _superiority(gate, candidate, production)
    return _non_inferiority(gate, candidate, production)


def _superiority(gate: Gate, candidate: list[Score], production: list[Score]) -> GateResult:
    pairs = Pairs.of([s.exact for s in candidate], [s.exact for s in production])
    p, alpha = mcnemar_p(pairs), 1 - gate.confidence
    text = (
        f"candidate {_share(candidate)}, production {_share(production)} of {pairs.n} rows; right only by the candidate "
        f"{pairs.only_candidate}, only by production {pairs.only_production}; exact McNemar p = {p:.2g}, needs < {alpha:.2g}"
    )
    verdict = Verdict.PASS if p < alpha else Verdict.FAIL if pairs.difference <= 0 else Verdict.NOT_ENOUGH_DATA
    return _result(gate, verdict, pairs.difference, p, alpha, pairs.n, text)


def _non_inferiority(gate: Gate, candidate: list[Score], production: list[Score]) -> GateResult:
    margin = gate.margin or 0.0
    if gate.metric == "exact_match":
        pairs = Pairs.of([s.exact for s in candidate], [s.exact for s in production])
        value, bound = pairs.difference, paired_lower_bound(pairs, gate.confidence)
    else:
        differences = [c.fields - p.fields for c, p in zip(candidate, production, strict=True)]
        value, bound = sum(differences) / len(differences), paired_mean_lower_bound(differences, gate.confidence)
    verdict = Verdict.PASS if bound > -margin else Verdict.FAIL if value <= -margin else Verdict.NOT_ENOUGH_DATA
    text = f"difference to production {value:+.3f} on {len(candidate)} rows, surely above {bound:+.3f}, needs above {-margin:+.3f}"
    return _result(gate, verdict, value, bound, -margin, len(candidate), text)


def _latency(gate: Gate, candidate: list[float], production: list[float]) -> GateResult:
    limit = 1 + (gate.margin or 0.0)
    if len(candidate) != len(production) or len(candidate) < 20:
        return _result(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, len(candidate), "fewer than 20 interleaved requests")
    value, bound = p95_ratio(candidate, production), p95_ratio_upper_bound(candidate, production, gate.confidence)
    verdict = Verdict.PASS if bound < limit else Verdict.FAIL if value >= limit else Verdict.NOT_ENOUGH_DATA
    text = f"p95 {value:.2f} times production's over {len(candidate)} interleaved pairs, surely below {bound:.2f}, needs below {limit:.2f}"
    return _result(gate, verdict, value, bound, limit, len(candidate), text)


def _share(scores: list[Score]) -> str:
    return f"{sum(s.exact for s in scores) / len(scores):.3f}"


def _result(gate: Gate, verdict: Verdict, value: float | None, bound: float | None, threshold: float, n: int, sentence: str) -> GateResult:
    return GateResult(name=gate.name, verdict=verdict, value=value, bound=bound, threshold=threshold, n=n, sentence=sentence)
