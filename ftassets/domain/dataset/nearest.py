"""Which texts share most words with one: cosines of TF-IDF vectors, in one pass over the texts and without a matrix."""

import math
from collections import Counter
from collections.abc import Iterable

from ftassets.domain.dataset.curation.text import normalised, words_of


def nearest(text: str, texts: Iterable[str], most: int) -> list[tuple[int, float]]:
    """Places of at most so many texts that share a word with one, each with the cosine (0 to 1), the nearest first.

    Weights are counts times `ln((1 + n) / (1 + df)) + 1`, scikit-learn's smooth IDF; the n texts are the corpus, the one text is not.
    """
    counts = [_counted(each) for each in texts]
    known = Counter(word for each in counts for word in each)
    weight = {word: math.log((1 + len(counts)) / (1 + rows)) + 1 for word, rows in known.items()}
    asked = {word: count * weight[word] for word, count in _counted(text).items() if word in weight}
    length = math.hypot(*asked.values())
    found = []
    for place, each in enumerate(counts):
        if shared := sum(asked[word] * count * weight[word] for word, count in each.items() if word in asked):
            found.append((place, min(1.0, shared / length / math.hypot(*(count * weight[word] for word, count in each.items())))))
    return sorted(found, key=lambda each: (-each[1], each[0]))[:most]


def _counted(text: str) -> Counter[str]:
    return Counter(word for word in words_of(normalised(text)) if word)
