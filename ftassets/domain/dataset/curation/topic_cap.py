"""A cap on what one user may contribute to one topic: of a topic that others hardly know, no vote can tell whether the user is right."""

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.connected import Components
from ftassets.domain.dataset.curation.neighbours import Neighbours
from ftassets.domain.dataset.curation.step import ANONYMOUS, FEEDBACK, NO_USERS, UNREAD, Pool, StepOutcome
from ftassets.domain.dataset.curation.text import answer_keys, ranked
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

NEIGHBOURS = 10  # nearest rows that are asked
LINKS = 3  # nearest of the user's own rows that are of one topic with a row, whatever lies between them
WIDE = 64  # more of them, as many as users have rows, that are of one topic with a row if no row of others is as near
OWN, OWN_TEXT = 0.3, 0.5  # share of them above which a topic is the user's own; without classes hardly anybody vouches
AGREE = 2  # others among them, users or rows that people wrote, who give the same class and so vouch for a row


def cap_topics(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop a user's feedback rows beyond `max_topic_rows_per_user` on a topic that is the user's own; the best by rank stay.

    A row is on the user's own topic when more than `OWN` of its ten nearest rows are the user's, and fewer than two others give its
    class; without classes, more than `OWN_TEXT`, and fewer than two others give its answer. Where most feedback has a user, that
    without one is capped together, as if it were of one user (see `Pool.voice`); it vouches for no row, since anybody may have sent it.
    """
    if pool.vectors is None:
        return StepOutcome(skipped="the rows have no vectors")
    index = pool.read(pool.index)
    mine: dict[str, list[int]] = defaultdict(list)
    for i in index.tolist():
        if pool.rows[i].source in FEEDBACK:
            mine[pool.voice(i)].append(i)
    nameless = [i for rows in mine.values() for i in rows if not pool.rows[i].user]
    if nameless and len(nameless) == sum(map(len, mine.values())):
        return StepOutcome(skipped=NO_USERS)
    counts: dict[str, int] = defaultdict(int)
    if unread := sum(pool.rows[i].source in FEEDBACK for i in pool.index) - sum(map(len, mine.values())):
        counts[UNREAD] = unread
    if nameless and ANONYMOUS not in mine:
        counts["feedback rows without a user, which are most and not capped"] = len(nameless)
    cap = loop.dataset.max_topic_rows_per_user
    asked = np.array(sorted(i for rows in mine.values() if len(rows) > cap for i in rows), dtype=np.int64)
    if not len(asked) or len(index) <= NEIGHBOURS:
        return StepOutcome(counts=counts)
    known = pool.neighbours(len(index))
    known.add(index)
    nearest = {i: [n for n in near if n >= 0] for i, near in zip(asked.tolist(), known.nearest(asked, NEIGHBOURS).tolist(), strict=True)}
    positions = sorted({*nearest, *(n for near in nearest.values() for n in near)})
    said = _said(pool, loop, positions)
    share = OWN_TEXT if loop.task.form.no_classes([pool.rows[i].completion for i in positions]) else OWN
    own: dict[str, list[int]] = defaultdict(list)
    for i, near in nearest.items():
        if _is_own(pool, said, i, near, share):
            own[pool.voice(i)].append(i)
    dropped: dict[int, str] = {}
    for voice, rows in own.items():
        who = "requests without a user" if voice == ANONYMOUS else "one user"
        for topic in _topics(pool, rows, known) if len(rows) > cap else ():
            if beyond := ranked(pool.rows, topic)[cap:]:
                dropped |= dict.fromkeys(beyond, f"more than {amount(cap, 'row')} of {who} on a topic that others hardly ask about")
                counts[f"topics of {who}"] += 1
    return StepOutcome(dropped, counts=counts)


def _topics(pool: Pool, rows: list[int], known: Neighbours) -> list[list[int]]:
    """One voice's rows by topic: of one topic are rows that are nearer to each other than both are to any row of others (`known`), and
    those that are among each other's `LINKS` nearest of that voice. So wording a template in several ways makes no further topics.
    """
    positions = np.array(rows, dtype=np.int64)
    own = pool.neighbours(len(rows))
    own.add(positions)
    place = {i: number for number, i in enumerate(rows)}
    reach = [
        next((cosine for n, cosine in near if n not in place), near[-1][1] if near else -1.0)
        for near in _with_cosines(pool, positions, known)
    ]
    pairs = [
        (number, place[n])
        for number, near in enumerate(_with_cosines(pool, positions, own))
        for rank, (n, cosine) in enumerate(near)
        if rank < LINKS or cosine > max(reach[number], reach[place[n]])
    ]
    made = Components(len(rows))
    made.unite([one for one, _ in pairs], [other for _, other in pairs])
    topics: dict[int, list[int]] = defaultdict(list)
    for i, label in zip(rows, made.labels().tolist(), strict=True):
        topics[label].append(i)
    return list(topics.values())


def _with_cosines(pool: Pool, positions: np.ndarray, among: Neighbours) -> list[list[tuple[int, float]]]:
    """The `WIDE` nearest of each of these rows, nearest first, as (position, cosine)."""
    assert pool.vectors is not None
    found = among.nearest(positions, WIDE)
    return [
        sorted(((n, float(pool.vectors[i] @ pool.vectors[n])) for n in near if n >= 0), key=lambda each: -each[1])
        for i, near in zip(positions.tolist(), found.tolist(), strict=True)
    ]


def _said(pool: Pool, loop: "LoopConfig", positions: list[int]) -> dict[int, object]:
    """The class of each of these rows, or what its answer is known by where there are no classes."""
    form, rows = loop.task.form, [pool.rows[i] for i in positions]
    if form.no_classes([row.completion for row in rows]):
        return dict(zip(positions, answer_keys(rows, form).tolist(), strict=True))
    return {i: form.label(row.completion) for i, row in zip(positions, rows, strict=True)}


def _is_own(pool: Pool, said: dict[int, object], i: int, near: list[int], share: float) -> bool:
    mine = pool.voice(i)
    if sum(pool.voice(n) == mine for n in near) <= share * len(near):
        return False
    others = {voice for n in near if said[n] == said[i] and (voice := pool.voice(n)) not in (mine, ANONYMOUS)}
    return len(others) < AGREE
