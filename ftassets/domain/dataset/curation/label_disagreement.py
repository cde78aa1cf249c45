"""Feedback whose answer belongs to another class than those of the requests around it, or differs from what others say of the same."""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.answer_disagreement import doubt_answers
from ftassets.domain.dataset.curation.step import FEEDBACK, Pool, StepOutcome

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

NEIGHBOURS = 10
DISAGREEMENT = 0.6  # share of the nearest rows that must agree on another class before a user's label is doubted
_BLOCK = 256


def doubt_labels(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop feedback rows most of whose nearest rows agree on another class; rows of other sources are not doubted.

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
    if len(pool.index) <= NEIGHBOURS:
        return StepOutcome(skipped=f"{len(pool.index)} rows are too few to have {NEIGHBOURS} neighbours")
    labels = [form.label(pool.rows[i].completion) for i in pool.index]
    vectors = pool.vectors[pool.index]
    asked = pool.requests(pool.index)
    limit, talks = loop.dataset.jaccard, not asked.alone().all()
    doubted = np.array([p for p, i in enumerate(pool.index) if pool.rows[i].source in FEEDBACK], dtype=np.int64)
    dropped = {}
    for start in range(0, len(doubted), _BLOCK):
        block = doubted[start : start + _BLOCK]
        similarity = vectors[block] @ vectors.T
        similarity[np.arange(len(block)), block] = -2.0  # a row is not its own neighbour
        nearest = np.argpartition(-similarity, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        for position, near in zip(block.tolist(), nearest.tolist(), strict=True):
            if talks:
                near = [
                    n for n, said in zip(near, asked.comparable(limit, np.full(NEIGHBOURS, position), np.array(near)), strict=True) if said
                ]
            common, count = Counter(labels[n] for n in near).most_common(1)[0] if near else (labels[position], 0)
            if common != labels[position] and count >= DISAGREEMENT * NEIGHBOURS:
                dropped[pool.index[position]] = f"labelled {labels[position]}, but {count} of its {NEIGHBOURS} nearest rows are {common}"
    return StepOutcome(dropped)
