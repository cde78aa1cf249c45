"""Answers that are sampled as served ones are: what a report keeps of them, and what they add to a row's score."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from ftassets.domain.evaluation.scoring import Score

SAMPLES = 4  # answers of each model to each row
SAMPLED = "sampled_exact_match"  # name of a row's value: the share of its sampled answers that are right, and of the gate on it


class SampledAnswers(BaseModel):
    """How often each row was answered at which temperature, and with which settings by model (digest -> `decoding`).

    `answers` is role -> one list a sample -> names of the stored files, as `EvalReport.answers`; seeds are 0, 1 and so on. A role that
    is served elsewhere has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float
    samples: int
    decoding: dict[str, dict[str, float | int | bool]]
    answers: dict[str, list[list[str]]]


def with_sampled(scores: Sequence[Score], sampled: Sequence[Sequence[Score]]) -> list[Score]:
    """A role's scores with the share of right ones among each row's sampled answers; rows that were not sampled stay as they are."""
    right: dict[str, list[bool]] = {}
    for sample in sampled:
        for each in sample:
            right.setdefault(each.id, []).append(each.exact)
    return [
        score.model_copy(update={"values": {**score.values, SAMPLED: sum(right[score.id]) / len(right[score.id])}})
        if score.id in right
        else score
        for score in scores
    ]
