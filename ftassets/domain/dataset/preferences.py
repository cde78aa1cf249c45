"""Pairs of a better and a worse answer to one request, from user feedback."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ftassets.domain.dataset.curation.text import answer_key, normalised
from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.traffic.exchange import Exchange, Reviewed


class Pair(BaseModel):
    """Of two answers to a prompt, which one a user preferred. Id, user, version, time and exposure are those of the rejected one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = Field(min_length=1, max_length=20_000)
    chosen: str = Field(min_length=1, max_length=20_000)
    rejected: str = Field(min_length=1, max_length=20_000)
    source: Literal["correction", "thumbs"]
    request_id: str
    user: str
    at: float
    version: str
    weight: float = Field(ge=0, le=100, description="Percent of the traffic this version had.")


def build_pairs(
    reviewed: Sequence[Reviewed], golden_prompts: Iterable[str], cap: int, form: AnswerForm
) -> tuple[list[Pair], list[Quarantined]]:
    """Pairs of corrections (over the answer they correct) and of thumbs (a thumbs_up answer over a thumbs_down one to the same prompt).

    Only a correction or a thumb down rejects an answer; an answer without feedback is never rejected. Prompts are the same
    once normalised, answers when their `answer_key` is. At most `cap` pairs count per user, the oldest ones; with thumbs, that of
    both users. Golden prompts, pairs that exist already, a preferred answer without the task's form, and corrections
    that change nothing are dropped, each with its reason.
    """
    golden = {normalised(prompt) for prompt in golden_prompts}
    pairs: list[Pair] = []
    dropped: list[Quarantined] = []
    per_user: Counter[str] = Counter()
    seen: set[tuple[str, str, str]] = set()
    for chosen, rejected, thumbs_up_by in sorted(_preferences(reviewed, form), key=lambda found: (found[1].at, found[1].id)):
        key = (normalised(rejected.prompt), answer_key(chosen, form), answer_key(rejected.answer, form))
        users = {user for user in (rejected.user, thumbs_up_by) if user}
        if reason := _unfit(chosen, rejected, key, golden, seen, form) or _over_cap(users, per_user, cap):
            dropped.append(Quarantined(f"preferences:{rejected.id}", reason, rejected.prompt))
            continue
        try:
            pair = _pair(chosen, rejected, "thumbs" if thumbs_up_by is not None else "correction")
        except ValidationError as error:
            dropped.append(Quarantined(f"preferences:{rejected.id}", error.errors()[0]["msg"], rejected.prompt))
            continue
        pairs.append(pair)
        seen.add(key)
        per_user.update(users)
    return pairs, dropped


def _preferences(reviewed: Sequence[Reviewed], form: AnswerForm) -> Iterator[tuple[str, Exchange, str | None]]:
    """What was preferred, over which exchange, and, for thumbs, the user who thumbs_up it."""
    thumbs_up: dict[str, dict[str, Exchange]] = {}
    thumbs_down: dict[str, dict[str, Exchange]] = {}
    for item in sorted(reviewed, key=lambda item: (item.exchange.at, item.exchange.id)):
        exchange, feedback = item.exchange, item.feedback
        if feedback.correction:
            yield form.spelled(feedback.correction), exchange, None
        elif feedback.rating in ("up", "down"):
            side = thumbs_up if feedback.rating == "up" else thumbs_down
            # each distinct answer once: the product below must not grow with the number of votes
            side.setdefault(normalised(exchange.prompt), {}).setdefault(answer_key(exchange.answer, form), exchange)
    for prompt in thumbs_up.keys() & thumbs_down.keys():
        for (better, up), (worse, down) in product(thumbs_up[prompt].items(), thumbs_down[prompt].items()):
            if better != worse:
                yield up.answer, down, up.user


def _unfit(
    chosen: str, rejected: Exchange, key: tuple[str, str, str], golden: Collection[str], seen: Collection[Any], form: AnswerForm
) -> str | None:
    prompt, better, worse = key
    if prompt in golden:
        return "the prompt is a golden one"
    if not rejected.answer.strip():
        return "there was no answer to reject"
    if (fault := form.fault(chosen)) is not None:
        return f"the preferred answer {fault}"
    if better == worse:
        return "the correction is the same text as the answer"
    return "the same pair exists already" if key in seen else None


def _over_cap(users: Collection[str], per_user: Counter[str], cap: int) -> str | None:
    return f"more than {cap} pairs of one user" if any(per_user[user] >= cap for user in users) else None


def _pair(chosen: str, rejected: Exchange, source: Literal["correction", "thumbs"]) -> Pair:
    return Pair(
        prompt=rejected.prompt,
        chosen=chosen,
        rejected=rejected.answer,
        source=source,
        request_id=rejected.id,
        user=rejected.user,
        at=rejected.at,
        version=rejected.version,
        weight=rejected.weight,
    )
