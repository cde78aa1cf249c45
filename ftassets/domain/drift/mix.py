"""Movement of the mean: says that the mix changed, hardly ever that something is new."""

import numpy as np


def centroid_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine distance of mean vectors (..., d), between 0 and 2."""
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return 1.0 - (first * second).sum(axis=-1) / np.maximum(lengths, 1e-12)


def pairwise_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One minus the mean cosine over all pairs of two sets of unit vectors, from their mean vectors (..., d).

    The mean of all dot products is the dot product of the means, so that no pair is formed.
    """
    return 1.0 - (first * second).sum(axis=-1)


def rest_mean(mean: np.ndarray, count: int, window_means: np.ndarray, n: int) -> np.ndarray:
    """Mean of what is left of `count` rows with this mean (d,) once windows of n of them, with means (..., d), are taken out."""
    return (count * mean - n * window_means) / (count - n)
