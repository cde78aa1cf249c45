"""Well-known promotion rules as effect sizes for our tests, each beside what its usual reading says on the same scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftassets.domain.gates.result import Verdict
from ftassets.domain.planning import LATENCY_MINIMUM
from ftassets.domain.statistics import Pairs, mcnemar_p, p95_ratio, p95_ratio_upper_bound, paired_mean_lower_bound


@dataclass(frozen=True)
class Rule:
    """One named rule. `effect` is the gain over production a plan looks for; `bar` replaces production by a fixed value."""

    name: str
    statement: str
    metric: str
    effect: float = 0.0
    bar: float | None = None
    at_least: bool = False  # reaching the threshold is enough for the usual reading

    @property
    def lower_is_better(self) -> bool:
        """Whether the scores are milliseconds, of which the 95th percentile counts; otherwise they lie in 0..1."""
        return self.metric == "latency_p95"


RULES = {
    rule.name: rule
    for rule in (
        Rule("rouge_l", "ROUGE-L > production + 0.02", "rouge_l", effect=0.02),
        Rule("bertscore_f1", "BERTScore F1 > 0.88", "bertscore_f1", bar=0.88),
        Rule("task_accuracy", "task accuracy > production", "exact_match"),
        Rule("latency", "p95 < 2 s", "latency_p95", bar=2000.0),
        Rule("f1", "F1 >= production + 0.05", "f1", effect=0.05, at_least=True),
    )
}


@dataclass(frozen=True)
class RuleResult:
    """A rule's verdict beside its usual reading. `bound` is the one-sided bound of `value` (for task accuracy the p-value)."""

    rule: Rule
    naive: bool
    verdict: Verdict
    value: float | None
    bound: float | None
    n: int


def naive(rule: Rule, candidate: Sequence[float], production: Sequence[float]) -> bool:
    """What the rule says when two averages (or percentiles) are just compared, on the same rows; without rows it does not pass."""
    if not len(candidate):
        return False
    if rule.bar is not None:
        return bool(np.quantile(candidate, 0.95) < rule.bar) if rule.lower_is_better else bool(np.mean(candidate) > rule.bar)
    # rounded: whether a gain of exactly the effect passes must not hang on the last bit of a sum
    gain = round(float(np.mean(np.subtract(candidate, production))) - rule.effect, 12)
    return gain >= 0 if rule.at_least else gain > 0


def judge_rule(rule: Rule, candidate: Sequence[float], production: Sequence[float], confidence: float = 0.95) -> RuleResult:
    """The same scores through our tests: better than production (or than the bar) at this confidence, however small the gain.

    The effect is no second threshold, since a true gain of that size would then fail every other time; it says how many rows to
    plan for. Scores are one a row in the same order: 0..1, for task accuracy 0 or 1, for latency milliseconds; a rule with a bar
    does not look at production. PASS, FAIL and NOT ENOUGH DATA as in a gate. Raises ValueError when the lengths differ.
    """
    reference = production if rule.bar is None else [rule.bar] * len(candidate)
    if len(candidate) != len(reference):
        raise ValueError(f"rule {rule.name}: {len(candidate)} scores of the candidate, {len(reference)} of production")
    simple, n = naive(rule, candidate, production), len(candidate)
    if n < (LATENCY_MINIMUM if rule.lower_is_better else 1):
        return RuleResult(rule, simple, Verdict.NOT_ENOUGH_DATA, None, None, n)
    if rule.lower_is_better:
        value, bound = p95_ratio(candidate, reference), p95_ratio_upper_bound(candidate, reference, confidence)
        surely, at_all = bound < 1, value < 1
    elif rule.metric == "exact_match":
        pairs = Pairs.of([c > 0.5 for c in candidate], [r > 0.5 for r in reference])
        value, bound = pairs.difference, mcnemar_p(pairs)
        surely, at_all = bound < 1 - confidence, value > 0
    else:
        differences = [float(c - r) for c, r in zip(candidate, reference, strict=True)]
        value, bound = sum(differences) / n, paired_mean_lower_bound(differences, confidence)
        surely, at_all = bound > 0, value > 0
    verdict = Verdict.PASS if surely else Verdict.NOT_ENOUGH_DATA if at_all else Verdict.FAIL
    return RuleResult(rule, simple, verdict, value, bound, n)
