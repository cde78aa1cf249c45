"""Train, validation and test: rows that are alike never part, and rows keep their split when the set grows."""

import hashlib
import sys
from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.connected import Components
from ftassets.domain.dataset.curation.continued import continued
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.curation.text import request_digest
from ftassets.domain.dataset.rows import Example

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

SPLITS = ("train", "validation", "test")


def splits_of(rows: Iterable[tuple[str, Example]]) -> dict[str, str]:
    """The splits of a dataset's rows as `Pool.previous` has them: by id, and by request, which stays when the answer changes."""
    return {key: sys.intern(split) for split, row in rows for key in _keys(row.id, request_digest(row))}


def split(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Whole groups into splits, by `dataset.split`; the result maps each split to its positions. Nothing is dropped.

    A group is what is linked by the same group or id, by being parts of one conversation (`continued`), by being copies (unless the
    step `near` is left out) or by a cosine of at least `dataset.near_duplicate` (see `Requests.comparable`). Rows of the last dataset
    keep their split, and so do rows that now stand for one of its rows as a copy; new groups go to the split that lacks most.
    A row is known by its conversation up to the answer: neither its answer, nor its source, nor the order of arrival matters.
    """
    groups = linked(pool, loop)
    splits: dict[str, list[int]] = {name: [] for name in SPLITS}
    standing = _standing_for(pool)
    new = []
    for group in groups:
        whole = [each for i in group for each in (i, *standing.get(i, ()))]
        keys = (key for i in whole for key in _keys(pool.rows[i].id, pool.request_digest(i))) if pool.previous else ()
        kept = {pool.previous[key] for key in keys if key in pool.previous}
        if kept:  # a new row may link rows of two splits: what a model was trained on must not become what it is tested on
            splits[min(kept, key=SPLITS.index)].extend(group)
        else:
            new.append((-len(whole), _hash(min(map(pool.request_digest, whole))), group))
    lacking = [share * len(pool.index) - len(splits[name]) for name, share in zip(SPLITS, loop.dataset.split, strict=True)]
    for _, _, group in sorted(new, key=itemgetter(0, 1)):  # largest first; a hash breaks ties
        most = lacking.index(max(lacking))
        splits[SPLITS[most]].extend(group)
        lacking[most] -= len(group)
    largest = max(map(len, groups), default=0)
    counts = {"groups": len(groups), "rows of the largest group": largest}
    if largest > len(pool.index) / 2 and largest > 1:
        counts["more than half of the rows are linked into one group"] = largest
    return StepOutcome(counts=counts, result=splits)


def _keys(name: str, digest: bytes) -> tuple[str, str]:
    return name, f"request {digest.hex()}"


def _standing_for(pool: Pool) -> dict[int, list[int]]:
    """The dropped copies of each row, directly or through copies that were dropped later."""
    standing: dict[int, list[int]] = {}
    for copy, kept in pool.copies.items():
        while kept in pool.copies:
            kept = pool.copies[kept]
        standing.setdefault(kept, []).append(copy)
    return standing


def linked(pool: Pool, loop: "LoopConfig") -> list[list[int]]:
    """Positions of the pool's index in groups of rows that must not part, as `split` says."""
    rows = [pool.rows[i] for i in pool.index]
    components = Components(len(rows))
    for keys in ([row.id for row in rows], [row.group for row in rows]):
        first: dict[str, int] = {}
        pairs = [(first.setdefault(key, place), place) for place, key in enumerate(keys) if key]
        components.unite([one for one, other in pairs if one != other], [other for one, other in pairs if one != other])
    parts = continued(rows)
    components.unite([one for one, _ in parts], [other for _, other in parts])
    components.labels()
    asked, limit = pool.requests(pool.index), loop.dataset.jaccard
    if "near" not in loop.dataset.skip:
        for left, right, _ in asked.copies(limit, wanted=components.apart):
            components.unite(left, right)
        components.labels()
    if pool.vectors is not None:
        index = np.array(pool.index, dtype=np.int64)
        known = pool.neighbours(len(index))
        known.add(index)
        for left, position, _ in known.alike(index, loop.dataset.near_duplicate):
            right = np.searchsorted(index, position)
            still = components.apart(left, right)
            still[still] = asked.comparable(limit, left[still], right[still])
            components.unite(left[still], right[still])
    members: dict[int, list[int]] = {}
    for i, label in zip(pool.index, components.labels().tolist(), strict=True):
        members.setdefault(label, []).append(i)
    return list(members.values())


def _hash(digest: bytes) -> bytes:
    """Another order than that of the digests: the least of many digests is small."""
    return hashlib.blake2b(digest, digest_size=8).digest()
