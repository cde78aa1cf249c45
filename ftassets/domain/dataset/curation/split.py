"""Train, validation and test: rows that are alike never part, and rows keep their split when the set grows."""

import hashlib
from operator import itemgetter
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.connected import Components
from ftassets.domain.dataset.curation.continued import continued
from ftassets.domain.dataset.curation.cosine import alike_pairs
from ftassets.domain.dataset.curation.step import Pool, StepOutcome

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

SPLITS = ("train", "validation", "test")


def split(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Whole groups into splits, by `dataset.split`; the result maps each split to its positions. Nothing is dropped.

    A group is what is linked by the same group or id, by being parts of one conversation (`continued`), by being copies (unless the
    step `near` is left out) or by a cosine of at least `dataset.near_duplicate` (see `Requests.comparable`). Rows of the last dataset
    keep their split, new groups go to the split that lacks most.
    The order of arrival does not matter.
    """
    groups = _groups(pool, loop)
    splits: dict[str, list[int]] = {name: [] for name in SPLITS}
    new = []
    for group in groups:
        kept = {pool.previous[pool.rows[i].id] for i in group if pool.rows[i].id in pool.previous} if pool.previous else set()
        if kept:  # a new row may link rows of two splits: what a model was trained on must not become what it is tested on
            splits[min(kept, key=SPLITS.index)].extend(group)
        else:
            new.append((-len(group), _hash(min(pool.rows[i].id for i in group)), group))
    lacking = [share * len(pool.index) - len(splits[name]) for name, share in zip(SPLITS, loop.dataset.split, strict=True)]
    for size, _, group in sorted(new, key=itemgetter(0, 1)):  # largest first; a hash breaks ties
        most = lacking.index(max(lacking))
        splits[SPLITS[most]].extend(group)
        lacking[most] += size
    largest = max(map(len, groups), default=0)
    counts = {"groups": len(groups), "rows of the largest group": largest}
    if largest > len(pool.index) / 2 and largest > 1:
        counts["more than half of the rows are linked into one group"] = largest
    return StepOutcome(counts=counts, result=splits)


def _groups(pool: Pool, loop: "LoopConfig") -> list[list[int]]:
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
        for left, right in alike_pairs(pool.vectors[pool.index], loop.dataset.near_duplicate):
            still = components.apart(left, right)
            still[still] = asked.comparable(limit, left[still], right[still])
            components.unite(left[still], right[still])
    members: dict[int, list[int]] = {}
    for i, label in zip(pool.index, components.labels().tolist(), strict=True):
        members.setdefault(label, []).append(i)
    return list(members.values())


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
