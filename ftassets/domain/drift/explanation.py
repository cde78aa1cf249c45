"""Names for what moved: new topics and clusters that gained or lost, with keywords and example queries."""

import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift.comparison import Comparison, MovedCluster
from ftassets.domain.drift.mix import pairwise_distance
from ftassets.domain.drift.reference import Reference
from ftassets.domain.scripts import MARKS

SMALLEST = 3  # new queries that make a topic; fewer are scattered ones
GROUPED = 2000  # new queries that are grouped at most: their distances to each other are formed
EXAMPLES = 3
PEOPLE = 3  # users who have to write a word before a stored report shows it
_WORD = re.compile(rf"(?:[^\W\d_][{MARKS}]*){{2,}}")


@dataclass(frozen=True)
class NewTopic:
    """New queries that belong together: their share of the window, keywords, most typical queries and places in the window."""

    share: float
    keywords: tuple[str, ...]
    examples: tuple[str, ...]
    members: tuple[int, ...]


@dataclass(frozen=True)
class MovedTopic:
    """A cluster that gained or lost share, in words. Without texts of it, keywords and examples are empty."""

    cluster: MovedCluster
    keywords: tuple[str, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """New topics, largest first; moved clusters, largest PSI contribution first."""

    new: tuple[NewTopic, ...]
    moved: tuple[MovedTopic, ...]


def keywords(groups: Mapping[Hashable, Sequence[str]], top: int = 5) -> dict[Hashable, tuple[str, ...]]:
    """The words of each group of texts that tell it from the other groups, the strongest first.

    Class-based TF-IDF: a word's share of the group's words times log(1 + A / f), with A the mean number of words in a group and f
    the word's count in all groups (Grootendorst, BERTopic, 2022).
    """
    counts = {name: Counter(word for text in texts for word in _WORD.findall(text.lower())) for name, texts in groups.items()}
    total = sum(counts.values(), Counter())
    mean = total.total() / max(len(counts), 1)

    def strongest(count: Counter[str]) -> tuple[str, ...]:
        weights = {word: n / count.total() * math.log(1 + mean / total[word]) for word, n in count.items()}
        return tuple(sorted(weights, key=lambda word: (-weights[word], word))[:top])

    return {name: strongest(count) for name, count in counts.items()}


def words_of_several(texts: Iterable[tuple[str, str]]) -> set[str]:
    """Words that at least `PEOPLE` users wrote, of pairs of user and text: a word of one person may be a name."""
    writers: dict[str, set[str]] = {}
    for user, text in texts:
        for word in _WORD.findall(text.lower()):
            writers.setdefault(word, set()).add(user)
    return {word for word, users in writers.items() if len(users) >= PEOPLE}


def explain(
    reference: Reference,
    comparison: Comparison,
    window: np.ndarray,
    texts: Sequence[str],
    known_texts: Mapping[int, Sequence[str]] | None = None,
) -> Explanation:
    """New topics and moved clusters of a compared window: its vectors (n, d) and the texts of the queries, in the same order.

    `known_texts` are reference queries by cluster (`Reference.rows` and `clusters` say which): they name clusters that lost everything.
    Raises ValueError when vectors, texts and comparison differ in length.
    """
    if not len(window) == len(texts) == len(comparison.distances):
        raise ValueError(f"{len(window)} vectors, {len(texts)} texts and {len(comparison.distances)} distances are not of one window")
    if comparison.limit is None:
        return Explanation((), ())
    is_new = (comparison.distances > comparison.limit) | comparison.crowded
    topics = _topics(window, np.flatnonzero(is_new), _cut(reference))
    known = {int(c): np.flatnonzero(~is_new & (comparison.clusters == c)) for c in np.unique(comparison.clusters)}
    groups: dict[Hashable, Sequence[str]] = {("new", i): [texts[row] for row in rows.tolist()] for i, rows in enumerate(topics)}
    groups |= {c: [texts[row] for row in rows.tolist()] + list((known_texts or {}).get(c, ())) for c, rows in known.items()}
    groups |= {c: list(lost) for c, lost in (known_texts or {}).items() if c not in groups}
    words = keywords(groups)

    grouped = max(min(int(is_new.sum()), GROUPED), 1)
    share = float(is_new.mean()) / grouped
    new = tuple(
        NewTopic(len(rows) * share, words["new", i], _examples(window, rows, texts), tuple(rows.tolist())) for i, rows in enumerate(topics)
    )
    moved = []
    for transition in comparison.moved:
        rows = known.get(transition.cluster, np.empty(0, dtype=np.int64))
        examples = _examples(window, rows, texts) or tuple(groups.get(transition.cluster, ())[:EXAMPLES])
        moved.append(MovedTopic(transition, words.get(transition.cluster, ()), examples))
    return Explanation(new, tuple(moved))


def _cut(reference: Reference) -> float:
    """Mean cosine distance at which new queries still belong together: half way between pairs of one cluster and pairs of any."""
    within = []
    for cluster in np.unique(reference.clusters):
        members = reference.vectors[reference.clusters == cluster]
        if (n := len(members)) > 1:  # mean over pairs, from the length of their sum
            within.append(1 - (float(np.linalg.norm(members.sum(axis=0))) ** 2 - n) / (n * (n - 1)))
    return (float(np.mean(within)) + float(pairwise_distance(reference.mean, reference.mean))) / 2


def _topics(window: np.ndarray, new: np.ndarray, cut: float) -> list[np.ndarray]:
    """Rows of each new topic, the largest first: average linkage on cosine distance."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(new) > GROUPED:
        new = new[np.linspace(0, len(new) - 1, GROUPED).astype(int)]
    if len(new) < SMALLEST:
        return []
    names = fcluster(linkage(window[new], "average", metric="cosine"), cut, "distance")
    topics = [new[names == name] for name in np.unique(names)]
    return sorted((rows for rows in topics if len(rows) >= SMALLEST), key=lambda rows: (-len(rows), rows[0]))


def _examples(window: np.ndarray, rows: np.ndarray, texts: Sequence[str]) -> tuple[str, ...]:
    """Texts nearest to the rows' mean, each once."""
    if not len(rows):
        return ()
    nearest = rows[np.argsort(-(window[rows] @ window[rows].mean(axis=0)), kind="stable")]
    return tuple(dict.fromkeys(texts[row] for row in nearest.tolist()))[:EXAMPLES]
