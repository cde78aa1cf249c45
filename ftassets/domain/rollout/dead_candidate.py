"""When a candidate whose model server died is rolled back: a pure decision."""

from dataclasses import dataclass

from ftassets.wording import span


@dataclass(frozen=True)
class Absence:
    """Since when a candidate alone does not answer, in epoch seconds."""

    candidate: str
    since: float


def absence(before: Absence | None, candidate: str | None, answers: bool, production_answers: bool, now: float) -> Absence | None:
    """What is known now. None while the candidate answers, or production does not either: then the candidate is not what is wrong."""
    if candidate is None or answers or not production_answers:
        return None
    return before if before is not None and before.candidate == candidate else Absence(candidate, now)


def given_up(absent: Absence | None, patience: float, now: float, why: str) -> str | None:
    """The reason to roll the candidate back, once it has been away for longer than the patience (seconds)."""
    if absent is None or now - absent.since < patience:
        return None
    return f"the candidate's model server has not answered for {span(patience)} while production's does: {why}"
