"""The rows that users' feedback makes."""

from collections.abc import Collection, Iterable

from ftassets.domain.dataset.rows import Example, Quarantined, shown
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.traffic.exchange import ANSWERED, asked_of
from ftassets.domain.traffic.feedback import FeedbackVerdict, Reviewed
from ftassets.errors import reason_of


def from_feedback(
    reviewed: Iterable[Reviewed], form: AnswerForm, exclude_tags: Collection[str] = ()
) -> tuple[list[Example], list[Quarantined]]:
    """Corrections and answers rated up as examples, and those that make none, with the reason; the time is that of the feedback.

    An answer rated down without a correction is neither. The answer of a request that failed, or that was cut at the token limit,
    teaches nothing whatever its rating; a correction of it does. Feedback with one of `exclude_tags` makes no row.
    """
    rows: list[Example] = []
    rejected: list[Quarantined] = []
    for item in reviewed:
        exchange, feedback = item.exchange, item.feedback
        verdict = feedback.verdict
        if verdict not in (FeedbackVerdict.CORRECTION, FeedbackVerdict.THUMBS_UP):
            continue
        try:
            if tag := feedback.tagged(exclude_tags):
                raise ValueError(excluded(tag))
            if verdict is FeedbackVerdict.THUMBS_UP and exchange.status != ANSWERED:
                raise ValueError(f"the request failed with status {exchange.status}: its answer is not whole")
            if verdict is FeedbackVerdict.THUMBS_UP and exchange.was_cut(form):
                raise ValueError("the answer was cut at the token limit")
            asked = asked_of(exchange)
            row = Example(
                id=exchange.id, messages=asked.messages, tools=asked.tools, completion=feedback.correction or exchange.answer,
                source=verdict.value, user=exchange.user, request_id=exchange.id, version=exchange.version, at=feedback.at,
            )  # fmt: skip
        except ValueError as error:
            rejected.append(Quarantined(f"{verdict.value}:{exchange.id}", reason_of(error), shown(exchange.prompt)))
        else:
            rows.append(row)
    return rows, rejected


def excluded(tag: str) -> str:
    """Why feedback with this tag makes no row and no pair."""
    return f"the feedback has the tag {tag!r}, which dataset.exclude_tags leaves out"
