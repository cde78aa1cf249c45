"""Input of the gates: the scores of candidate, production and base on the same rows, and the other measurements."""

from collections.abc import Sequence
from math import isfinite
from statistics import fmean
from typing import ClassVar

from pydantic import ConfigDict

from ftassets.domain.evaluation.forgetting import Forgetting
from ftassets.domain.evaluation.jobs import Measurements
from ftassets.domain.evaluation.llm_judge import Calibration, PairwiseScore
from ftassets.domain.evaluation.parity import Parity
from ftassets.domain.evaluation.probes import Probe
from ftassets.domain.evaluation.sampled_answers import SampledAnswers
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.evaluation.second_answers import SecondAnswers
from ftassets.domain.formats import Stored
from ftassets.domain.gates.error_budget import Spending

HELD_OUT = "held_out"


class EvalReport(Stored):
    """All input of the gates, and what it was measured on. Stored as canonical JSON under its digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "eval_report"

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
    latency_ms: dict[str, list[float]]  # candidate, production -> milliseconds to the end of the same requests' answers, interleaved
    ttft_ms: dict[str, list[float]] = {}  # the same requests' milliseconds to the first token
    answers: dict[str, list[str]]  # names of the stored answer files, by role
    row_scores: dict[str, list[str]] = {}  # names of the stored files with a value per row and metric, by role, as `answers`
    answers_digests: dict[str, str] = {}  # file name -> SHA-256 of the stored answer and score files
    metrics: Measurements = {}  # what the loop asks for besides: metric -> role -> slice -> value name -> number
    other_sets: tuple[str, ...] = ()  # slices of sets beside the golden one, such as general ability and safety
    gate_rule: int = 1  # the rule that decided when it was made, see `gates.policy.RULE`
    classes: tuple[str, ...] = ()  # labels that macro F1 and recall count: the policy's, or those of the golden rows
    costs: dict[str, dict[str, float]] = {}  # of mistakes, expected class -> class named; empty without `task.costs`
    golden_uses: int = 1  # reports made on this golden commit, this one included
    error_budget: Spending | None = None  # the level at which its gates are tested; None without a budget
    parity: Parity | None = None
    pairwise_scores: list[PairwiseScore] = []  # a judge's choice between candidate and production, a row each
    llm_judge_calibration: Calibration | None = None
    forgetting: Forgetting | None = None  # divergence on general prompts; None in older reports, and without the weights
    sampled: SampledAnswers | None = None  # None in older reports, and at temperature 0: what is served is greedy
    probes: list[Probe] = []  # golden requests that the engine is asked before the candidate gets traffic; none in older reports
    second_answers: SecondAnswers | None = None  # None in older reports, and if the endpoint did not answer twice

    def rows(self, role: str, slice_name: str | None) -> list[Score]:
        """Rows of a slice; without a name the golden rows: neither the held-out ones nor those of other sets."""
        return in_slice(self.scores[role], slice_name, self.other_sets)


def in_slice(scores: Sequence[Score], name: str | None, other_sets: Sequence[str] = ()) -> list[Score]:
    """Rows of a slice; without a name all but the held-out ones and those of other sets."""
    return [s for s in scores if (s.slice == name if name else s.slice != HELD_OUT and s.slice not in other_sets)]


def mean_scores(report: EvalReport) -> dict[str, float]:
    """Means by `role/slice/metric`: exact match, agreement of fields and well-formed answers as shares, and the loop's further metrics."""
    means: dict[str, float] = {}
    for role, scores in report.scores.items():
        for name in sorted({score.slice for score in scores}):
            rows = in_slice(scores, name)
            columns = {
                "exact_match": [float(row.exact) for row in rows],
                "fields": [row.fields for row in rows],
                "well_formed": [float(row.valid) for row in rows],
            }
            means |= {f"{role}/{name}/{metric}": fmean(values) for metric, values in columns.items()}
    for metric, by_role in report.metrics.items():
        for role, by_slice in by_role.items():
            for name, found in by_slice.items():
                means |= {f"{role}/{name}/{metric}.{value}": number for value, number in found.items() if isfinite(number)}
    return means
