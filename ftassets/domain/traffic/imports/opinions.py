"""Feedback of people on an answer in another tool, as a rating or a correction."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ftassets.domain.traffic.imports.fields import Call, PersonFeedback

# words of the names under which tools keep a rating: the tools leave the name to their users
_APPROVES = {
    "accept", "accepted", "approval", "approved", "correct", "correctness", "feedback", "good", "helpful", "helpfulness", "like", "liked",
    "quality", "rating", "satisfaction", "satisfied", "thumb", "thumbs", "up", "upvote", "useful", "vote",
}  # fmt: skip
_DISAPPROVES = {"bad", "dislike", "disliked", "down", "downvote", "incorrect", "rejected", "unhelpful", "wrong"}
_NOT = {"not", "never", "no", "non", "isnt", "wasnt"}
_SCALES = {"csat", "quality", "rating", "satisfaction", "star", "stars"}  # words of what often has five steps, of which 1 is the worst
_NEUTRAL = {  # words of a name that do not turn it round
    "a", "ai", "annotation", "annotator", "answer", "assistant", "binary", "bot", "by", "chat", "click", "customer", "end", "evaluation",
    "feedback", "from", "given", "human", "in", "is", "label", "llm", "message", "model", "of", "output", "people", "person", "response",
    "result", "review", "reviewer", "score", "sentiment", "the", "this", "user", "users", "value", "was", "widget",
}  # fmt: skip
_EXPECTS = {"answer", "completion", "correction", "expected", "ground", "ideal", "output", "reference", "response", "truth"}
_AROUND = {  # what an answer is judged by, and not the answer
    "citation", "citations", "context", "contexts", "criteria", "document", "documents", "docs", "fact", "facts", "guideline", "guidelines",
    "keyword", "keywords", "source", "sources", "topic", "topics",
}  # fmt: skip
_UP = {"up", "yes", "true", "good", "correct", "positive", "like", "liked", "accepted", "approved", "helpful", "pass", "1", "👍"}
_DOWN = {
    "down", "no", "false", "bad", "incorrect", "wrong", "negative", "dislike", "disliked", "rejected", "unhelpful", "fail", "0", "-1", "👎",
}  # fmt: skip
_PEOPLE = {  # words of names that only people's feedback has, where a tool does not say who gave it
    "annotator", "csat", "customer", "dislike", "disliked", "downvote", "feedback", "human", "like", "liked", "person", "people", "rating",
    "reviewer", "satisfaction", "satisfied", "star", "stars", "thumb", "thumbs", "upvote", "user", "users", "vote",
}  # fmt: skip
_CORRECTS = {"correction", "corrected", "expected", "ideal", "truth"}  # words of names whose text is an expected answer


_TONES = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]")  # of the skin of a thumb


class Opinion(NamedTuple):
    """One piece of feedback: its name in the tool, the value, when (epoch seconds), whether it is an expected answer, and why.

    One without a value is a comment alone.
    """

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
        words = _words(opinion.name)
        if opinion.expected:
            correction = _answer(opinion.value) if words & _EXPECTS and not words & _AROUND else None
            if correction is None:
                raise ValueError(f"the expectation {opinion.name!r} is not an expected answer")
        elif opinion.value is not None or not _text(opinion.comment):
            rating = _rating(words, opinion)
        times.append(opinion.at)
        comment = _text(opinion.comment) or comment
    return PersonFeedback(rating, correction, times[-1], comment) if times else None


def of_people(
    judgements: Iterable[Mapping[str, Any]],
    left_out: Callable[[Mapping[str, Any]], str | None],
    opinion: Callable[[Mapping[str, Any]], Opinion],
) -> tuple[PersonFeedback | None, tuple[str, ...]]:
    """Feedback of those that people gave, and what the others are called in the report: `left_out` names one that is not a person's.

    Raises ValueError as `feedback_of` does; what is left out is not read, so it raises nothing.
    """
    said, names = [], []
    for each in judgements:
        if (name := left_out(each)) is None:
            said.append(opinion(each))
        else:
            names.append(name)
    return feedback_of(said), tuple(names)


def by_people(name: str) -> bool:
    """Whether feedback of this name is people's, where the tool does not say who gave it: `user-feedback`, not `correctness`."""
    return bool(_words(name) & _PEOPLE)


def opinion_of(name: str, label: Any, score: Any, at: float | None, explanation: Any) -> Opinion:
    """The opinion of a tool that has a label, a score and an explanation for each, any of which may be missing.

    Under a name such as `correction` the label, else the explanation, is the expected answer.
    """
    said = [each for each in (label, explanation) if _text(each)]
    if _words(name) & _CORRECTS and not _words(name) & _AROUND and said and rated(label) is None:
        return Opinion("correction", said[0], at, True, *said[1:])
    value = label if label not in (None, "") and (rated(label) is not None or score is None) else score
    return Opinion(name, value, at, comment=explanation)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


def rated(value: Any) -> str | None:
    """`up` or `down` of a value that means one of them; None for any other, such as a 3 of 5."""
    whole = isinstance(value, float) and value.is_integer()
    text = _TONES.sub("", re.sub(r"^thumbs?[_\- ]*", "", str(int(value) if whole else value).strip().lower()))
    return "up" if text in _UP else "down" if text in _DOWN else None


def _rating(words: set[str], opinion: Opinion) -> str:
    found = rated(opinion.value)
    what = f"the feedback {opinion.name!r} with the value {str(opinion.value)[:30]!r}"
    against, approves, negated = words & _DISAPPROVES, words & _APPROVES, words & _NOT
    if found is None or not (against or approves):
        raise ValueError(f"{what} is neither a thumb up nor a thumb down")
    # a flag such as thumbs_down is true for a thumb down; a word such as "down" means itself
    number = isinstance(opinion.value, int | float) and not isinstance(opinion.value, bool)
    if not (number or isinstance(opinion.value, bool) or str(opinion.value).lower() in ("true", "false", "yes", "no")):
        return found
    if unknown := sorted(words - _APPROVES - _DISAPPROVES - _NEUTRAL - _NOT - _SCALES):
        raise ValueError(f"{what} may mean the contrary: nothing here knows what {unknown[0]!r} in its name means")
    if negated and against:
        raise ValueError(f"{what} may mean the contrary: its name denies twice")
    if number and opinion.value == 1 and words & _SCALES:
        raise ValueError(f"{what} may be the lowest of five steps: write true or up")
    return {"up": "down", "down": "up"}[found] if against or negated else found


def _answer(value: Any) -> str | Call | None:
    """An expected answer, a text, a call or a JSON object; None for what is neither, such as a list of facts."""
    if isinstance(value, dict) and value.keys() == {"name", "arguments"} and isinstance(value["arguments"], dict):
        return Call(str(value["name"]), value["arguments"])
    return _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value if value.strip() else None
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else None
