"""A cap on what one user may contribute to one topic: of a topic that others hardly know, no vote can tell whether the user is right."""

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.connected import Components
from ftassets.domain.dataset.curation.step import FEEDBACK, NO_USERS, Pool, StepOutcome
from ftassets.domain.dataset.curation.text import answer_keys, ranked

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

NEIGHBOURS = 10  # nearest rows that are asked
OWN = 0.5  # share of them above which a topic is the user's own
AGREE = 2  # others among them, users or rows that people wrote, who give the same class and so vouch for a row


def cap_topics(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop a user's feedback rows beyond `max_topic_rows_per_user` on a topic that is the user's own; the best by rank stay.

    A topic is such rows of one user that are among each other's nearest ones. A row belongs to the user's own topic when more than half
    of its ten nearest rows are the user's, and fewer than two others give its class, or without classes its answer. A row without a user
    vouches for none: it may be anybody's.
    """
    if pool.vectors is None:
        return StepOutcome(skipped="the rows have no vectors")
    mine: dict[str, list[int]] = defaultdict(list)
    index = pool.read(pool.index)
    for i in index.tolist():
        if (user := pool.rows[i].user) and pool.rows[i].source in FEEDBACK:
            mine[user].append(i)
    if not mine and any(pool.rows[i].source in FEEDBACK for i in pool.index):
        return StepOutcome(skipped=NO_USERS)
    cap = loop.dataset.max_topic_rows_per_user
    asked = np.array(sorted(i for rows in mine.values() if len(rows) > cap for i in rows), dtype=np.int64)
    if not len(asked) or len(index) <= NEIGHBOURS:
        return StepOutcome()
    known = pool.neighbours(len(index))
    known.add(index)
    nearest = {i: [n for n in near if n >= 0] for i, near in zip(asked.tolist(), known.nearest(asked, NEIGHBOURS).tolist(), strict=True)}
    said = _said(pool, loop, sorted({*nearest, *(n for near in nearest.values() for n in near)}))
    own = [i for i, near in nearest.items() if _is_own(pool, said, i, near)]
    place = {i: number for number, i in enumerate(own)}
    topics = Components(len(own))
    pairs = [(place[i], place[n]) for i in own for n in nearest[i] if n in place and pool.rows[n].user == pool.rows[i].user]
    topics.unite([one for one, _ in pairs], [other for _, other in pairs])
    labels = topics.labels()
    taken: dict[int, int] = defaultdict(int)
    dropped = {}
    for i in ranked(pool.rows, own):
        topic = int(labels[place[i]])
        taken[topic] += 1
        if taken[topic] > cap:
            dropped[i] = f"more than {cap} rows of one user on a topic that others hardly ask about"
    return StepOutcome(dropped, counts={"topics of one user": len(set(labels[[place[i] for i in dropped]]))} if dropped else {})


def _said(pool: Pool, loop: "LoopConfig", positions: list[int]) -> dict[int, object]:
    """The class of each of these rows, or what its answer is known by where there are no classes."""
    form, rows = loop.task.form, [pool.rows[i] for i in positions]
    if form.no_classes([row.completion for row in rows]):
        return dict(zip(positions, answer_keys(rows, form).tolist(), strict=True))
    return {i: form.label(row.completion) for i, row in zip(positions, rows, strict=True)}


def _is_own(pool: Pool, said: dict[int, object], i: int, near: list[int]) -> bool:
    user = pool.rows[i].user
    if sum(pool.rows[n].user == user for n in near) <= OWN * len(near):
        return False
    voices = {
        row.user or f"row {n}"
        for n in near
        if said[n] == said[i] and (row := pool.rows[n]).user != user and (row.user or row.source not in FEEDBACK)
    }
    return len(voices) < AGREE
