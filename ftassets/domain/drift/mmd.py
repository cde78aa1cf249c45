"""Maximum mean discrepancy of a Gaussian kernel through random Fourier features: linear in the number of rows."""

import numpy as np

FREQUENCIES = 512


def median_distance(vectors: np.ndarray) -> float:
    """Median Euclidean distance between unit vectors (m, d), of at most 1,000 rows: the usual bandwidth of the kernel."""
    some = vectors[:: -(-len(vectors) // 1000)]
    distances = np.sqrt(np.maximum(2.0 - 2.0 * (some @ some.T), 0.0))[np.triu_indices(len(some), 1)]
    return float(np.median(distances)) or 1.0


def fourier_features(vectors: np.ndarray, bandwidth: float, seed: int) -> np.ndarray:
    """Features (n, 2 * FREQUENCIES) whose dot products approximate exp(-|x - y|^2 / (2 bandwidth^2)).

    Rahimi and Recht, Random Features for Large-Scale Kernel Machines (2007), with a cosine and a sine for each frequency.
    """
    dimensions = vectors.shape[1]
    frequencies = np.random.default_rng(seed).standard_normal((dimensions, FREQUENCIES), dtype=np.float32) / np.float32(bandwidth)
    angles = vectors @ frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.float32(np.sqrt(FREQUENCIES))


def mmd(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance between mean features (..., 2 * FREQUENCIES): the biased MMD of Gretton et al., A Kernel Two-Sample Test (2012)."""
    return np.linalg.norm(first - second, axis=-1)
