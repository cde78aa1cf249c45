"""Whether a version that was trained on preferences becomes the candidate: what it did to preferences and to the task's score.

Both are measured on rows that neither training learned from, and compared with the fine-tuned version on the same rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from ftassets.config.loop import Align
from ftassets.domain.formats import Stored
from ftassets.domain.gates.evidence import Evidence, mean_evidence, tested
from ftassets.domain.gates.result import Verdict, would_tell
from ftassets.wording import amount

_SCORES, _SHARE = (-1.0, 1.0), (0.0, 1.0)
_EVEN = 0.5  # share of pairs in which a version that learned nothing gains on the rejected answer


class Measured(BaseModel):
    """What was measured of both versions on a row: a score in 0..1, or log-probabilities in nats. Rows of a `unit` depend on each other.

    Of a held-out pair it is the margin, the log-probability of the chosen answer less that of the rejected one; of a rated answer its
    log-probability, and `up` says how it was rated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: str
    tuned: float
    aligned: float
    up: bool | None = None


class Alignment(Stored):
    """Everything that the decision between a fine-tuned version and the one trained on preferences from it rests on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "alignment_report"

    loop: str
    run_id: str
    method: str
    tuned: str
    aligned: str
    dataset_commit: str
    preferences_commit: str
    metric: str
    scores: list[Measured]
    preferences: list[Measured]


@dataclass(frozen=True)
class Decision:
    """The verdict with its reason, and the evidence of both parts if there is some. Only PASS makes the aligned version the candidate."""

    verdict: Verdict
    sentence: str
    score: Evidence | None = None
    preference: Evidence | None = None


def decide(of: Alignment, align: Align) -> Decision:
    """PASS if both hold at the confidence: the mean score is at most `margin` lower, and preferences gained in more than half of the units.

    A pair gained if its margin grew. Rated answers gained as often as an answer rated up gained more than one rated down, a
    Mann-Whitney comparison. Half is what a version reaches that learned nothing of preferences. What was measured says which of the two
    it is: the loop may ask for the other one by now.
    """
    gains = score_gains(of.scores)
    wins = pair_wins(of.preferences) if of.method == "dpo" else rating_wins(of.preferences)
    if why := too_few(len(gains), len(wins), align):
        return Decision(Verdict.NOT_ENOUGH_DATA, why)
    score = mean_evidence(gains, _SCORES, -align.margin, align.confidence)
    preference = mean_evidence(wins, _SHARE, _EVEN, align.confidence)
    verdicts = {score.verdict, preference.verdict}
    verdict = Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.FAIL if Verdict.FAIL in verdicts else Verdict.NOT_ENOUGH_DATA
    return Decision(verdict, f"{_on_preferences(of, preference, len(wins), align)}; {_on_score(of, score, align)}", score, preference)


def too_few(scored: int, compared: int, align: Align) -> str | None:
    """Why so many validation rows and held-out units could prove nothing, were every row in favour; None if they could."""
    percent = f"{100 * align.confidence:g} %"
    if not compared or tested([1.0] * compared, _SHARE, _EVEN, align.confidence).verdict is not Verdict.PASS:
        return (
            f"{amount(compared, 'held-out preference')} cannot show at {percent} that preferences gained: wait for more feedback, or raise "
            "align.held_out"
        )
    if not scored or tested([0.0] * scored, _SCORES, -align.margin, align.confidence).verdict is not Verdict.PASS:
        return (
            f"{amount(scored, 'validation row')} cannot show at {percent} that the score fell by at most {align.margin:g}, were it the "
            "same on each: raise align.margin, or give the dataset more validation rows"
        )
    return None


def score_gains(scores: Sequence[Measured]) -> list[float]:
    """The aligned version's score less the fine-tuned one's, a mean for each unit."""
    return _by_unit((each.unit, each.aligned - each.tuned) for each in scores)


def pair_wins(pairs: Sequence[Measured]) -> list[float]:
    """For each unit the share of its pairs whose margin grew; one that stayed the same counts half."""
    return _by_unit((each.unit, _won(each.aligned - each.tuned)) for each in pairs)


def rating_wins(rated: Sequence[Measured]) -> list[float]:
    """How often answers rated up gained more than answers rated down, for each comparison; one that gained as much counts half.

    A unit with both ratings is compared with itself. Of the others each unit of the rarer rating is compared with units of its own, as
    many as there are for each, in the order of their names. So each unit is in one comparison, and the values do not depend on each other.
    """
    units: dict[str, tuple[list[float], list[float]]] = {}
    for each in rated:
        units.setdefault(each.unit, ([], []))[0 if each.up else 1].append(each.aligned - each.tuned)
    by_name = [units[name] for name in sorted(units)]
    wins = [_won_between(ups, downs) for ups, downs in by_name if ups and downs]
    only_up = [ups for ups, downs in by_name if not downs]
    only_down = [downs for ups, downs in by_name if not ups]
    count = min(len(only_up), len(only_down))
    for place in range(count):
        wins.append(float(np.mean([_won_between(up, down) for up in only_up[place::count] for down in only_down[place::count]])))
    return wins


def rating_comparisons(rated: Iterable[tuple[str, bool]]) -> int:
    """Number of values that `rating_wins` finds for rows of these units, each with whether it was rated up."""
    units: tuple[set[str], set[str]] = (set(), set())
    for unit, up in rated:
        units[up].add(unit)
    down, up_ones = units
    both = down & up_ones
    return len(both) + min(len(down - both), len(up_ones - both))


def _won_between(ups: Sequence[float], downs: Sequence[float]) -> float:
    """The share of all pairs of gains in which that of an answer rated up is the larger one."""
    return float(np.mean([_won(up - down) for up in ups for down in downs]))


def _gain(of: Measured) -> float:
    return of.aligned - of.tuned


def _won(difference: float) -> float:
    return float(np.heaviside(difference, 0.5))


def _by_unit(values: Iterable[tuple[str, float]]) -> list[float]:
    units: dict[str, list[float]] = {}
    for unit, value in values:
        units.setdefault(unit, []).append(value)
    return [float(np.mean(each)) for each in units.values()]


def _on_preferences(of: Alignment, found: Evidence, units: int, align: Align) -> str:
    if of.method == "dpo":
        what = f"the chosen answer gained on the rejected one in {found.value:.3f} of {amount(units, 'held-out request')}"
        before, after = (np.mean([getattr(each, name) for each in of.preferences]) for name in ("tuned", "aligned"))
        means = f"mean margin {after:+.2f} nats, before {before:+.2f}"
    else:
        what = f"answers rated up gained on those rated down in {found.value:.3f} of {amount(units, 'held-out comparison')}"
        up, down = (np.mean([_gain(each) for each in of.preferences if each.up is rating]) for rating in (True, False))
        means = f"mean gain {up:+.2f} nats, of those rated down {down:+.2f}"
    return f"{what}, {_bounds(found, align)}, needs a lower bound above {_EVEN:g}; {means}{_more(found, 'of these')}"


def _on_score(of: Alignment, found: Evidence, align: Align) -> str:
    before, after = (np.mean([getattr(each, name) for each in of.scores]) for name in ("tuned", "aligned"))
    return (
        f"{of.metric} {after:.3f} of {amount(len(of.scores), 'validation row')}, before {before:.3f}, difference {found.value:+.3f}, "
        f"{_bounds(found, align, '+')}, needs a lower bound above {-align.margin:g}{_more(found, 'rows')}"
    )


def _bounds(found: Evidence, align: Align, sign: str = "") -> str:
    return f"{100 * align.confidence:g} % lower bound {found.lower:{sign}.3f}, upper {found.upper:{sign}.3f}"


def _more(found: Evidence, unit: str) -> str:
    return would_tell(found.rows_needed, unit) if found.rows_needed else ""
