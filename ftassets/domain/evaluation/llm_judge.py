"""A judge model's choices between two answers, and how far they can be trusted."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ftassets.domain.agreement import kappa
from ftassets.domain.canonical import digest_of, parse_json
from ftassets.domain.chat import Asked, openai_messages
from ftassets.domain.dataset.rows import Quarantined

Choice = Literal["first", "second", "tie"]
BothOrders = tuple[Choice, Choice]  # of answers a and b: what was chosen with a shown first, and with b shown first

FEWEST_PAIRS = 30  # pairs people have judged, below which agreement with them is not known
MOST_MISSING = 0.1  # share of pairs without a judgement from which the others may not stand for all

Points = Literal[-1, 0, 1]  # for the second answer, neither, the first one
_POINTS: dict[Choice, Points] = {"first": 1, "tie": 0, "second": -1}


class PairwiseScore(BaseModel):
    """One row: 1 when the judge prefers the candidate's answer in both orders, -1 for production's, 0 for a tie or a contradiction.

    Values between come from a tie in one order only, or from repeats. A row without a judgement has the reason instead of a value.
    `people` is what people prefer of these two answers, where the labels have them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    slice: str
    value: float | None = Field(ge=-1, le=1)
    contradictions: int = 0  # repeats in which each order gave the answer that was shown at the same place
    reason: str | None = None
    people: Points | None = None
    same: bool = False  # both answers are the same text

    @model_validator(mode="after")
    def _value_or_reason(self) -> "PairwiseScore":
        if (self.value is None) == (self.reason is None):
            raise ValueError("a pairwise_score has a value, or the reason why it is missing")
        return self


class LabelledChoice(BaseModel):
    """What the judge (its pairwise_score, 0 or above) and people prefer of a labelled pair: 1 the answer that the judge prefers.

    If the judge prefers none, 1 is the answer that people prefer. `own`: the two answers are the candidate's and production's to a row
    of this report.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    judge: float = Field(ge=0, le=1)
    people: Points
    own: bool = False


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
    choices: tuple[LabelledChoice, ...] = ()  # of all labelled pairs with a judgement; older reports lack them
    slices: dict[str, int] = {}  # labelled pairs by the slice they name

    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper bound of kappa, each at this confidence; (-1, 1) without the choices."""
        return _kappa_bounds(frozenset(_table(self.choices).items()), confidence)

    def trusted(self, confidence: float) -> bool:
        """Whether it is proved that the judge agrees with people well enough to decide anything."""
        return self.problem is None and self.interval(confidence)[0] >= self.min_kappa


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
    slice: str | None = None  # of the request, as golden rows have one

    @model_validator(mode="after")
    def _differ(self) -> "LabelledPair":
        if self.first == self.second:
            raise ValueError("both answers are the same text")
        if (self.prompt is None) == (self.messages is None):
            raise ValueError('either "prompt" or "messages" says what was asked')
        assert self.asked  # is built, and raises ValueError where it cannot be
        return self

    @property
    def points(self) -> Points:
        """What people prefer, as points."""
        return _POINTS[self.preferred]

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


def side(choices: Sequence[BothOrders]) -> Points:
    """The answer that is preferred over both orders and all repeats, or neither."""
    score = pairwise_score(choices)
    return 1 if score > 0 else -1 if score < 0 else 0


def contradictions(choices: Sequence[BothOrders]) -> int:
    """Repeats in which the judge chose the place, not the answer."""
    return sum(a_first == b_first != "tie" for a_first, b_first in choices)


def pair_to_label(name: str, asked: Asked, slice_name: str | None, *answers: str) -> str:
    """Two answers as a line of a labels file in which `preferred` is still empty; which one is the first follows from the id, by chance."""
    turned = digest_of(name)[0] in "01234567"
    first, second = reversed(answers) if turned else answers
    request = {"messages": openai_messages(asked.messages), **({"tools": json.loads(asked.tools)} if asked.tools else {})}
    line = {"id": name, **request, "first": first, "second": second, "slice": slice_name or "golden", "preferred": ""}
    return json.dumps(line, ensure_ascii=False)


def parse_labels(text: str, source: str) -> tuple[list[LabelledPair], list[Quarantined]]:
    """Pairs of a JSONL text, and its invalid lines with number and reason; other fields of a line are ignored.

    Lines in which `preferred` is empty are still to be labelled, and neither.
    """
    pairs: dict[str, LabelledPair] = {}
    bad: list[Quarantined] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            if _open(line):
                continue
            pair = LabelledPair.model_validate_json(line)
            if pair.id in pairs:
                raise ValueError(f"there is a line with the id {pair.id} already")
            pairs[pair.id] = pair
        except ValueError as error:
            bad.append(Quarantined(f"{source}:{number}", _reason(error), line[:500]))
    return list(pairs.values()), bad


def calibrate(judged: Sequence[JudgedPair], min_kappa: float, missing: int = 0, refused: int = 0, own: Collection[str] = ()) -> Calibration:
    """Agreement of the judge with people, and its biases.

    Cohen's kappa is (p_o - p_e) / (1 - p_e) with the observed agreement p_o and the one expected by chance p_e (Cohen 1960). Which of
    two answers a file calls the first is arbitrary, so every pair is counted both ways: then a file in which the first one is
    always the better gives the same figure as a shuffled one. The interval is that of `domain.agreement`. `own` are ids of pairs
    that are answers of this report.
    """
    n = len(judged)
    choices = tuple(_labelled_choice(each, own) for each in judged)
    people = np.array([each.pair.points for each in judged])
    judge = np.array([side(each.choices) for each in judged], dtype=int)
    judge_tie, people_tie = judge == 0, people == 0
    named = Counter(each.pair.slice for each in judged if each.pair.slice)
    found: dict[str, Any] = {"n": n, "min_kappa": min_kappa, "missing": missing, "refused": refused, "choices": choices, "slices": named}
    if n:
        found["agreement"] = float((judge == people).mean())
        if beyond := kappa(_table(choices)):
            found |= dict(zip(("kappa", "kappa_low", "kappa_high"), beyond, strict=True))
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


def _labelled_choice(each: JudgedPair, own: Collection[str]) -> LabelledChoice:
    """Written down so that it does not depend on which answer the file calls the first."""
    judge, people = pairwise_score(each.choices), each.pair.points
    turn = side(each.choices) or people or 1
    return LabelledChoice(judge=turn * judge, people=cast(Points, turn * people), own=each.pair.id in own)


def _table(choices: Iterable[LabelledChoice]) -> Counter[tuple[bool, bool, bool]]:
    """Pairs by whether judge and people agree, whether the judge calls a tie, and whether people do."""
    signs = ((int(np.sign(each.judge)), each.people) for each in choices)
    return Counter((judge == people, judge == 0, people == 0) for judge, people in signs)


@lru_cache(256)
def _kappa_bounds(table: frozenset[tuple[tuple[bool, bool, bool], int]], confidence: float) -> tuple[float, float]:
    found = kappa(Counter(dict(table)), 2 * confidence - 1)
    return found[1:] if found else (-1.0, 1.0)


def _open(line: str) -> bool:
    content = parse_json(line)
    return isinstance(content, dict) and content.get("preferred", 0) in ("", None)


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_input=False, include_url=False)[0]
    return ": ".join(filter(None, [".".join(map(str, found["loc"])), found["msg"]]))
