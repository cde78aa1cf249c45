"""Requests that differ in a word or two and have the same answer."""

from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.connected import Components
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.curation.text import answer_keys, ranked

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def drop_near(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows with the answer of a kept row that ranks higher and of whose request theirs is a copy.

    A copy is near in the last message and in what stands before it (`copies`): a Jaccard index of character 5-grams of at least
    `dataset.jaccard`. Chains do not collapse: a row that is near a
    dropped row only stays.
    """
    order = ranked(pool.rows, pool.index)
    asked = pool.requests(order)
    components = Components(len(order))
    keys = answer_keys([pool.rows[i] for i in order], loop.task.form)
    for left, right, _ in asked.copies(loop.dataset.jaccard, keys, wanted=components.apart):
        components.unite(left, right)
    labels = components.labels()
    dropped: dict[int, str] = {}
    copies: dict[int, int] = {}
    # the best of each component is kept, what is near it goes, and the same again with what is left
    rest = np.argsort(labels, kind="stable")
    while len(rest):
        begins = np.flatnonzero(np.concatenate([[True], labels[rest[1:]] != labels[rest[:-1]]]))
        best = np.repeat(rest[begins], np.diff([*begins, len(rest)]))
        others = best != rest
        best, rest = best[others], rest[others]
        near, index = asked.near(loop.dataset.jaccard, best, rest)
        for kept, position, share in zip(best[near].tolist(), rest[near].tolist(), index.tolist(), strict=True):
            copies[order[position]] = order[kept]
            name = pool.rows[order[kept]].id
            dropped[order[position]] = f"same answer as {name}, and the request shares {share:.2f} of its 5-grams"
        rest = np.delete(rest, near)
    return StepOutcome(dropped, copies=copies)
