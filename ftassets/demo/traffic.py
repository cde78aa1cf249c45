"""What the demo's users say in each chapter, and how they react to an answer: the same for the same seed, sent or not."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ftassets.demo.voice_commands import DRIFTED, ESTABLISHED, Utterance, draw
from ftassets.domain.evaluation.answer_form import parse_call

USERS = 60
RATED_UP = 0.2  # share of right answers that are rated up
CORRECTED = 0.95  # share of wrong answers to new commands that are corrected
WRONG = 0.08  # share of corrections that name another command
WINDOW = 60  # requests of one quiet window
QUIET_WINDOWS = 3
DRIFTED_REQUESTS = 450
DRIFTED_SHARE = 0.9
MIX = {"LightSet": 0.6, "TurnOn": 0.3, "ClimateGetTemperature": 0.1}  # the harmless change: known commands in another mix


@dataclass(frozen=True)
class Chapters:
    """Requests of each part of the story, in the order in which they are sent."""

    first: list[Utterance]  # complete the drift reference
    quiet: list[list[Utterance]]
    mixed: list[Utterance]
    drifted: list[Utterance]
    others: list[str]  # answers that wrong corrections are taken from
    everyday: list[Utterance]  # while the new version is rolled out


def chapters(first_answers: int, seed: int = 0) -> Chapters:
    """The story's traffic; `first_answers` are the requests before the first window. No sentence is from a withheld template."""
    at = 100 * seed
    known = draw(ESTABLISHED, first_answers + QUIET_WINDOWS * WINDOW, at + 11, withheld=False)
    new = draw(DRIFTED, int(DRIFTED_REQUESTS * DRIFTED_SHARE), at + 13, withheld=False)
    drifted = [*new, *draw(ESTABLISHED, DRIFTED_REQUESTS - len(new), at + 14, withheld=False)]
    random.Random(at + 17).shuffle(drifted)
    return Chapters(
        first=known[:first_answers],
        quiet=[known[first_answers + WINDOW * number :][:WINDOW] for number in range(QUIET_WINDOWS)],
        mixed=mixed(WINDOW, at + 12),
        drifted=drifted,
        others=[utterance.answer for utterance in draw(ESTABLISHED + DRIFTED, 80, at + 15, withheld=False)],
        everyday=draw(ESTABLISHED + DRIFTED, 400, at + 16, withheld=False),
    )


def mixed(count: int, seed: int) -> list[Utterance]:
    """Known commands in the mix of MIX."""
    return [u for intent, share in MIX.items() for u in draw((intent,), round(share * count), seed, withheld=False)]


@dataclass(frozen=True)
class Reaction:
    """Feedback on an answer. `mistaken` says that the correction is itself wrong."""

    rating: str
    correction: str | None = None
    mistaken: bool = False


class Sender:
    """Whoever sends the request of a number: an account, and a mood that decides whether feedback follows."""

    def __init__(self, seed: int, number: int) -> None:
        self._rng = random.Random(seed * 1_000_003 + number)
        self.user = f"user-{self._rng.randrange(USERS)}"

    def react(self, utterance: Utterance, answer: str, correct: float = 0.0, others: Sequence[str] = ()) -> Reaction | None:
        """Feedback on an answer, or None. `correct` is the share of wrong answers that are corrected, some with one of `others`."""
        if parse_call(answer) == parse_call(utterance.answer):
            return Reaction("up") if self._rng.random() < RATED_UP else None
        if self._rng.random() >= correct:
            return None
        mistaken = bool(others) and self._rng.random() < WRONG
        right = utterance.answer
        return Reaction("down", self._rng.choice([other for other in others if other != right]) if mistaken else right, mistaken)
