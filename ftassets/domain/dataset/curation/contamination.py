"""Rows that give away what the golden set asks."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.chat import texts
from ftassets.domain.dataset.curation.continued import taught_earlier
from ftassets.domain.dataset.curation.copies import Requests
from ftassets.domain.dataset.curation.near_pairs import near_pairs
from ftassets.domain.dataset.curation.neighbours import alike
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.curation.text import answer_keys, size_of, words_of
from ftassets.domain.dataset.rows import Example

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

WORDS = 8
LEAST = 3  # words from which a text within another one gives it away: "pause" is not "pause the music in the kitchen"
FRAMES = 10  # rows from which on a system message or tools are the client's, and not what somebody asked
_SHARES = f"shares {WORDS} words in a row with"
_PARTS = re.compile(r"\u200b|200b|8203|ZeroWidth", re.IGNORECASE)
_BETWEEN = "\n0x1f 0x1f\n"  # words that end a run, between two texts of a row

Runs = dict[tuple[str, ...], list[tuple[list[str], int, int]]]  # three words -> runs that have them: words, place in them, golden row


def drop_contaminated(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows that share eight words in a row with a golden row, contain one, are part of one, are near one or mean the same, and rows
    that have a golden row's question and answer as earlier turns. In scripts without spaces letters count as parts of words (`size_of`).

    Last messages are compared, where the messages before them are near too (`copies`), or where the golden row has none before it and
    three words or more: then the row's last message alone may give it away. A golden question that is all that its user asks, of three
    words or more, may stand in no other text of a row either: earlier messages, calls and their results, the answer, and a system message
    or tools of few rows. What `FRAMES` rows and more have in common is the client's and is counted only. Near ones count
    where the answer is the same too; the comparison is left out with the step `near`. Meaning is a cosine of at least
    `dataset.near_duplicate`, where there are vectors. Texts are compared `bare`.
    """
    if not pool.golden or not pool.index:
        return StepOutcome()
    both = _Both(pool, loop.dataset.jaccard)
    dropped = _shared_words(pool, both)
    questions = {g: words for g, row in enumerate(pool.golden) if (text := _question(row)) and _words(words := words_of(text)) >= LEAST}
    asked, counts = _questions(pool, questions, [i for i in pool.index if i not in dropped])
    dropped |= asked
    left = [i for i in pool.index if i not in dropped]
    others = [row for g, row in enumerate(pool.golden) if g not in questions]
    for p, g in taught_earlier([pool.rows[i] for i in left], others, loop.task.form).items():
        dropped[left[p]] = f"has question and answer of golden row {others[g].id} as earlier turns"
    if "near" not in loop.dataset.skip:
        dropped |= _near(pool, both, [p for p, i in enumerate(pool.index) if i not in dropped], loop)
    if pool.vectors is None or pool.golden_vectors is None:
        return StepOutcome(dropped, counts={**counts, "compared by words only": len(pool.index)})
    rest = [p for p, i in enumerate(pool.index) if i not in dropped]
    unread = len(pool.index) - len(pool.read(pool.index))
    counts |= {"compared by words only": unread} if unread else {}
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
    for g, words in enumerate(golden):
        whole.setdefault(" ".join(words), []).append(g)
    asked = _telling((g, words) for g, words in enumerate(golden) if _words(words) >= LEAST)
    found: list[tuple[int, int, str]] = []  # position of the index, golden row, relation; the first one that counts is told
    short: dict[str, list[int]] = {}
    for p, i in enumerate(pool.index):
        words = words_of(pool.rows[i].last_text)
        text = " ".join(words)
        if text in whole:
            found += [(p, g, "is") for g in whole[text]]
        elif near := _found(words, asked) or _apart(pool.rows[i].last_text, asked):
            found += [(p, g, "contains" if _words(golden[g]) < WORDS else _SHARES) for g in near]
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


def _questions(pool: Pool, questions: dict[int, list[str]], positions: Sequence[int]) -> tuple[dict[int, str], dict[str, int]]:
    """Rows that have a golden question in any text, and how many questions stand in what many rows have in common."""
    if not questions:
        return {}, {}
    asked = _telling(questions.items())
    rows = Counter(text for i in positions for text in _frame(pool.rows[i]))
    common = {text for text, count in rows.items() if count >= FRAMES}
    ends = any(pool.golden[g].messages[-1].role != "user" for g in questions)  # else what last messages have is known
    answers: dict[str, list[int]] = {}  # which repeat more than requests do
    dropped: dict[int, str] = {}
    for i in positions:
        row = pool.rows[i]
        own = [text for text in _frame(row) if text not in common]
        turns = row.turns if ends else row.turns[:-1]
        if row.completion not in answers:
            answers[row.completion] = _stand_in(row.completion, asked)
        found = answers[row.completion] or (_stand_in(_BETWEEN.join([*texts(turns), *own]), asked) if turns or own else [])
        if found:
            relation = "has" if _words(questions[found[0]]) < WORDS else _SHARES
            dropped[i] = f"one of its texts {relation} the question of golden row {pool.golden[found[0]].id}"
    held = {g for text in common for g in _found(words_of(text), asked)}
    return dropped, {"golden questions in a system message or tools that many rows have": len(held)} if held else {}


def _question(row: Example) -> str | None:
    """What the user of a golden row asks, if it is in one message: then it gives the row away wherever it stands."""
    asked = [message.content for message in row.messages if message.role == "user" and message.content]
    return asked[0] if len(asked) == 1 else None


def _frame(row: Example) -> list[str]:
    own = row.messages[0].content if row.messages[0].role == "system" else None
    return [text for text in (own, row.tools) if text]


def _stand_in(text: str, asked: Runs) -> list[int]:
    """The golden rows that a text gives away."""
    return _found(words_of(text), asked) or _apart(text, asked)


def _apart(text: str, asked: Runs) -> list[int]:
    """The same if zero-width spaces stand between words, and not between letters to part them; none without such spaces."""
    return _found(words_of(text, apart=True), asked) if _PARTS.search(text) else []


def _telling(golden: Iterable[tuple[int, list[str]]]) -> Runs:
    """Runs of golden rows' words that are so long that they give the row away, by three words of each that are in few others."""
    runs = [(words[start : start + length], g) for g, words in golden for start, length in _shortest_runs(words, WORDS)]
    often = Counter(three for words, _ in runs for three in _threes(words))
    found: Runs = {}
    for words, g in runs:
        place, three = min(enumerate(_threes(words)), key=lambda each: often[each[1]])
        found.setdefault(three, []).append((words, place, g))
    return found


def _threes(words: list[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(LEAST)), strict=False)


def _found(words: list[str], asked: Runs) -> list[int]:
    """The golden rows that the words give away."""
    if asked.keys().isdisjoint(_threes(words)):
        return []
    found: dict[int, None] = {}
    for at, three in enumerate(_threes(words)):
        for run, place, g in asked.get(three, ()):
            if at >= place and words[at - place : at - place + len(run)] == run:
                found[g] = None
    return list(found)


def _runs(words: list[str], length: int) -> list[str]:
    return [" ".join(words[start : start + length]) for start in range(len(words) - length + 1)]


def _words(words: Sequence[str]) -> float:
    """How many words they are, where letters of scripts without spaces count as parts of one."""
    return len(words) if " ".join(words).isascii() else sum(size_of(words)) / 10


def _shortest_runs(words: Sequence[str], length: float) -> list[tuple[int, int]]:
    """From each place the shortest run of at least so many words, or all words if they are fewer: its place, and the parts it has."""
    sizes = size_of(words)
    wanted = min(sum(sizes), 10 * length)
    runs: list[tuple[int, int]] = []
    end = size = 0
    for start, first in enumerate(sizes):
        while size < wanted and end < len(words):
            size += sizes[end]
            end += 1
        if size < wanted:
            break
        runs.append((start, end - start))
        size -= first
    return runs
