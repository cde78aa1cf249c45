"""A judge model's choices between two answers, and how far they can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ftassets.domain.chat import Asked
from ftassets.domain.dataset.rows import Quarantined

Choice = Literal["first", "second", "tie"]
BothOrders = tuple[Choice, Choice]  # of answers a and b: what was chosen with a shown first, and with b shown first

FEWEST_PAIRS = 30  # pairs people have judged, below which agreement with them is not known
MOST_MISSING = 0.1  # share of pairs without a judgement from which the others may not stand for all

_POINTS: dict[Choice, int] = {"first": 1, "tie": 0, "second": -1}


class PairwiseScore(BaseModel):
    """One row: 1 when the judge prefers the candidate's answer in both orders, -1 for production's, 0 for a tie or a contradiction.

    Values between come from a tie in one order only, or from repeats. A row without a judgement has the reason instead of a value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    slice: str
    value: float | None = Field(ge=-1, le=1)
    contradictions: int = 0  # repeats in which each order gave the answer that was shown at the same place
    reason: str | None = None

    @model_validator(mode="after")
    def _value_or_reason(self) -> "PairwiseScore":
        if (self.value is None) == (self.reason is None):
            raise ValueError("a pairwise_score has a value, or the reason why it is missing")
        return self


class Calibration(BaseModel):
    """Agreement of the judge with people on labelled pairs. A share without any pair to count is None."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int  # labelled pairs with a judgement
    min_kappa: float
    missing: int = 0  # labelled pairs without one
    refused: int = 0  # lines of the file that are no pair
    agreement: float | None = None
    kappa: float | None = None
    kappa_low: float | None = None  # 95 % interval
    kappa_high: float | None = None
    decided: int = 0  # single judgements that were no tie
    first_position: float | None = None  # share of these that chose what was shown first; 0.5 is no bias
    both_decided: int = 0  # pairs of unequal length on which neither judge nor people said tie
    longer: float | None = None  # share of these in which the judge preferred the longer answer
    longer_people: float | None = None  # and people did: the difference is the judge's length bias
    problem: str | None = None  # why agreement with people is not known

    @property
    def trusted(self) -> bool:
        """Whether the judge agrees with people well enough to decide anything."""
        return self.problem is None and self.kappa is not None and self.kappa >= self.min_kappa


class LabelledPair(BaseModel):
    """Two answers to one request, and which of them people prefer. The request is the text of one message, or messages in OpenAI's
    form with the tools they may use."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    id: str = Field(min_length=1)
    prompt: str | None = Field(None, min_length=1)
    messages: list[Any] | None = None
    tools: list[Any] | None = None
    first: str
    second: str
    preferred: Choice

    @model_validator(mode="after")
    def _differ(self) -> "LabelledPair":
        if self.first == self.second:
            raise ValueError("both answers are the same text")
        if (self.prompt is None) == (self.messages is None):
            raise ValueError('either "prompt" or "messages" says what was asked')
        assert self.asked  # is built, and raises ValueError where it cannot be
        return self

    @cached_property
    def asked(self) -> Asked:
        """What was asked."""
        return Asked.of(self.prompt) if self.prompt else Asked.read(self.messages, self.tools)


@dataclass(frozen=True)
class JudgedPair:
    """A labelled pair with what the judge chose, one entry a repeat."""

    pair: LabelledPair
    choices: Sequence[BothOrders]


def pairwise_score(choices: Sequence[BothOrders]) -> float:
    """Mean pairwise_score for answer a over b in [-1, 1], over both orders and all repeats; orders that contradict each other add 0."""
    return sum(_POINTS[a_first] - _POINTS[b_first] for a_first, b_first in choices) / (2 * len(choices))


def contradictions(choices: Sequence[BothOrders]) -> int:
    """Repeats in which the judge chose the place, not the answer."""
    return sum(a_first == b_first != "tie" for a_first, b_first in choices)


def parse_labels(text: str, source: str) -> tuple[list[LabelledPair], list[Quarantined]]:
    """Pairs of a JSONL text, and its invalid lines with number and reason; other fields of a line are ignored."""
    pairs: dict[str, LabelledPair] = {}
    bad: list[Quarantined] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            pair = LabelledPair.model_validate_json(line)
            if pair.id in pairs:
                raise ValueError(f"there is a line with the id {pair.id} already")
            pairs[pair.id] = pair
        except ValueError as error:
            bad.append(Quarantined(f"{source}:{number}", _reason(error), line[:500]))
    return list(pairs.values()), bad


def calibrate(judged: Sequence[JudgedPair], min_kappa: float, missing: int = 0, refused: int = 0) -> Calibration:
    """Agreement of the judge with people, and its biases.

    Cohen's kappa is (p_o - p_e) / (1 - p_e) with the observed agreement p_o and the one expected by chance p_e (Cohen 1960). Which of
    two answers a file calls the first is arbitrary, so every pair is counted both ways: then a file in which the first one is
    always the better gives the same figure as a shuffled one. The interval is a percentile bootstrap over pairs (Efron 1979).
    """
    n = len(judged)
    people = np.array([_POINTS[each.pair.preferred] for each in judged])
    judge = np.sign([pairwise_score(each.choices) for each in judged]).astype(int)
    agree, judge_tie, people_tie = judge == people, judge == 0, people == 0
    found: dict[str, Any] = {"n": n, "min_kappa": min_kappa, "missing": missing, "refused": refused}
    if n:
        picks = np.random.default_rng(0).integers(0, n, size=(2000, n))
        draws = _kappa(agree[picks], judge_tie[picks], people_tie[picks])
        kappa, draws = float(_kappa(agree, judge_tie, people_tie)), draws[~np.isnan(draws)]
        found["agreement"] = float(agree.mean())
        if not np.isnan(kappa):
            low, high = np.quantile(draws, [0.025, 0.975])
            found |= {"kappa": kappa, "kappa_low": float(low), "kappa_high": float(high)}
    single = [choice for each in judged for both in each.choices for choice in both if choice != "tie"]
    lengths = np.array([np.sign(len(each.pair.first) - len(each.pair.second)) for each in judged])
    counted = (lengths != 0) & ~judge_tie & ~people_tie
    found |= {"decided": len(single), "both_decided": int(counted.sum())}
    if single:
        found["first_position"] = single.count("first") / len(single)
    if counted.any():
        found |= {"longer": float((judge == lengths)[counted].mean()), "longer_people": float((people == lengths)[counted].mean())}
    return Calibration(**found, problem=_problem(n, missing, found.get("kappa")))


def not_calibrated(min_kappa: float, problem: str, missing: int = 0, refused: int = 0) -> Calibration:
    """A calibration that could not be made, with the reason."""
    return Calibration(n=0, min_kappa=min_kappa, missing=missing, refused=refused, problem=problem)


def too_many_missing(missing: int, n: int) -> bool:
    """Whether so many of n pairs have no judgement that the others may not stand for all."""
    return missing > MOST_MISSING * n


def _problem(n: int, missing: int, kappa: float | None) -> str | None:
    if too_many_missing(missing, n + missing):
        return f"{missing} of {n + missing} labelled pairs got no judgement"
    if n < FEWEST_PAIRS:
        return f"{n} labelled pairs, {FEWEST_PAIRS} are needed"
    return "people and judge called every pair a tie" if kappa is None else None


def _kappa(agree: NDArray[np.bool_], judge_tie: NDArray[np.bool_], people_tie: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Kappa over the last axis, each pair counted both ways: first and second are then equally frequent. NaN where both only tie."""
    observed, a, b = (values.mean(axis=-1) for values in (agree, judge_tie, people_tie))
    expected = (1 - a) * (1 - b) / 2 + a * b
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa: NDArray[np.float64] = np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)
    return kappa


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_input=False, include_url=False)[0]
    return ": ".join(filter(None, [".".join(map(str, found["loc"])), found["msg"]]))
