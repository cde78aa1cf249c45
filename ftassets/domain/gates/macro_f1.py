"""Macro F1 of two versions on the same rows, and how far chance moves it."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

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
    expected: Sequence[str],
    candidate: Sequence[str],
    production: Sequence[str],
    against: Literal["wrong", "right"] = "wrong",
    draws: int = DRAWS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Macro F1 of candidate and production, (draws, 2), in a paired Bayesian bootstrap over rows (Rubin 1981).

    One row is added `against` the claim, spread over the classes: one that the candidate has wrong and production right, or one that
    both have right where the claim is that F1 is small. Where every row is right this gives the bound of Clopper and Pearson, where
    only one version wins rows the exact sign test; without it ten rows that happen not to differ would be sure.
    """
    cells: Counter[tuple[str, str, str]] = Counter()
    for row in zip(expected, candidate, production, strict=True):
        cells[row] += 1
    for label, count in Counter(expected).items():
        added = (label, _NO_CLASS, label) if against == "wrong" else (label, label, label)
        cells[added] += count / len(expected)  # type: ignore[assignment]
    counts = np.random.default_rng(seed).dirichlet(list(cells.values()), size=draws)
    wanted, ours, theirs = (list(column) for column in zip(*cells, strict=True))
    return np.stack([_macro(counts, wanted, ours), _macro(counts, wanted, theirs)], axis=1)


def _macro(counts: NDArray[np.float64], expected: Sequence[str], predicted: Sequence[str]) -> NDArray[np.float64]:
    """Macro F1 of each draw: weights (draws, cells) of cells with these labels; classes without a row in a draw do not count in it."""
    classes = np.array(sorted(set(expected)))
    wanted, said = np.array(expected)[:, None] == classes, np.array(predicted)[:, None] == classes
    true, guessed, both = counts @ wanted, counts @ said, counts @ (wanted & said)
    with np.errstate(invalid="ignore"):
        each = np.where(true > 0, 2 * both / (true + guessed), 0.0)
    result: NDArray[np.float64] = each.sum(axis=1) / (true > 0).sum(axis=1)
    return result
