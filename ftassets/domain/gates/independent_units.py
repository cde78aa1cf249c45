"""What a gate counts: rows, or conversations where rows are answers of one."""

from collections.abc import Sequence

from ftassets.domain.evaluation.scoring import Score

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


def counted(scores: Sequence[Score], units: int) -> str:
    """How many units there are, in words."""
    return f"{units} conversations of {len(scores)} answers" if in_conversations(scores) else f"{units} rows"


def unit_of(scores: Sequence[Score]) -> str:
    """What is counted."""
    return "conversations" if in_conversations(scores) else "rows"
