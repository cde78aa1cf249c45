"""Requests that mean the same and have the same answer."""

from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.cosine import TILE, alike
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.curation.text import answer_keys, ranked

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def drop_semantic(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows with the answer of a kept row that ranks higher and a cosine to it of at least `dataset.near_duplicate`.

    What stands before the last message must be near too, and with earlier messages the last one itself (`Requests.comparable`).
    """
    if pool.vectors is None:
        return StepOutcome(skipped="the rows have no vectors")
    limit = loop.dataset.near_duplicate
    order = np.array(ranked(pool.rows, pool.index), dtype=np.int64)
    answers = answer_keys([pool.rows[i] for i in order], loop.task.form)
    vectors = pool.vectors[order]
    asked = pool.requests(order)
    kept: list[int] = []  # positions in order
    dropped: dict[int, str] = {}
    for start in range(0, len(order), TILE):  # what is kept of the tiles before decides first, then the tile's own order
        tile = np.arange(start, min(start + TILE, len(order)))
        copy_of: dict[int, tuple[int, float]] = {}
        known = np.array(kept, dtype=np.int64)
        for left, right, cosine in alike(vectors[tile], vectors[known], limit):
            same = answers[tile[left]] == answers[known[right]]
            same[same] = asked.comparable(loop.dataset.jaccard, tile[left[same]], known[right[same]])
            for one, other, value in zip(left[same].tolist(), right[same].tolist(), cosine[same].tolist(), strict=True):
                copy_of.setdefault(one + start, (kept[other], value))
        rest = np.array([position for position in tile.tolist() if position not in copy_of], dtype=np.int64)
        better: dict[int, list[tuple[int, float]]] = {}
        for left, right, cosine in alike(vectors[rest], vectors[rest], limit):
            same = (left < right) & (answers[rest[left]] == answers[rest[right]])
            same[same] = asked.comparable(loop.dataset.jaccard, rest[left[same]], rest[right[same]])
            for one, other, value in zip(rest[left[same]].tolist(), rest[right[same]].tolist(), cosine[same].tolist(), strict=True):
                better.setdefault(other, []).append((one, value))
        for position in rest.tolist():
            found = next((pair for pair in better.get(position, []) if pair[0] not in copy_of), None)
            if found is None:
                kept.append(position)
            else:
                copy_of[position] = found
        for position, (other, value) in copy_of.items():
            dropped[int(order[position])] = f"same answer as {pool.rows[order[other]].id}, and cosine {value:.3f} of the requests"
    return StepOutcome(dropped)
