"""One answer for each request: which is kept where rows answer it differently, and what speaks against it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ftassets.domain.dataset.curation.answer_groups import answer_groups
from ftassets.domain.dataset.curation.step import COPIES, Pool, StepOutcome
from ftassets.domain.dataset.curation.text import rank, ranked
from ftassets.domain.dataset.rows import Example

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

Decided = Literal["doubt", "source", "voices", "time", "nothing"]
_PRAISE = ("thumbs_up", "synthetic")  # sources that do not say that another text is wrong


@dataclass(frozen=True)
class Answer:
    """One answer to a request: the best source that gives it, how many voices of that source do, and ids of all rows that have it."""

    source: str
    voices: int
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Conflict:
    """A request with several answers, the kept one first, and what decided between them; by `nothing` none is kept.

    By `doubt` the one that lost is in doubt: of a correction that others around it contradict, or of one voice against much of the seed.
    """

    decided_by: Decided
    answers: tuple[Answer, ...]


def drop_conflicts(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Keep one row per request; the result lists each request that rows answer differently as a Conflict.

    Kept is an answer that is not in doubt, then that of the higher source (`text.RANKS`), then the one that more voices of that source
    give, then the newest. If nothing decides, for example between two rows without a time, all are dropped. A voice is a user, however
    often, or all rows without one (see `Pool.voice`). Of the rows of one user and source the newest counts, and is not listed for it.
    Rows that earlier steps dropped as copies count, unless their user is a poisoner, and those that `label_disagreement` dropped are
    listed. Corrections of one voice replace `max_topic_rows_per_user` rows of the seed at most, the best by rank; beyond that they are
    in doubt until somebody else or a label agrees. Different texts may both be good: in a text task thumbs up and synthetic rows
    contradict nothing, and where nothing decides one row is kept.
    """
    distrusted = {pool.rows[i].user for i, step in pool.dropped.items() if step == "poisoning"}
    copies = [i for i, step in pool.dropped.items() if step in COPIES and (not pool.rows[i].user or pool.rows[i].user not in distrusted)]
    by_request: dict[bytes, list[int]] = defaultdict(list)
    doubted = {i for i, step in pool.dropped.items() if step == "label_disagreement" and pool.rows[i].user not in distrusted}
    for i in [*pool.index, *copies, *doubted]:
        by_request[pool.request_digest(i)].append(i)
    present = set(pool.index)
    several = [members for members in by_request.values() if len(members) > 1 and not present.isdisjoint(members)]
    texts = "classes" in loop.task.form.lacks
    mute = _PRAISE if texts else ()
    speaking = [[i for i in members if pool.rows[i].source not in mute] for members in several]
    places = [i for members in speaking for i in members]
    groups = dict(zip(places, answer_groups([pool.rows[i] for i in places], loop.task.form, loop.dataset.jaccard).tolist(), strict=True))
    alone = _alone_against_seed(pool, speaking, groups, loop.dataset.max_topic_rows_per_user)
    doubted |= alone
    dropped: dict[int, str] = {}
    stands_for: dict[int, int] = {}
    conflicts = []
    for members, told in zip(several, speaking, strict=True):
        if len({groups[i] for i in told}) > 1:
            conflict, reasons = _decided(pool, told, groups, texts, doubted)
            dropped |= {i: reason for i, reason in reasons.items() if i in present}
            conflicts += [conflict] if conflict else []
        left = ranked(pool.rows, [i for i in members if i in present and i not in dropped])
        copies_stay = "exact" in loop.dataset.skip
        for i in left[1:]:  # of a request that several annotators labelled one row stays in any case: they have one id
            if not copies_stay or pool.rows[i].id == pool.rows[left[0]].id:
                dropped[i] = f"same request as {pool.rows[left[0]].id}"
        stands_for |= {i: left[0] for i in members if i in present and i in dropped and left}
    conflicts.sort(key=lambda conflict: conflict.answers[0].rows)
    counts = {"conflicts": len(conflicts), "corrections of one voice against too much of the seed": len(alone)}
    return StepOutcome(dropped, counts={name: n for name, n in counts.items() if n}, result=conflicts, copies=stands_for)


def _alone_against_seed(pool: Pool, requests: Sequence[Sequence[int]], groups: dict[int, int], most: int) -> set[int]:
    """Corrections by which one voice alone would replace rows of the seed beyond so many requests."""
    against: dict[str, list[list[int]]] = defaultdict(list)
    for members in requests:
        seed = {groups[i] for i in members if pool.rows[i].source == "seed"}
        if not seed or any(pool.rows[i].source == "label" for i in members):
            continue
        others = [i for i in members if pool.rows[i].source == "correction" and groups[i] not in seed]
        for answer in {groups[i] for i in others}:
            own = [i for i in others if groups[i] == answer]
            if len(voices := {pool.voice(i) for i in own}) == 1:
                against[voices.pop()].append(own)
    beyond = set[int]()
    for corrections in against.values():
        if len(corrections) > most:
            best = set(ranked(pool.rows, [own[0] for own in corrections])[:most])
            beyond.update(i for own in corrections if own[0] not in best for i in own)
    return beyond


def _decided(
    pool: Pool, members: Sequence[int], groups: dict[int, int], texts: bool, doubted: Collection[int]
) -> tuple[Conflict | None, dict[int, str]]:
    """The conflict of rows of one request, and why rows are dropped for it."""
    left, dropped = _newest_of_each_voice(pool.rows, members, groups)
    by_answer: dict[int, list[int]] = defaultdict(list)
    for i in left:
        by_answer[groups[i]].append(i)
    if len(by_answer) == 1:
        return None, dropped
    sure = [[i for i in own if i not in doubted] or own for own in by_answer.values()]
    strength = {own[0]: (own[0] not in doubted, *_strength(pool, own)) for own in sure}
    order = sorted(sure, key=lambda own: strength[own[0]], reverse=True)
    decided_by = _deciding(strength[order[0][0]], strength[order[1][0]])
    if texts and decided_by == "nothing":
        return None, dropped
    answers = tuple(_answer(pool, own) for own in order)
    best = answers[0]
    for own, answer in list(zip(order, answers, strict=True))[decided_by != "nothing" :]:
        if decided_by == "nothing":
            others = ", ".join(each.rows[0] for each in answers if each is not answer)
            reason = f"conflict: {others} answers this request differently, and neither source, number of people nor time decides"
        elif own[0] in doubted:
            reason = f"conflict: {best.rows[0]} answers this request differently, and no second voice or label says what this row says"
        elif answer.source != best.source:
            reason = f"conflict: {best.rows[0]} ({best.source}) answers this request differently and ranks above {answer.source}"
        elif answer.voices < best.voices:
            reason = f"conflict: {best.voices} answer this request as {best.rows[0]} does, {answer.voices} as this row"
        else:
            reason = f"conflict: {best.rows[0]} answers this request differently and is newer"
        dropped |= dict.fromkeys(own, reason)
    return Conflict(decided_by, answers), dropped


def _newest_of_each_voice(rows: Sequence[Example], members: Sequence[int], groups: dict[int, int]) -> tuple[list[int], dict[int, str]]:
    """The rows, the higher source and the newest first, without those that their user revised, and the reason for these.

    Of two answers of one time neither is the revision.
    """
    newest: dict[tuple[str, str], int] = {}
    left, dropped = [], {}
    for i in sorted(members, key=lambda i: (rank(rows[i].source), -(rows[i].at or 0.0), rows[i].id, i)):
        row = rows[i]
        kept = newest.setdefault((row.source, row.user), i) if row.user else i
        if groups[kept] == groups[i] or rows[kept].at == row.at:
            left.append(i)
        else:
            dropped[i] = f"the same user gave the answer of {rows[kept].id} later"
    return left, dropped


def _strength(pool: Pool, own: Sequence[int]) -> tuple[int, int, float]:
    """Compares answers: the source, the voices of it, and the time of the newest; `own` are the rows with the answer."""
    best = pool.rows[own[0]]
    return -rank(best.source), len(_voices(pool, own)), best.at or 0.0


def _deciding(best: tuple[bool, int, int, float], second: tuple[bool, int, int, float]) -> Decided:
    by: tuple[Decided, ...] = ("doubt", "source", "voices", "time")
    return next((name for name, one, other in zip(by, best, second, strict=True) if one != other), "nothing")


def _answer(pool: Pool, own: Sequence[int]) -> Answer:
    return Answer(pool.rows[own[0]].source, len(_voices(pool, own)), tuple(pool.rows[i].id for i in own))


def _voices(pool: Pool, own: Sequence[int]) -> set[str]:
    """Who of the best source gives the answer of these rows."""
    return {pool.voice(i) for i in own if pool.rows[i].source == pool.rows[own[0]].source}
