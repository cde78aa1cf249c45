"""Small reports for tests of gates."""

from collections.abc import Sequence
from typing import Any

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.report import EvalReport


def rows(values: Sequence[float], metric: str = "rouge.rougeL", name: str = "golden", prefix: str = "r") -> list[Score]:
    """One row a value; right where the value is above one half."""
    return [
        Score(id=f"{prefix}{i}", slice=name, exact=v > 0.5, fields=float(v), valid=True, values={metric: float(v)})
        for i, v in enumerate(values)
    ]


def labelled(expected: Sequence[str], predicted: Sequence[str]) -> list[Score]:
    """One row a pair of labels."""
    return [
        Score(id=f"r{i}", slice="golden", exact=e == p, fields=float(e == p), valid=True, expected=e, predicted=p)
        for i, (e, p) in enumerate(zip(expected, predicted, strict=True))
    ]


def report(candidate: Sequence[Score], production: Sequence[Score] = (), latency: dict[str, list[float]] | None = None) -> EvalReport:
    """A report with these scores of candidate and production."""
    fixed: dict[str, Any] = {name: name for name in ("loop", "run_id", "candidate", "production", "base")}
    fixed |= {name: name for name in ("dataset_commit", "golden_commit", "policy_digest")}
    scores = {"candidate": list(candidate), "production": list(production)}
    return EvalReport(**fixed, production_is_base=False, generation={}, scores=scores, latency_ms=latency or {}, answers={})
