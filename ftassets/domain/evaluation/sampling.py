"""Samples of rows: the same one each time, or a uniform one of a stream."""

import hashlib
import random
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def fixed_sample(ids: Iterable[str], size: int, seed: int = 0) -> list[str]:
    """At most `size` of the ids, the same ones each time: the lowest by a keyed hash, so that a new id moves out one other at most."""
    return sorted(ids, key=lambda name: hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "replace"), digest_size=16).digest())[:size]


def reservoir(items: Iterable[T], size: int, seed: int) -> tuple[list[T], int]:
    """A uniform sample without replacement of a stream, and how many items the stream had (Vitter 1985, algorithm R)."""
    rng = random.Random(seed)
    kept: list[T] = []
    seen = 0
    for item in items:
        seen += 1
        if len(kept) < size:
            kept.append(item)
        elif (place := rng.randrange(seen)) < size:
            kept[place] = item
    return kept, seen
