"""Feedback whose answer belongs to another class than those of the requests around it, or differs from what others say of the same."""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.answer_disagreement import doubt_answers
from ftassets.domain.dataset.curation.step import FEEDBACK, UNREAD, Pool, StepOutcome
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

NEIGHBOURS = 10
VOICES = 5  # others among them, at least, before a user's label is doubted
DISAGREEMENT = 0.6  # share of the nearest rows that must agree on another class before a user's label is doubted


def doubt_labels(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop feedback rows most of whose nearest rows agree on another class; rows of other sources are not doubted.

    A user has one voice for each class among the nearest rows, however many rows, and so have all rows without a user together
    (`Pool.voice`); those of the row's own user do not count. Of the rest
    `DISAGREEMENT` must agree, and at least `VOICES`: one user's rows around each other can neither outvote nor protect one another.

    Of nearest rows whose cosine says little, because messages stand before the last one, those count that are copies
    (`Requests.comparable`).

    A text task has no classes: there the answers to near-identical requests are compared (`doubt_answers`).
    """
    if pool.vectors is None:
        return StepOutcome(skipped="the rows have no vectors")
    form = loop.task.form
    if "classes" in form.lacks:
        return doubt_answers(pool, loop)
    if none := form.no_classes([pool.rows[i].completion for i in pool.index]):
        return StepOutcome(skipped=none)
    index = pool.read(pool.index)
    if len(index) <= NEIGHBOURS:
        return StepOutcome(skipped=f"{amount(len(index), 'row is', 'rows are')} too few to have {NEIGHBOURS} neighbours")
    unread = len(pool.index) - len(index)
    labels = {i: form.label(pool.rows[i].completion) for i in index.tolist()}
    doubted = np.array([i for i in index.tolist() if pool.rows[i].source in FEEDBACK], dtype=np.int64)
    known = pool.neighbours(len(index))
    known.add(index)
    nearest = known.nearest(doubted, NEIGHBOURS)
    counts = nearest >= 0
    row, column = np.nonzero(counts)
    asked = pool.requests(index)
    if not asked.alone().all():
        counts[row, column] = asked.comparable(
            loop.dataset.jaccard, np.searchsorted(index, doubted[row]), np.searchsorted(index, nearest[row, column])
        )
    dropped = {}
    for i, near, said in zip(doubted.tolist(), nearest.tolist(), counts.tolist(), strict=True):
        around = [n for n, counted in zip(near, said, strict=True) if counted]
        voices = {(labels[n], voice) for n in around if (voice := _voice(pool, n)) != _voice(pool, i)}
        common, count = Counter(label for label, _ in sorted(voices)).most_common(1)[0] if voices else (labels[i], 0)
        asked_for = NEIGHBOURS - (len(around) - len(voices))
        if common != labels[i] and count >= max(VOICES, DISAGREEMENT * asked_for):
            dropped[i] = f"labelled {labels[i]}, but {count} of {asked_for} others among its {NEIGHBOURS} nearest rows say {common}"
    return StepOutcome(dropped, counts={UNREAD: unread} if unread else {})


def _voice(pool: Pool, position: int) -> str:
    return pool.voice(position) if pool.rows[position].source in FEEDBACK else f"row {position}"
