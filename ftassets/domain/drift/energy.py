"""Energy distance between a window and a sample of the reference."""

import numpy as np

from ftassets.domain.drift.blocks import row_blocks

ROWS = 2000  # of the reference: the distances of its rows to each other are formed


def energy_rows(count: int, seed: int) -> np.ndarray:
    """Which of `count` reference rows the energy distance compares with, ascending; always the same for a seed."""
    return np.sort(np.random.default_rng(seed).choice(count, min(count, ROWS), replace=False))


def euclidean(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, m) between unit vectors (n, d) and (m, d)."""
    return np.sqrt(np.maximum(2.0 - 2.0 * (first @ second.T), 0.0))


def mean_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean Euclidean distance over all pairs of unit vectors (n, d) and (m, d)."""
    total = sum(float(euclidean(block, second).sum(dtype=np.float64)) for block in row_blocks(first, len(second)))
    return total / (len(first) * len(second))


def energy_distance(window: np.ndarray, sample: np.ndarray, spread: float) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of unit vectors (n, d) and (m, d), where `spread` is E|Y - Y'| of the sample.

    Szekely and Rizzo, Energy statistics (2013); all pairs count, a row's zero distance to itself too.
    """
    return 2 * mean_distance(window, sample) - mean_distance(window, window) - spread


def energy_of_draws(distances: np.ndarray, counts: np.ndarray, n: int) -> np.ndarray:
    """Energy distance (draws,) of windows of n rows to the rest of the m rows they were drawn from.

    `distances` (m, m) are those between the rows, `counts` (m, draws) how often a row was drawn. With weights w of the window and r
    of the rest, the energy distance is -(w - r)' D (w - r).
    """
    m = len(distances)
    difference = (counts / np.float32(n) - np.float32(1 / m)) * np.float32(m / (m - n))
    return -(difference * (distances @ difference)).sum(axis=0)
