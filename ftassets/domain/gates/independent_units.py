"""What a gate counts: rows, or conversations where rows are answers of one."""

from collections.abc import Sequence

import numpy as np

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.mean_bounds import mean_lower_bound, mean_upper_bound
from ftassets.domain.statistics import share_interval
from ftassets.wording import amount

_ONE_SIDED = 0.975  # of each bound of a 95 % interval
WHOLE = "whole_conversation"  # the metric that asks whether all answers of a conversation are right


def in_conversations(scores: Sequence[Score]) -> bool:
    """Whether rows are answers of conversations, so that they depend on each other."""
    return any(score.conversation for score in scores)


def pooled(metric: str, scores: Sequence[Score], values: Sequence[float]) -> list[float]:
    """A value for each independent unit: that of a row by itself, the mean of a conversation's answers, or 1 if all are right for `WHOLE`.

    Bounds hold for independent units only; answers of one conversation are right or wrong together more often than by chance. Each
    conversation weighs the same, however many answers it has.
    """
    units: dict[tuple[bool, str], list[float]] = {}
    for score, value in zip(scores, values, strict=True):
        units.setdefault((score.conversation is not None, score.conversation or score.id), []).append(value)
    return [min(each) if metric == WHOLE else sum(each) / len(each) for each in units.values()]


def share_with_interval(scores: Sequence[Score], values: Sequence[bool]) -> tuple[float, float, float]:
    """Share of true values, and its 95 % interval: exact for rows, of the mean over conversations where rows are answers of one.

    (0, 0, 1) without rows.
    """
    if not in_conversations(scores):
        return (sum(values) / len(values) if values else 0.0, *share_interval(sum(values), len(values)))
    units = pooled("", scores, [float(value) for value in values])
    return float(np.mean(units)), mean_lower_bound(units, _ONE_SIDED), mean_upper_bound(units, _ONE_SIDED)


def one_of_each(scores: Sequence[Score]) -> list[Score]:
    """The rows by themselves and the last one of each conversation: rows that do not depend on each other, for gates without a mean."""
    return list({score.conversation or score.id: score for score in scores}.values())


def counted(scores: Sequence[Score], units: int) -> str:
    """How many units there are, in words."""
    return f"{amount(units, 'conversation')} of {amount(len(scores), 'answer')}" if in_conversations(scores) else amount(units, "row")


def unit_of(scores: Sequence[Score]) -> str:
    """What is counted."""
    return "conversations" if in_conversations(scores) else "rows"
