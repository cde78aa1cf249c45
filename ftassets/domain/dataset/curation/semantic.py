"""Requests that mean the same and have the same answer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.copies import Requests
from ftassets.domain.dataset.curation.neighbours import ROUNDING, TILE, grouped
from ftassets.domain.dataset.curation.step import UNREAD, Pool, StepOutcome
from ftassets.domain.dataset.curation.text import answer_keys, ranked

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

_BATCH = 512  # rows of several answers that are compared at once


def drop_semantic(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows with the answer of a kept row that ranks higher and a cosine to it of at least `dataset.near_duplicate`.

    What stands before the last message must be near too, and with earlier messages the last one itself (`Requests.comparable`).
    """
    if pool.vectors is None:
        return StepOutcome(skipped="the rows have no vectors")
    order = pool.read(ranked(pool.rows, pool.index))
    unread = len(pool.index) - len(order)
    answers = answer_keys([pool.rows[i] for i in order], loop.task.form)
    together = np.argsort(answers, kind="stable")  # rows of one answer in a run, by rank
    order, answers = order[together], answers[together]
    asked = pool.requests(order)
    dropped: dict[int, str] = {}
    copies: dict[int, int] = {}
    for batch in _batches(answers):
        for copy, kept, cosine in _copies(pool, order[batch], answers[batch], asked.take(np.arange(batch.start, batch.stop)), loop):
            copies[copy] = kept
            dropped[copy] = f"same answer as {pool.rows[kept].id}, and cosine {cosine:.3f} of the requests"
    return StepOutcome(dropped, counts={UNREAD: unread} if unread else {}, copies=copies)


def _batches(answers: np.ndarray) -> Iterator[slice]:
    """Slices of the sorted answers (n,) that part no answer: of _BATCH rows at most, or of one answer."""
    first = 0
    for _, run in grouped(answers):
        if run[-1] >= first + _BATCH and run[0] > first:
            yield slice(first, int(run[0]))
            first = int(run[0])
    yield slice(first, len(answers))


def _copies(pool: Pool, rows: np.ndarray, answers: np.ndarray, asked: Requests, loop: "LoopConfig") -> Iterator[tuple[int, int, float]]:
    """Positions of a row and of the kept row it copies, and their cosine. More than TILE rows have one answer.

    What is kept of the tiles before decides first, then the order within the tile.
    """
    assert pool.vectors is not None
    limit, jaccard = loop.dataset.near_duplicate, loop.dataset.jaccard
    place = {position: number for number, position in enumerate(rows.tolist())}
    known = pool.neighbours(len(rows))
    for start in range(0, len(rows), TILE):
        tile = rows[start : start + TILE]
        fresh = np.ones(len(tile), dtype=bool)
        for left, right, cosine in known.alike(tile, limit):
            same = asked.comparable(jaccard, left + start, np.array([place[position] for position in right.tolist()], dtype=np.int64))
            for copy, kept, value in zip(left[same].tolist(), right[same].tolist(), cosine[same].tolist(), strict=True):
                if fresh[copy]:
                    fresh[copy] = False
                    yield int(tile[copy]), kept, value
        rest = np.flatnonzero(fresh)
        vectors = pool.vectors[tile[rest]]
        cosine = vectors @ vectors.T
        near = np.triu(cosine >= limit - ROUNDING, 1) & (answers[start + rest][:, None] == answers[start + rest])
        one, other = np.nonzero(near)
        near[one, other] = asked.comparable(jaccard, start + rest[one], start + rest[other])
        kept_here = np.ones(len(rest), dtype=bool)
        for number in np.flatnonzero(near.any(axis=0)).tolist():
            better = np.flatnonzero(near[:number, number] & kept_here[:number])
            if len(better):
                kept_here[number] = False
                yield int(tile[rest[number]]), int(tile[rest[better[0]]]), float(cosine[better[0], number])
        known.add(tile[rest[kept_here]])
