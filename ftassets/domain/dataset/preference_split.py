"""Which preferences are trained on, and which are held out to measure what that brought."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from ftassets.domain.dataset.curation.split import linked
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.curation.text import request_digest
from ftassets.domain.dataset.preference_rules import P
from ftassets.domain.dataset.rows import Example

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


@dataclass(frozen=True)
class PreferenceSplit(Generic[P]):
    """Rows to train on, rows held out, and the number of others by reason."""

    train: list[P]
    held_out: list[P]
    left_out: Mapping[str, int]


def split_preferences(rows: Sequence[P], splits: Mapping[str, Sequence[Example]], share: float, loop: "LoopConfig") -> PreferenceSplit[P]:
    """Hold out what neither the fine-tuning nor the training on preferences learns from, by the splits of the fine-tuning's dataset.

    Rows are linked as curation links them (`split.linked`): near copies never part. What is linked to a training row is trained on, what
    is linked to validation rows is held out. Of the rest about `share` is held out, by a hash of the request, so that a row that was
    trained on once is not held out later. What is linked to a test row decides promotions and is left out, and so is what links training
    rows to validation rows.
    """
    of_split = {place: name for place, name in enumerate(name for name, members in splits.items() for _ in members)}
    dataset = [row for members in splits.values() for row in members]
    asked = [
        Example.model_construct(id=row.request_id, messages=row.messages, tools=row.tools, completion=getattr(row, next(iter(row.ANSWERS))))
        for row in rows
    ]
    pool = Pool([*dataset, *asked], list(range(len(dataset) + len(asked))))
    places: dict[str, list[int]] = {"train": [], "held_out": []}
    left_out = Counter[str]()
    for group in linked(pool, loop):
        mine = [place for place in group if place >= len(dataset)]
        if not mine:
            continue
        where = _where({of_split[place] for place in group if place < len(dataset)}, [_drawn(pool.rows[place]) < share for place in mine])
        if where in places:
            places[where] += [place - len(dataset) for place in mine]
        else:
            left_out[where] += len(mine)
    train, held_out = ([rows[place] for place in sorted(places[name])] for name in ("train", "held_out"))
    return PreferenceSplit(train, held_out, dict(left_out))


def _where(known: Collection[str], drawn: Sequence[bool]) -> str:
    """`train`, `held_out`, or why neither."""
    if "test" in known:
        return "near a row of the test split, which decides promotions"
    if len(known) > 1:
        return "near rows of more than one split"
    if known:
        return "train" if "train" in known else "held_out"
    return "held_out" if all(drawn) else "train"


def _drawn(row: Example) -> float:
    """A number in 0..1 of the request, always the same."""
    digest = hashlib.blake2b(request_digest(row), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
