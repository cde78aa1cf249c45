"""Rows that give away what the golden set asks."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.cosine import alike
from ftassets.domain.dataset.curation.near_pairs import fingerprints, near_pairs
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.curation.text import answer_keys, normalised

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

WORDS = 8
LEAST = 3  # words from which a text within another one gives it away: "pause" is not "pause the music in the kitchen"
_WORD = re.compile(r"\w+")


def drop_contaminated(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows that share eight words in a row with a golden row, contain one, are part of one, are near one or mean the same.

    Near ones count where the answer is the same too; the comparison is left out with the step `near`. Meaning is a cosine of at
    least `dataset.near_duplicate`, where there are vectors.
    """
    if not pool.golden or not pool.index:
        return StepOutcome()
    dropped = _shared_words(pool)
    if "near" not in loop.dataset.skip:
        dropped |= _near(pool, [i for i in pool.index if i not in dropped], loop)
    if pool.vectors is None or pool.golden_vectors is None:
        return StepOutcome(dropped, counts={"compared by words only": len(pool.index)})
    rest = [i for i in pool.index if i not in dropped]
    return StepOutcome(dropped | _alike(pool, pool.vectors, pool.golden_vectors, rest, loop.dataset.near_duplicate))


def _near(pool: Pool, positions: Sequence[int], loop: "LoopConfig") -> dict[int, str]:
    limit, form = loop.dataset.jaccard, loop.task.form
    answers, golden_answers = answer_keys([pool.rows[i] for i in positions], form), answer_keys(pool.golden, form)
    known = np.isin(answers, golden_answers)
    rows = [i for i, also in zip(positions, known.tolist(), strict=True) if also]
    prints = fingerprints([normalised(row.prompt) for row in pool.golden]) + pool.prints(rows)
    count = len(pool.golden)
    dropped = {}
    keys = np.concatenate([golden_answers, answers[known]])
    still = np.ones(len(keys), dtype=bool)
    for left, right, shares in near_pairs(prints, limit, keys, lambda one, other: (one < count) & (other >= count) & still[other]):
        still[right] = False
        for g, position, share in zip(left.tolist(), right.tolist(), shares.tolist(), strict=True):
            dropped[rows[position - count]] = f"same answer as golden row {pool.golden[g].id}, and {share:.2f} of its 5-grams"
    return dropped


def _alike(pool: Pool, vectors: np.ndarray, golden_vectors: np.ndarray, positions: Sequence[int], limit: float) -> dict[int, str]:
    best: dict[int, tuple[float, int]] = {}
    for left, right, cosine in alike(vectors[positions], golden_vectors, limit):
        for i, g, value in zip(left.tolist(), right.tolist(), cosine.tolist(), strict=True):
            best[i] = max(best.get(i, (-1.0, 0)), (value, g))
    return {positions[i]: f"cosine {value:.3f} to golden row {pool.golden[g].id}" for i, (value, g) in best.items()}


def _shared_words(pool: Pool) -> dict[int, str]:
    golden = [_words(row.prompt) for row in pool.golden]
    whole = {" ".join(words): g for g, words in enumerate(golden)}
    asked: dict[str, list[tuple[str, int, int]]] = {}  # first words -> what begins with them: text, words, golden row
    for g, words in enumerate(golden):
        length = min(WORDS, len(words))
        if length >= LEAST:
            for text in _runs(words, length):
                asked.setdefault(_head(text), []).append((text, length, g))
    dropped = {}
    short: dict[str, list[int]] = {}
    for i in pool.index:
        words = _words(pool.rows[i].prompt)
        text = " ".join(words)
        if text in whole:
            dropped[i] = f"is golden row {pool.golden[whole[text]].id}"
        elif (near := _found(words, asked)) is not None:
            relation = "contains" if len(golden[near]) < WORDS else f"shares {WORDS} words in a row with"
            dropped[i] = f"{relation} golden row {pool.golden[near].id}"
        elif LEAST <= len(words) < WORDS:
            short.setdefault(text, []).append(i)
    lengths = sorted({text.count(" ") + 1 for text in short})
    for g, words in enumerate(golden):
        for length in lengths:
            for text in _runs(words, length):
                dropped.update(dict.fromkeys(short.pop(text, []), f"is part of golden row {pool.golden[g].id}"))
    return dropped


def _found(words: list[str], asked: dict[str, list[tuple[str, int, int]]]) -> int | None:
    heads = _runs(words, LEAST)
    if asked.keys().isdisjoint(heads):
        return None
    for start, head in enumerate(heads):
        for text, length, g in asked.get(head, ()):
            if " ".join(words[start : start + length]) == text:
                return g
    return None


def _head(text: str) -> str:
    return " ".join(text.split(" ", LEAST)[:LEAST])


def _runs(words: list[str], length: int) -> list[str]:
    return [" ".join(words[start : start + length]) for start in range(len(words) - length + 1)]


def _words(text: str) -> list[str]:
    text = normalised(text)
    return _WORD.findall(text) or [text]
