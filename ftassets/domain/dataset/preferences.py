"""Pairs of a better and a worse answer to one conversation, from user feedback."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from ftassets.domain.chat import Asked, chat
from ftassets.domain.dataset.control_tokens import ControlTokens, escape_of
from ftassets.domain.dataset.curation.context import in_context
from ftassets.domain.dataset.curation.text import answer_key, request_key
from ftassets.domain.dataset.feedback import excluded
from ftassets.domain.dataset.preference_rules import Preference, leaks, over_cap, quarantined
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.traffic.exchange import Exchange, asked_of
from ftassets.domain.traffic.feedback import FeedbackVerdict, Reviewed
from ftassets.errors import reason_of

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


class Pair(Preference):
    """Of two answers to a conversation, which one a user preferred. Id, user, version, time and exposure are those of the rejected one."""

    ANSWERS = {"chosen": "preferred", "rejected": "rejected"}
    model_config = ConfigDict(extra="forbid", frozen=True)

    chosen: str = Field(min_length=1, max_length=20_000)
    rejected: str = Field(min_length=1, max_length=20_000)
    source: Literal["correction", "thumbs"]
    request_id: str
    user: str
    at: float
    version: str
    weight: float = Field(ge=0, le=100, description="Percent of the traffic this version had.")


@dataclass(frozen=True)
class _Preference:
    """That `chosen` was preferred over the answer of `rejected` to what was asked, for thumbs by the user `thumbs_up_by`."""

    asked: Asked
    chosen: str
    rejected: Exchange
    thumbs_up_by: str | None = None


def build_pairs(reviewed: Sequence[Reviewed], golden: Iterable[Example], loop: "LoopConfig") -> tuple[list[Pair], list[Quarantined]]:
    """Pairs of corrections (over the answer they correct) and of thumbs (a thumbs_up answer over a thumbs_down one to the same request).

    Only a correction or a thumb down rejects an answer; an answer without feedback is never rejected. Requests are whole conversations
    with their tools, cut as `dataset.context` says, and the same when their `request_key` is; answers when their `answer_key` is. At
    most `dataset.max_rows_per_user` pairs count per user, the oldest ones; with thumbs, that of both users. Requests that give a golden
    row away (`drop_contaminated`, without vectors), pairs that exist already, a preferred answer without the task's form, corrections
    that change nothing, and conversations that are not text are dropped, each with its reason.
    """
    form, cap = loop.task.form, loop.dataset.max_rows_per_user
    pairs: list[Pair] = []
    dropped: list[Quarantined] = []
    per_user: Counter[str] = Counter()
    seen: set[tuple[str, str, str]] = set()
    preferences = sorted(_preferences(reviewed, loop, dropped), key=lambda found: (found.rejected.at, found.rejected.id))
    found_leaks = leaks([(found.asked, (found.chosen, found.rejected.answer)) for found in preferences], golden, loop)
    for place, found in enumerate(preferences):
        rejected = found.rejected
        key = (request_key(found.asked), answer_key(found.chosen, form), answer_key(rejected.answer, form))
        users = {user for user in (rejected.user, found.thumbs_up_by) if user}
        if reason := found_leaks.get(place) or _unfit(found.chosen, rejected, key, seen, form) or over_cap(users, per_user, cap, "pair"):
            dropped.append(quarantined(rejected, reason))
            continue
        try:
            pair = _pair(found)
        except ValidationError as error:
            dropped.append(quarantined(rejected, reason_of(error)))
            continue
        pairs.append(pair)
        seen.add(key)
        per_user.update(users)
    return pairs, dropped


def trl_row(pair: Pair, system_prompt: str, tokens: ControlTokens | None = None) -> dict[str, Any]:
    """The pair in TRL's conversational form: `prompt`, `chosen` and `rejected` are lists of messages, `tools` is there if it has some.

    The prompt is what the model reads, below the loop's system prompt; control tokens in it are broken as in training, because TRL would
    read them as such.
    """
    read = chat(system_prompt, pair)
    if tokens is not None:
        read = escape_of(tokens).chat(read)
    row: dict[str, Any] = {"prompt": read.messages}
    row |= {name: [{"role": "assistant", "content": text}] for name, text in (("chosen", pair.chosen), ("rejected", pair.rejected))}
    return row | ({"tools": read.tools} if read.tools else {})


def _preferences(reviewed: Sequence[Reviewed], loop: "LoopConfig", dropped: list[Quarantined]) -> Iterator[_Preference]:
    """What was preferred over which exchange; a conversation that cannot be read goes to `dropped`."""
    form = loop.task.form
    requests: dict[str, Asked] = {}
    thumbs_up: dict[str, dict[str, Exchange]] = {}
    thumbs_down: dict[str, dict[str, Exchange]] = {}
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
        if verdict is FeedbackVerdict.CORRECTION:
            yield _Preference(asked, form.spelled(feedback.correction or ""), exchange)
        elif verdict is FeedbackVerdict.THUMBS_UP and exchange.was_cut(form):
            dropped.append(quarantined(exchange, "the answer rated up was cut at the token limit"))
        else:
            side = thumbs_up if verdict is FeedbackVerdict.THUMBS_UP else thumbs_down
            key = request_key(asked)
            requests.setdefault(key, asked)
            # each distinct answer once: the product below must not grow with the number of votes
            side.setdefault(key, {}).setdefault(answer_key(exchange.answer, form), exchange)
    for request in thumbs_up.keys() & thumbs_down.keys():
        for (better, up), (worse, down) in product(thumbs_up[request].items(), thumbs_down[request].items()):
            if better != worse:
                yield _Preference(requests[request], up.answer, down, up.user)


def _unfit(chosen: str, rejected: Exchange, key: tuple[str, str, str], seen: Collection[Any], form: AnswerForm) -> str | None:
    _, better, worse = key
    if not rejected.answer.strip():
        return "there was no answer to reject"
    if (fault := form.fault(chosen)) is not None:
        return f"the preferred answer {fault}"
    if better == worse:
        return "the correction is the same text as the answer"
    return "the same pair exists already" if key in seen else None


def _pair(found: _Preference) -> Pair:
    rejected = found.rejected
    return Pair(
        messages=found.asked.messages,
        tools=found.asked.tools,
        chosen=found.chosen,
        rejected=rejected.answer,
        source="correction" if found.thumbs_up_by is None else "thumbs",
        request_id=rejected.id,
        user=rejected.user,
        at=rejected.at,
        version=rejected.version,
        weight=rejected.weight,
    )
