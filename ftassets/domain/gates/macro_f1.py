"""Macro F1 of two versions on the same rows, and how far chance moves it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftassets.domain.mean_bounds import Floats

DRAWS = 4999
_TINY = 1e-300  # weight of a class that a draw all but leaves out
Cell = tuple[str, str, str]  # expected label, the candidate's, production's


@dataclass(frozen=True)
class F1Bound:
    """A one-sided lower bound of the candidate's gain, from the least favourable of several distributions with that `middle`.

    `p_value` is of "the gain is above the limit".
    """

    bound: float
    middle: float
    p_value: float


def macro_f1(expected: Sequence[str], predicted: Sequence[str], classes: Collection[str] | None = None) -> float:
    """Plain mean of F1 (0..1) over the classes, by default the expected ones (van Rijsbergen 1979).

    Raises ValueError without rows, and if a class has none.
    """
    if not expected:
        raise ValueError("macro F1 needs rows")
    cells = Counter(zip(expected, predicted, strict=True))
    counted = _known(expected, classes)
    return float(_macro(np.array([list(cells.values())], dtype=float), [e for e, _ in cells], [p for _, p in cells], counted)[0])


def gain_bound(
    expected: Sequence[str],
    candidate: Sequence[str],
    production: Sequence[str] | None,
    limit: float,
    confidence: float,
    classes: Collection[str] | None = None,
    seed: int = 0,
    rows: int | None = None,
) -> F1Bound:
    """Lower bound of the candidate's macro F1 less production's, or of its own without production's labels.

    A paired Bayesian bootstrap over rows (Rubin 1981) to which one row is added that the candidate has wrong and production right, as
    Gaffke's bound of a mean adds one (see `mean_bounds`). A wrong row costs most in a rare class that is right else, and as a false
    positive of another one, so that the row is tried in the class where it costs most and in groups of those; the lowest bound counts.

    One row does not make up for many small classes, which is corrected by class. F1 is concave: a class that is right on some of a few
    rows has a lower one in a sample than in truth, and in a bootstrap than in the sample; where that flatters the gain, the bound is lower
    by both biases (Efron 1982). And a bootstrap of m rows has (m - 1) / (m + 1) of their variance, and of the bias.
    With `rows`, the bound that so many rows like these would have.
    `bench/gates.py` simulates its error, rare classes among them. Raises ValueError as `macro_f1` does.
    """
    theirs, counted = expected if production is None else production, _known(expected, classes)
    return _least(expected, candidate, theirs, counted, production is not None, limit, confidence, rows, wrong=True, seed=seed)


def loss_bound(
    expected: Sequence[str],
    candidate: Sequence[str],
    production: Sequence[str] | None,
    limit: float,
    confidence: float,
    classes: Collection[str] | None = None,
    seed: int = 0,
    rows: int | None = None,
) -> F1Bound:
    """The mirror image of `gain_bound`: the bound is an upper one, its p-value is of "the gain is below the limit"."""
    if production is not None:
        found = gain_bound(expected, production, candidate, -limit, confidence, classes, seed, rows)
        return F1Bound(-found.bound, -found.middle, found.p_value)
    return _least(expected, candidate, expected, _known(expected, classes), False, limit, confidence, rows, wrong=False, seed=seed)


def _known(expected: Sequence[str], classes: Collection[str] | None) -> list[str]:
    """The classes that count; a class without a row has no F1."""
    there = set(expected)
    if classes is not None and (missing := set(classes) - there):
        raise ValueError(f"no row is of {sorted(missing)}")
    return sorted(there if classes is None else classes)


def _least(
    expected: Sequence[str],
    ours: Sequence[str],
    theirs: Sequence[str],
    classes: Sequence[str],
    paired: bool,
    limit: float,
    confidence: float,
    rows: int | None,
    *,
    wrong: bool,
    seed: int,
) -> F1Bound:
    cells: Counter[Cell] = Counter(zip(expected, ours, theirs, strict=True))
    of = Counter(expected)
    moved = _moved_by_a_row(cells, classes, paired, wrong)
    ranked = [classes[number] for number in np.argsort(-moved, kind="stable")]
    counted = sum(of[label] for label in ranked)
    added = _added_rows(ranked, [of[label] / counted for label in ranked], wrong)
    every = list(dict.fromkeys([*cells, *(cell for shares in added for cell in shares)]))
    place = {cell: number for number, cell in enumerate(every)}
    rng = np.random.default_rng(seed)
    base = np.zeros((DRAWS, len(every)))
    shapes = np.array(list(cells.values())) * (1.0 if rows is None else rows / len(expected))
    base[:, : len(cells)] = rng.standard_gamma(shapes, size=(DRAWS, len(cells)))
    wanted, said, other = (list(column) for column in zip(*every, strict=True))
    sign = 1 if wrong else -1

    def gains_of(weights: Floats) -> Floats:
        """Of each class in each draw (draws, classes)."""
        ours_ = _by_class(weights, wanted, said, classes)
        return sign * (ours_ - _by_class(weights, wanted, other, classes) if paired else ours_)

    counts = np.zeros((1, len(every)))
    counts[0, : len(cells)] = shapes
    drawn, there = gains_of(base), np.array([of[label] for label in classes]) * shapes.sum() / len(expected)
    lost = (there + 1) / np.maximum(there - 1, 1.0)  # of a class's variance, as a bootstrap of so few rows has it
    flattered = max(0.0, float(((drawn.mean(axis=0) - gains_of(counts)[0]) * (1 + lost)).mean()))
    spreads = drawn.var(axis=0)
    wider = float(np.sqrt(spreads @ lost / spreads.sum())) if spreads.sum() > _TINY else 1.0
    found = []
    for shares in added:
        weights = base.copy()
        row = rng.standard_gamma(1.0, size=DRAWS)
        for cell, share in shares.items():  # parts that differ by chance would move the bound less
            weights[:, place[cell]] += share * row
        towards = gains_of(weights).mean(axis=1)
        towards = towards.mean() + wider * (towards - towards.mean()) - flattered
        p = (1 + int(np.sum(towards <= sign * limit))) / (DRAWS + 1)
        found.append((float(np.quantile(towards, 1 - confidence)), float(np.median(towards)), p))
    bound, middle, _ = min(found)
    return F1Bound(sign * bound, sign * middle, max(p for _, _, p in found))


def _moved_by_a_row(cells: Mapping[Cell, int], classes: Sequence[str], paired: bool, wrong: bool) -> Floats:
    """By how much one more row of a class moves its F1, or the difference of two, towards the bound (classes,).

    A row that is right takes F1 from 2b / s to (2b + 2) / (s + 2), a wrong one to 2b / (s + 1), with b the class's rows that are right and
    s those that it has or is named for. Of `paired` versions one has it wrong and the other one right.
    """
    counts = np.array([list(cells.values())], dtype=float)
    expected, ours, theirs = (list(column) for column in zip(*cells, strict=True))

    def moves(said: Sequence[str], right: bool) -> Floats:
        names = np.array(classes)
        f1 = _by_class(counts, expected, said, classes)[0]
        rows = counts[0] @ ((np.array(expected)[:, None] == names).astype(float) + (np.array(said)[:, None] == names))
        found: Floats = 2 * (1 - f1) / (rows + 2) if right else f1 / (rows + 1)
        return found

    return moves(ours, not wrong) + (moves(theirs, wrong) if paired else 0.0)


def _added_rows(ranked: Sequence[str], shares: Sequence[float], wrong: bool) -> list[dict[Cell, float]]:
    """Ways to add one row: to the 1, 2, 4, ... first classes in equal parts, and to all by their share of the rows.

    A wrong one is predicted as the next class of the group; without another class as a label of no class.
    """
    sizes = sorted({min(2**power, len(ranked)) for power in range(len(ranked).bit_length() + 1)})
    groups = [(list(ranked[:size]), [1 / size] * size) for size in sizes] + [(list(ranked), list(shares))]
    found = []
    for group, parts in groups:
        ring = [*group, *ranked[len(group) : len(group) + 1]] if len(group) == 1 else group
        row: dict[Cell, float] = {}
        for number, part in enumerate(parts):
            label, following = group[number], ring[(number + 1) % len(ring)]
            row[label, (following if following != label else "") if wrong else label, label] = part
        found.append(row)
    return found


def _macro(counts: NDArray[np.float64], expected: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> Floats:
    """Macro F1 over the classes in each draw: weights (draws, cells) of cells with these labels."""
    result: Floats = _by_class(counts, expected, predicted, classes).mean(axis=1)
    return result


def _by_class(counts: NDArray[np.float64], expected: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> Floats:
    """F1 of each class in each draw (draws, classes)."""
    names = np.array(classes)
    wanted, said = np.array(expected)[:, None] == names, np.array(predicted)[:, None] == names
    true, guessed, both = counts @ wanted, counts @ said, counts @ (wanted & said)
    result: Floats = 2 * both / np.maximum(true + guessed, _TINY)
    return result
