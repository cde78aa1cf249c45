"""Answers that users rated up or down, without the other answer that a pair needs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field, ValidationError

from ftassets.domain.chat import Asked
from ftassets.domain.dataset.curation.context import in_context
from ftassets.domain.dataset.curation.text import answer_key, request_key
from ftassets.domain.dataset.feedback import excluded
from ftassets.domain.dataset.preference_rules import Preference, leaks, over_cap, quarantined
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.traffic.exchange import ANSWERED, Exchange, asked_of
from ftassets.domain.traffic.feedback import FeedbackVerdict, Reviewed
from ftassets.errors import reason_of

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

Rating = Literal["up", "down"]


class Rated(Preference):
    """An answer to a conversation with the rating that most users gave it; the rest is of the first exchange that was rated so."""

    ANSWERS = {"answer": "rated"}
    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: str = Field(min_length=1, max_length=20_000)
    rating: Rating
    source: Literal["correction", "thumbs"]
    request_id: str
    user: str
    at: float
    version: str
    weight: float = Field(ge=0, le=100, description="Percent of the traffic this version had.")


@dataclass(frozen=True)
class _Vote:
    asked: Asked
    answer: str
    rating: Rating
    exchange: Exchange
    source: Literal["correction", "thumbs"]


def build_rated(reviewed: Sequence[Reviewed], golden: Iterable[Example], loop: "LoopConfig") -> tuple[list[Rated], list[Quarantined]]:
    """Rated answers of thumbs, and of corrections: the corrected answer is rated down, the correction up.

    Requests and answers are the same as `build_pairs` has it, and so is what is dropped: rows that give a golden row away, answers rated
    up that have not the task's form or were cut, conversations that are not text, and those above `dataset.max_rows_per_user` of a user.
    An answer that was rated both ways counts as most users rated it; with as many on either side it is dropped.
    """
    form, cap = loop.task.form, loop.dataset.max_rows_per_user
    dropped: list[Quarantined] = []
    by_answer: dict[tuple[str, str], list[_Vote]] = {}
    for vote in _votes(reviewed, loop, dropped):
        by_answer.setdefault((request_key(vote.asked), answer_key(vote.answer, form)), []).append(vote)
    decided: list[_Vote] = []
    for votes in by_answer.values():
        of_users = {vote.exchange.user or vote.exchange.id: vote.rating for vote in votes}  # one vote each, the newest
        counts = Counter(of_users.values())
        if counts["up"] == counts["down"]:
            dropped += [quarantined(vote.exchange, "as many users rated this answer up as down") for vote in votes]
        else:
            wanted = max(counts, key=counts.__getitem__)
            decided.append(next(vote for vote in votes if vote.rating == wanted))
    decided.sort(key=lambda vote: (vote.exchange.at, vote.exchange.id, vote.rating))
    found_leaks = leaks([(vote.asked, [vote.answer]) for vote in decided], golden, loop)
    per_user: Counter[str] = Counter()
    rated: list[Rated] = []
    for place, vote in enumerate(decided):
        users = {vote.exchange.user} if vote.exchange.user else set()
        if reason := found_leaks.get(place) or _unfit(vote, form) or over_cap(users, per_user, cap, "rated answer"):
            dropped.append(quarantined(vote.exchange, reason))
            continue
        try:
            rated.append(_rated(vote))
        except ValidationError as error:
            dropped.append(quarantined(vote.exchange, reason_of(error)))
            continue
        per_user.update(users)
    return rated, dropped


def _votes(reviewed: Sequence[Reviewed], loop: "LoopConfig", dropped: list[Quarantined]) -> Iterable[_Vote]:
    """What was rated how, oldest exchanges first; a conversation that cannot be read goes to `dropped`."""
    form = loop.task.form
    for item in sorted(reviewed, key=lambda item: (item.exchange.at, item.exchange.id)):
        exchange, feedback = item.exchange, item.feedback
        if (verdict := feedback.verdict) is None:
            continue
        if tag := feedback.tagged(loop.dataset.exclude_tags):
            dropped.append(quarantined(exchange, excluded(tag)))
            continue
        try:
            asked = in_context(asked_of(exchange), loop)
        except ValueError as error:
            dropped.append(quarantined(exchange, reason_of(error)))
            continue
        if verdict is FeedbackVerdict.THUMBS_UP:
            if exchange.status != ANSWERED or exchange.was_cut(form):
                dropped.append(quarantined(exchange, "the answer rated up is not whole"))
            else:
                yield _Vote(asked, exchange.answer, "up", exchange, "thumbs")
            continue
        corrected = verdict is FeedbackVerdict.CORRECTION
        better = form.spelled(feedback.correction or "")
        if corrected and answer_key(better, form) == answer_key(exchange.answer, form):
            dropped.append(quarantined(exchange, "the correction is the same text as the answer"))
            continue
        yield _Vote(asked, exchange.answer, "down", exchange, "correction" if corrected else "thumbs")
        if corrected:
            yield _Vote(asked, better, "up", exchange, "correction")


def _unfit(vote: _Vote, form: AnswerForm) -> str | None:
    if not vote.answer.strip():
        return "there was no answer to rate"
    if vote.rating == "up" and (fault := form.fault(vote.answer)) is not None:
        return f"the answer rated up {fault}"
    return None


def _rated(vote: _Vote) -> Rated:
    exchange = vote.exchange
    return Rated(
        messages=vote.asked.messages,
        tools=vote.asked.tools,
        answer=vote.answer,
        rating=vote.rating,
        source=vote.source,
        request_id=exchange.id,
        user=exchange.user,
        at=exchange.at,
        version=exchange.version,
        weight=exchange.weight,
    )
