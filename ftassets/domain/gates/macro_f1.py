"""Macro F1 of two versions on the same rows, and how far chance moves it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 4999
_NO_CLASS = ""  # the answer of an added row that is wrong; counted in no class


def macro_f1(expected: Sequence[str], predicted: Sequence[str]) -> float:
    """Plain mean of F1 (0..1) over the expected classes (van Rijsbergen 1979). Raises ValueError without rows."""
    if not expected:
        raise ValueError("macro F1 needs rows")
    cells = Counter(zip(expected, predicted, strict=True))
    return float(_macro(np.array([list(cells.values())], dtype=float), [e for e, _ in cells], [p for _, p in cells])[0])


def macro_f1_draws(
    expected: Sequence[str], candidate: Sequence[str], production: Sequence[str], draws: int = DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """Macro F1 of candidate and production, (draws, 2), in a paired bootstrap over rows (Efron and Tibshirani 1993).

    Two rows are added, spread over the classes: half of one only the candidate has right, half of one only production has, and one
    both have. Without them the bootstrap would be sure of ten rows that happen not to differ. Rows with the same expected and
    predicted labels are drawn together, as one multinomial count.
    """
    cells: Counter[tuple[str, str, str]] = Counter()
    for row in zip(expected, candidate, production, strict=True):
        cells[row] += 1
    for label, count in Counter(expected).items():
        share = count / len(expected)
        for added, weight in (((label, label, _NO_CLASS), 0.5), ((label, _NO_CLASS, label), 0.5), ((label, label, label), 1.0)):
            cells[added] += weight * share  # type: ignore[assignment]
    weights = np.array(list(cells.values()), dtype=float)
    counts = np.random.default_rng(seed).multinomial(len(expected) + 2, weights / weights.sum(), size=draws).astype(float)
    wanted, ours, theirs = (list(column) for column in zip(*cells, strict=True))
    return np.stack([_macro(counts, wanted, ours), _macro(counts, wanted, theirs)], axis=1)


def _macro(counts: NDArray[np.float64], expected: Sequence[str], predicted: Sequence[str]) -> NDArray[np.float64]:
    """Macro F1 of each draw: counts (draws, cells) of cells with these labels; classes without a row in a draw do not count in it."""
    classes = np.array(sorted(set(expected)))
    wanted, said = np.array(expected)[:, None] == classes, np.array(predicted)[:, None] == classes
    true, guessed, both = counts @ wanted, counts @ said, counts @ (wanted & said)
    with np.errstate(invalid="ignore"):
        each = np.where(true > 0, 2 * both / (true + guessed), 0.0)
    result: NDArray[np.float64] = each.sum(axis=1) / (true > 0).sum(axis=1)
    return result
