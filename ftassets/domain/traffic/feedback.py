"""Feedback of users on answers, and what all feedback on one answer adds up to."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from enum import StrEnum

from ftassets.domain.traffic.exchange import Exchange

SEPARATOR = ", "
MOST_TAGS, LONGEST_TAG = 20, 50  # of one piece of feedback; characters of a tag


def tags_text(tags: Iterable[str]) -> str | None:
    """Tags as `Feedback` has them: each once, in the order of the alphabet; None without one.

    Raises ValueError for more than 20 tags, and for a tag that is empty, longer than 50 characters, or has a comma or a control character.
    """
    names = sorted({" ".join(tag.split()) for tag in tags})
    if len(names) > MOST_TAGS:
        raise ValueError(f"{len(names)} tags: at most {MOST_TAGS}")
    for name in names:
        if not name or len(name) > LONGEST_TAG or "," in name or not name.isprintable():
            raise ValueError(f"{name[:LONGEST_TAG]!r} is not a tag: 1 to {LONGEST_TAG} characters without a comma")
    return SEPARATOR.join(names) or None


class FeedbackVerdict(StrEnum):
    """What the feedback on an answer comes to; a row made of it has this source."""

    CORRECTION = "correction"
    THUMBS_UP = "thumbs_up"
    THUMBS_DOWN = "thumbs_down"


@dataclass(frozen=True)
class Feedback:
    """User feedback on an answer: rating is up or down, correction is the expected answer, comment is for people, tags are words for what
    was wrong or right, as `tags_text` writes them; None or an empty text says nothing."""

    request_id: str
    at: float
    rating: str | None
    correction: str | None
    comment: str | None = None
    tags: str | None = None

    @property
    def note(self) -> str | None:
        """Tags and comment as people read them."""
        return ": ".join(filter(None, (self.tags, self.comment))) or None

    def tagged(self, names: Collection[str]) -> str | None:
        """The first tag that is one of these names, whatever its case; None without one."""
        wanted = {name.casefold() for name in names}
        return next((tag for tag in (self.tags or "").split(SEPARATOR) if tag.casefold() in wanted), None) if wanted else None

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


@dataclass(frozen=True)
class FeedbackAge:
    """How much feedback came at one age of its answer, in whole hours: thumbs up and down, and corrections."""

    hours: int
    up: int
    down: int
    corrected: int


_SAID = [field.name for field in fields(Feedback) if field.name not in ("request_id", "at")]


def added_up(events: Iterable[Feedback]) -> dict[str, Feedback]:
    """What the events on each answer add up to, by its id: of each field the newest text, and the time of the newest event.

    Events of one answer come in the order in which they were stored: of texts given at one time the one that was stored last counts.
    Imports of tools that keep no times of feedback give all feedback on an answer the time of the answer.
    """
    newest: dict[str, float] = {}
    found: dict[str, dict[str, tuple[float, str]]] = {}
    for event in events:
        newest[event.request_id] = max(event.at, newest.get(event.request_id, event.at))
        known = found.setdefault(event.request_id, {})
        for name in _SAID:
            if (text := getattr(event, name)) and event.at >= known.get(name, (event.at, text))[0]:
                known[name] = (event.at, text)
    return {
        answer: Feedback(answer, newest[answer], **{name: said[name][1] if name in said else None for name in _SAID})
        for answer, said in found.items()
    }
