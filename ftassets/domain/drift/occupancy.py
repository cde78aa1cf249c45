"""How queries spread over the reference's clusters, and which clusters gained or lost."""

import numpy as np

from ftassets.domain.drift.blocks import row_blocks

START = 1000  # rows; k-means++ over all of them would take longer than the rest of k-means
SMOOTHING = 0.5  # added to each cluster's count: an empty cluster is no infinite surprise


def fit_centres(vectors: np.ndarray, count: int, seed: int) -> np.ndarray:
    """k-means centres (count, d) of vectors (m, d), started by k-means++ on at most `START` of them."""
    from scipy.cluster.vq import kmeans2

    rng = np.random.default_rng(seed)
    some = vectors[rng.choice(len(vectors), min(len(vectors), START), replace=False)]
    start = kmeans2(some, count, minit="++", rng=rng)[0]
    return kmeans2(vectors, start, minit="matrix", rng=rng)[0].astype(np.float32)


def assign(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Nearest centre (n,) of each vector (n, d)."""
    offset = (centres**2).sum(axis=1) / 2
    parts = [(block @ centres.T - offset).argmax(axis=1) for block in row_blocks(vectors, len(centres))]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def shares(counts: np.ndarray) -> np.ndarray:
    """Smoothed shares of counts (..., k) over the clusters."""
    smooth = np.maximum(counts, 0) + SMOOTHING
    return smooth / smooth.sum(axis=-1, keepdims=True)


def psi_contributions(window: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Each cluster's part (..., k) of the population stability index: (p - q) ln(p / q) of smoothed shares of counts (..., k).

    The index is their sum: the symmetrised Kullback-Leibler divergence (Jeffreys), as used in credit scoring.
    """
    p, q = shares(window), shares(reference)
    return (p - q) * np.log(p / q)


def psi(window: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Population stability index of counts (..., k)."""
    return psi_contributions(window, reference).sum(axis=-1)


def jensen_shannon(window: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of counts (..., k) in bits, between 0 and 1.

    Lin, Divergence Measures Based on the Shannon Entropy (1991).
    """
    p, q = shares(window), shares(reference)
    middle = (p + q) / 2
    return (p * np.log2(p / middle) + q * np.log2(q / middle)).sum(axis=-1) / 2
