"""Pairs of a better and a worse answer to one conversation, from user feedback."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from ftassets.domain.chat import Asked, chat
from ftassets.domain.dataset.control_tokens import ControlTokens, escape_of
from ftassets.domain.dataset.curation.contamination import drop_contaminated
from ftassets.domain.dataset.curation.context import in_context
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.curation.text import answer_key, request_key
from ftassets.domain.dataset.feedback import excluded
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.personal_data.finding import find
from ftassets.domain.personal_data.spans import Finder
from ftassets.domain.personal_data.texts import tool_names, tools_without_personal_data, without_personal_data
from ftassets.domain.traffic.exchange import Exchange, asked_of
from ftassets.domain.traffic.feedback import FeedbackVerdict, Reviewed
from ftassets.errors import reason_of
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


class Pair(Asked):
    """Of two answers to a conversation, which one a user preferred. Id, user, version, time and exposure are those of the rejected one."""

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
    leaks = _leaks(preferences, golden, loop)
    for place, found in enumerate(preferences):
        rejected = found.rejected
        key = (request_key(found.asked), answer_key(found.chosen, form), answer_key(rejected.answer, form))
        users = {user for user in (rejected.user, found.thumbs_up_by) if user}
        if reason := leaks.get(place) or _unfit(found.chosen, rejected, key, seen, form) or _over_cap(users, per_user, cap):
            dropped.append(_quarantined(rejected, reason))
            continue
        try:
            pair = _pair(found)
        except ValidationError as error:
            dropped.append(_quarantined(rejected, reason_of(error)))
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


def scrubbed_pairs(pairs: Iterable[Pair], loop: "LoopConfig", names: Finder | None = None) -> tuple[list[Pair], list[Quarantined]]:
    """The pairs without personal data, and those that were dropped, by the rules of the curation step `pii` and the loop's settings."""
    if "pii" in loop.dataset.skip:
        return list(pairs), []
    closed = loop.task.form.closed
    kept: list[Pair] = []
    dropped: list[Quarantined] = []
    for pair in pairs:
        answers = [pair.rejected] if closed else [pair.rejected, pair.chosen]
        messages, cleaned, found = without_personal_data(pair.messages, answers, names)
        tools, in_tools = tools_without_personal_data(pair.tools)
        named = {span.kind for name in tool_names(pair) for span in find(name)}
        found += in_tools
        if named or (found and loop.dataset.pii == "drop"):
            where = "in the name of a tool or call: " if named else ""
            reason = f"personal data{' ' if where else ': '}{where}{', '.join(sorted(named or found))}"
            dropped.append(Quarantined(f"preferences:{pair.request_id}", reason, ""))
            continue
        chosen = pair.chosen if closed else cleaned[1]
        kept.append(pair.model_copy(update={"messages": messages, "tools": tools, "rejected": cleaned[0], "chosen": chosen}))
    return kept, dropped


def without_control_tokens(pairs: Iterable[Pair], tokens: ControlTokens | None) -> tuple[list[Pair], list[Quarantined]]:
    """The pairs whose answers hold no control token, and those that were dropped, by the rule of the curation step `control_tokens`.

    A rejected answer with one would teach the model not to write that token, such as the end of its turn. Without known `tokens`
    all are kept.
    """
    if tokens is None:
        return list(pairs), []
    escape = escape_of(tokens)
    kept: list[Pair] = []
    dropped: list[Quarantined] = []
    for pair in pairs:
        answers = (("preferred", pair.chosen), ("rejected", pair.rejected))
        found = next(((which, token) for which, answer in answers for token in escape.found_in_answer(answer)), None)
        if found is None:
            kept.append(pair)
        else:
            reason = f"the {found[0]} answer holds the control token {found[1]!r}"
            dropped.append(Quarantined(f"preferences:{pair.request_id}", reason, pair.prompt))
    return kept, dropped


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
            dropped.append(_quarantined(exchange, excluded(tag)))
            continue
        try:
            asked = in_context(asked_of(exchange), loop)
        except ValueError as error:
            dropped.append(_quarantined(exchange, reason_of(error)))
            continue
        if verdict is FeedbackVerdict.CORRECTION:
            yield _Preference(asked, form.spelled(feedback.correction or ""), exchange)
        elif verdict is FeedbackVerdict.THUMBS_UP and exchange.was_cut(form):
            dropped.append(_quarantined(exchange, "the answer rated up was cut at the token limit"))
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


def _leaks(preferences: Sequence[_Preference], golden: Iterable[Example], loop: "LoopConfig") -> Mapping[int, str]:
    """Positions of the preferences that give a golden row away, by the rule of curation, each with the reason."""
    known = [in_context(row, loop) for row in golden]
    leaks: dict[int, str] = {}
    for side in ([found.chosen for found in preferences], [found.rejected.answer for found in preferences]):
        rows = [  # not validated: an answer without the task's form is told later
            Example.model_construct(id=str(place), messages=found.asked.messages, tools=found.asked.tools, completion=answer)
            for place, (found, answer) in enumerate(zip(preferences, side, strict=True))
        ]
        leaks = dict(drop_contaminated(Pool(rows, list(range(len(rows))), golden=known), loop).dropped) | leaks
    return leaks


def _unfit(chosen: str, rejected: Exchange, key: tuple[str, str, str], seen: Collection[Any], form: AnswerForm) -> str | None:
    _, better, worse = key
    if not rejected.answer.strip():
        return "there was no answer to reject"
    if (fault := form.fault(chosen)) is not None:
        return f"the preferred answer {fault}"
    if better == worse:
        return "the correction is the same text as the answer"
    return "the same pair exists already" if key in seen else None


def _over_cap(users: Collection[str], per_user: Counter[str], cap: int) -> str | None:
    return f"more than {amount(cap, 'pair')} of one user" if any(per_user[user] >= cap for user in users) else None


def _quarantined(rejected: Exchange, reason: str) -> Quarantined:
    return Quarantined(f"preferences:{rejected.id}", reason, rejected.prompt)


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
