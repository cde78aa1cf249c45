"""Feedback of users on answers, and what all feedback on one answer adds up to."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum

from ftassets.domain.traffic.exchange import Exchange


class FeedbackVerdict(StrEnum):
    """What the feedback on an answer comes to; a row made of it has this source."""

    CORRECTION = "correction"
    THUMBS_UP = "thumbs_up"
    THUMBS_DOWN = "thumbs_down"


@dataclass(frozen=True)
class Feedback:
    """User feedback on an answer: rating is up or down, correction is the expected answer, comment is for people; None or an empty text
    says nothing."""

    request_id: str
    at: float
    rating: str | None
    correction: str | None
    comment: str | None = None

    @property
    def verdict(self) -> FeedbackVerdict | None:
        """A correction stays one whatever the thumb: the thumb then is about the corrected answer, or repeats that the first was wrong."""
        if self.correction:
            return FeedbackVerdict.CORRECTION
        return {"up": FeedbackVerdict.THUMBS_UP, "down": FeedbackVerdict.THUMBS_DOWN}.get(self.rating or "")


@dataclass(frozen=True)
class Reviewed:
    """An exchange with what all feedback on it adds up to."""

    exchange: Exchange
    feedback: Feedback


@dataclass(frozen=True)
class FeedbackCounts:
    """How many answers have feedback, how many of them have the thumb down at last, and how many have a correction."""

    reviewed: int
    down: int
    corrected: int


_SAID = [field.name for field in fields(Feedback) if field.name not in ("request_id", "at")]


def added_up(events: Iterable[Feedback]) -> dict[str, Feedback]:
    """What the events on each answer add up to, by its id: of each field the newest text, and the time of the newest event.

    Events may come in any order and more than once. Of different texts given at one moment the first in the order of the alphabet counts:
    a thumb down before a thumb up.
    """
    newest: dict[str, float] = {}
    found: dict[str, dict[str, tuple[float, str]]] = {}
    for event in events:
        newest[event.request_id] = max(event.at, newest.get(event.request_id, event.at))
        known = found.setdefault(event.request_id, {})
        for name in _SAID:
            if text := getattr(event, name):
                at, other = known.get(name, (event.at, text))
                known[name] = (event.at, text) if event.at > at else (at, min(text, other) if event.at == at else other)
    return {
        answer: Feedback(answer, newest[answer], **{name: said[name][1] if name in said else None for name in _SAID})
        for answer, said in found.items()
    }
