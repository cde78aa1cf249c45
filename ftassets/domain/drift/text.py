"""Statistics of texts without embeddings: length, vocabulary, refusals, language; for queries and for answers."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ftassets.domain.drift.comparison import INFORM_RATE, Statistic
from ftassets.domain.languages import detect
from ftassets.domain.refusal import refused
from ftassets.domain.scripts import WORD

SMALLEST = 10


def lengths(texts: Sequence[str]) -> np.ndarray:
    """Length (n,) of each text in characters."""
    return np.array([len(text) for text in texts], dtype=np.float64)


def diversity(texts: Sequence[str]) -> np.ndarray:
    """Root type-token ratio (n,) of each text: different words over the square root of all words (Guiraud 1954); 0 without words.

    Falls when answers repeat themselves; the root takes out most of the dependence on length.
    """
    words = [WORD.findall(text.lower()) for text in texts]
    return np.array([len(set(each)) / math.sqrt(len(each)) if each else 0.0 for each in words])


def refusals(texts: Sequence[str]) -> np.ndarray:
    """Whether each text (n,) declines, see `refused`."""
    return np.array([refused(text) for text in texts], dtype=bool)


def refusing(reference: Sequence[str], window: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each text of the reference (m,) and of the window (n,) declines."""
    return refusals(reference), refusals(window)


def in_another_language(reference: Sequence[str], window: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Whether each text of the reference (m,) and of the window (n,) is in another language than the reference's commonest.

    A text whose language is not known counts as no other; None when no text of the reference has a known one.
    """
    spoken = [detect(text)[0] for text in reference]
    usual = Counter(language for language in spoken if language).most_common(1)
    if not usual:
        return None
    known, seen = (
        np.array([language not in (None, usual[0][0]) for language in languages], dtype=bool)
        for languages in (spoken, [detect(text)[0] for text in window])
    )
    return known, seen


# name -> a number for each text, whose distributions are compared
DISTRIBUTIONS: dict[str, Callable[[Sequence[str]], np.ndarray]] = {"text_length": lengths, "text_diversity": diversity}
# name -> whether each text of reference and window has a property, whose shares are compared
SHARES: dict[str, Callable[[Sequence[str], Sequence[str]], tuple[np.ndarray, np.ndarray] | None]] = {
    "refusal_share": refusing,
    "other_language_share": in_another_language,
}


def text_statistics(reference: Sequence[str], window: Sequence[str], rate: float = INFORM_RATE) -> tuple[Statistic, ...]:
    """Length, diversity, refusals and language of a window's texts against a reference's, at a false-alarm rate shared evenly.

    Length and diversity: two-sample Kolmogorov-Smirnov distance, with the asymptotic critical value. Refusals, and texts in another
    language than the reference's commonest: their share, above what the beta-binomial prediction from the reference's count
    (Jeffreys prior) allows. Empty with fewer than `SMALLEST` texts on either side.
    """
    from scipy.stats import ks_2samp

    m, n, each = len(reference), len(window), rate / (len(DISTRIBUTIONS) + len(SHARES))
    if min(m, n) < SMALLEST:
        return ()
    critical = math.sqrt(-math.log(each / 2) / 2 * (m + n) / (m * n))
    found = []
    for name, measure in DISTRIBUTIONS.items():
        result = ks_2samp(measure(reference), measure(window), method="asymp")
        found.append(Statistic(name, float(result.statistic), critical, float(result.pvalue), informs_only=True))
    for name, having in SHARES.items():
        if (both := having(reference, window)) is not None:
            found.append(_share(name, *both, each))
    return tuple(found)


def _share(name: str, known: np.ndarray, seen: np.ndarray, rate: float) -> Statistic:
    """Share of a window's texts (n,) that have a property, against the reference's (m,)."""
    from scipy.stats import betabinom

    expected = betabinom(len(seen), known.sum() + 0.5, len(known) - known.sum() + 0.5)
    p_value, limit = float(expected.sf(int(seen.sum()) - 1)), float(expected.isf(rate)) / len(seen)
    return Statistic(name, float(seen.mean()), limit, p_value, informs_only=True)
