"""Queries about synthetic topics: clusters of unit vectors, of which production knows the first half."""

import numpy as np

DIMENSIONS, KNOWN, ALL = 32, 20, 40


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


CENTRES = unit(np.random.default_rng(100).normal(size=(ALL, DIMENSIONS)))
EVEN = np.ones(KNOWN)
NEW = np.where(np.arange(ALL) < KNOWN, 0.0, 1.0)


def topics(n: int, weights: np.ndarray, seed: int) -> np.ndarray:
    """Topics (n,) drawn with these weights."""
    return np.random.default_rng(seed).choice(len(weights), size=n, p=weights / weights.sum())


def queries(n: int, weights: np.ndarray, seed: int) -> np.ndarray:
    """n queries about topics drawn with these weights."""
    rng = np.random.default_rng(seed + 10_000)
    return unit(CENTRES[topics(n, weights, seed)] + 0.15 * rng.normal(size=(n, DIMENSIONS)))
