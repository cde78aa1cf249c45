"""Feedback of people on an answer in another tool, as a rating or a correction."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from ftassets.domain.traffic.imports.fields import PersonFeedback

# words of the names under which tools keep a rating: the tools leave the name to their users
_APPROVES = {
    "accept", "accepted", "approval", "approved", "correct", "correctness", "feedback", "good", "helpful", "helpfulness", "like", "liked",
    "quality", "rating", "satisfaction", "satisfied", "thumb", "thumbs", "up", "upvote", "useful", "vote",
}  # fmt: skip
_DISAPPROVES = {"bad", "dislike", "disliked", "down", "downvote", "incorrect", "rejected", "unhelpful", "wrong"}
_EXPECTS = {"answer", "completion", "correction", "expected", "ground", "ideal", "output", "reference", "response", "truth"}
_AROUND = {  # what an answer is judged by, and not the answer
    "citation", "citations", "context", "contexts", "criteria", "document", "documents", "docs", "fact", "facts", "guideline", "guidelines",
    "keyword", "keywords", "source", "sources", "topic", "topics",
}  # fmt: skip
_UP = {"up", "yes", "true", "good", "correct", "positive", "like", "liked", "accepted", "approved", "helpful", "pass", "1", "👍"}
_DOWN = {
    "down",
    "no",
    "false",
    "bad",
    "incorrect",
    "wrong",
    "negative",
    "dislike",
    "disliked",
    "rejected",
    "unhelpful",
    "fail",
    "0",
    "-1",
    "👎",
}


class Opinion(NamedTuple):
    """One piece of feedback: its name in the tool, the value, when (epoch seconds), whether it is an expected answer, and why."""

    name: str
    value: Any
    at: float | None = None
    expected: bool = False
    comment: Any = None


def feedback_of(opinions: Iterable[Opinion]) -> PersonFeedback | None:
    """The newest rating, correction and comment among these; None without an opinion.

    Raises ValueError, by its name, for an opinion that is neither: feedback is not dropped in silence.
    """
    rating = correction = comment = None
    times = []
    for opinion in sorted(opinions, key=lambda each: each.at or 0.0):
        words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", opinion.name).lower()))
        if opinion.expected:
            correction = _text(opinion.value) if words & _EXPECTS and not words & _AROUND else None
            if correction is None:
                raise ValueError(f"the expectation {opinion.name!r} is not an expected answer")
        else:
            rating = _rating(words, opinion)
        times.append(opinion.at)
        comment = _text(opinion.comment) or comment
    return PersonFeedback(rating, correction, times[-1], comment) if times else None


def rated(value: Any) -> str | None:
    """`up` or `down` of a value that means one of them; None for any other, such as a 3 of 5."""
    whole = isinstance(value, float) and value.is_integer()
    text = re.sub(r"^thumbs?[_\- ]*", "", str(int(value) if whole else value).strip().lower())
    return "up" if text in _UP else "down" if text in _DOWN else None


def _rating(words: set[str], opinion: Opinion) -> str:
    found = rated(opinion.value)
    against, approves = words & _DISAPPROVES, words & _APPROVES
    if found is None or not (against or approves):
        raise ValueError(f"the feedback {opinion.name!r} with the value {str(opinion.value)[:30]!r} is neither a thumb up nor a thumb down")
    # a flag such as thumbs_down is true for a thumb down; a word such as "down" means itself
    flag = isinstance(opinion.value, bool | int | float) or str(opinion.value).lower() in ("true", "false", "yes", "no")
    return {"up": "down", "down": "up"}[found] if against and flag else found


def _text(value: Any) -> str | None:
    """An expected answer, a text or a JSON object; None for what is neither, such as a list of facts."""
    if isinstance(value, str):
        return value if value.strip() else None
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else None
