"""Rows that give away what the golden set asks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.continued import taught_earlier
from ftassets.domain.dataset.curation.copies import Requests
from ftassets.domain.dataset.curation.near_pairs import near_pairs
from ftassets.domain.dataset.curation.neighbours import alike
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.curation.text import answer_keys, size_of, words_of

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

WORDS = 8
LEAST = 3  # words from which a text within another one gives it away: "pause" is not "pause the music in the kitchen"


def drop_contaminated(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows that share eight words in a row with a golden row, contain one, are part of one, are near one or mean the same, and rows
    that have a golden row's question and answer as earlier turns. In scripts without spaces letters count as parts of words (`size_of`).

    Last messages are compared, where the messages before them are near too (`copies`), or where the golden row has none before it and
    three words or more: then the row's last message alone may give it away. System message and tools do not count. Near ones count
    where the answer is the same too; the comparison is left out with the step `near`. Meaning is a cosine of at least
    `dataset.near_duplicate`, where there are vectors.
    """
    if not pool.golden or not pool.index:
        return StepOutcome()
    both = _Both(pool, loop.dataset.jaccard)
    known = taught_earlier([pool.rows[i] for i in pool.index], pool.golden, loop.task.form)
    dropped = {pool.index[p]: f"has question and answer of golden row {pool.golden[g].id} as earlier turns" for p, g in known.items()}
    dropped |= {i: reason for i, reason in _shared_words(pool, both).items() if i not in dropped}
    if "near" not in loop.dataset.skip:
        dropped |= _near(pool, both, [p for p, i in enumerate(pool.index) if i not in dropped], loop)
    if pool.vectors is None or pool.golden_vectors is None:
        return StepOutcome(dropped, counts={"compared by words only": len(pool.index)})
    rest = [p for p, i in enumerate(pool.index) if i not in dropped]
    unread = len(pool.index) - len(pool.read(pool.index))
    counts = {"compared by words only": unread} if unread else {}
    return StepOutcome(dropped | _alike(pool, both, rest, loop.dataset.near_duplicate), counts=counts)


class _Both:
    """The golden rows, and behind them the rows of the pool's index, as requests that can be compared."""

    def __init__(self, pool: Pool, limit: float) -> None:
        self.asked: Requests = pool.requests(pool.index, golden=True).without_frame()
        self.limit = limit
        self.golden = [words_of(row.last_text) for row in pool.golden]
        self.plain = self.asked.alone()
        long = np.array([_words(words) >= LEAST for words in self.golden])
        self.whole = self.plain[: len(long)] & long  # golden rows of which the last message says all

    def row(self, positions: np.ndarray | Sequence[int]) -> np.ndarray:
        """Where the rows at these positions of the index are in `asked`."""
        return np.asarray(positions, dtype=np.int64) + len(self.golden)

    def told(self, golden: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For which pairs (k,) of a golden row and a position of the index the last messages decide."""
        return self.whole[golden] | self.asked.same_context(self.limit, golden, self.row(rows))

    def comparable(self, golden: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For which pairs (k,) of a golden row and a position of the index a cosine decides."""
        known = self.whole[golden] & self.asked.opening()[self.row(rows)]
        return known | self.asked.comparable(self.limit, golden, self.row(rows))


def _near(pool: Pool, both: _Both, positions: Sequence[int], loop: "LoopConfig") -> dict[int, str]:
    limit, form = loop.dataset.jaccard, loop.task.form
    answers, golden_answers = answer_keys([pool.rows[pool.index[p]] for p in positions], form), answer_keys(pool.golden, form)
    known = np.isin(answers, golden_answers)
    rows = np.asarray(positions, dtype=np.int64)[known]
    count = len(pool.golden)
    asked = both.asked.take(np.concatenate([np.arange(count), both.row(rows)]))
    keys = np.concatenate([golden_answers, answers[known]])
    still = np.ones(len(keys), dtype=bool)
    dropped: dict[int, str] = {}

    def note(left: np.ndarray, right: np.ndarray, shares: np.ndarray) -> None:
        still[right] = False
        for g, position, share in zip(left.tolist(), right.tolist(), shares.tolist(), strict=True):
            name = pool.index[rows[position - count]]
            dropped[name] = f"same answer as golden row {pool.golden[g].id}, and {share:.2f} of its 5-grams"

    for pairs in asked.copies(limit, keys, lambda one, other: (one < count) & (other >= count) & still[other]):
        note(*pairs)
    whole = np.concatenate([both.whole, np.zeros(len(rows), dtype=bool)])
    talks = ~asked.alone()
    if talks.any():  # of these the last message may be a golden row's whole question
        for pairs in near_pairs(asked.last, limit, keys, lambda one, other: whole[one] & talks[other] & still[other]):
            note(*pairs)
    return dropped


def _alike(pool: Pool, both: _Both, positions: Sequence[int], limit: float) -> dict[int, str]:
    assert pool.vectors is not None
    assert pool.golden_vectors is not None
    rows = np.asarray(positions, dtype=np.int64)
    best: dict[int, tuple[float, int]] = {}
    for left, right, cosine in alike(pool.vectors, np.asarray(pool.index, dtype=np.int64)[rows], pool.golden_vectors, limit):
        told = both.comparable(right, rows[left])
        for p, g, value in zip(rows[left[told]].tolist(), right[told].tolist(), cosine[told].tolist(), strict=True):
            best[p] = max(best.get(p, (-1.0, 0)), (value, g))
    return {pool.index[p]: f"cosine {value:.3f} to golden row {pool.golden[g].id}" for p, (value, g) in best.items()}


def _shared_words(pool: Pool, both: _Both) -> dict[int, str]:
    golden = both.golden
    whole: dict[str, list[int]] = {}
    asked: dict[str, list[tuple[str, int, int]]] = {}  # first words -> what begins with them: text, words, golden row
    for g, words in enumerate(golden):
        whole.setdefault(" ".join(words), []).append(g)
        for text, length in _shortest_runs(words, WORDS) if _words(words) >= LEAST else ():
            asked.setdefault(_head(text), []).append((text, length, g))
    found: list[tuple[int, int, str]] = []  # position of the index, golden row, relation; the first one that counts is told
    short: dict[str, list[int]] = {}
    for p, i in enumerate(pool.index):
        words = words_of(pool.rows[i].last_text)
        text = " ".join(words)
        if text in whole:
            found += [(p, g, "is") for g in whole[text]]
        elif near := _found(words, asked):
            found += [(p, g, "contains" if _words(golden[g]) < WORDS else f"shares {WORDS} words in a row with") for g in near]
        if LEAST <= _words(words) < WORDS:
            short.setdefault(text, []).append(p)
    lengths = sorted({text.count(" ") + 1 for text in short})
    for g, words in enumerate(golden):
        for length in lengths:
            for text in dict.fromkeys(_runs(words, length)):
                found += [(p, g, "is part of") for p in short.get(text, [])]
    if not found:
        return {}
    told = both.told(*(np.array(side) for side in ([g for _, g, _ in found], [p for p, _, _ in found])))
    dropped: dict[int, str] = {}
    for (p, g, relation), counts in zip(found, told.tolist(), strict=True):
        if counts:
            dropped.setdefault(pool.index[p], f"{relation} golden row {pool.golden[g].id}")
    return dropped


def _found(words: list[str], asked: dict[str, list[tuple[str, int, int]]]) -> list[int]:
    heads = _runs(words, LEAST)
    if asked.keys().isdisjoint(heads):
        return []
    places = (
        g for start, head in enumerate(heads) for text, length, g in asked.get(head, ()) if " ".join(words[start : start + length]) == text
    )
    return list(dict.fromkeys(places))


def _head(text: str) -> str:
    return " ".join(text.split(" ", LEAST)[:LEAST])


def _runs(words: list[str], length: int) -> list[str]:
    return [" ".join(words[start : start + length]) for start in range(len(words) - length + 1)]


def _words(words: Sequence[str]) -> float:
    """How many words they are, where letters of scripts without spaces count as parts of one."""
    return len(words) if " ".join(words).isascii() else sum(size_of(words)) / 10


def _shortest_runs(words: Sequence[str], length: float) -> list[tuple[str, int]]:
    """From each place the shortest run of at least so many words, or all words if they are fewer: its text, and the parts it has."""
    sizes = size_of(words)
    wanted = min(sum(sizes), 10 * length)
    runs: list[tuple[str, int]] = []
    end = size = 0
    for start, first in enumerate(sizes):
        while size < wanted and end < len(words):
            size += sizes[end]
            end += 1
        if size < wanted:
            break
        runs.append((" ".join(words[start:end]), end - start))
        size -= first
    return runs
