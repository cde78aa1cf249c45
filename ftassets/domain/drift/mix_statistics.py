"""The statistics of a window's mix: one function each, used for one window and for thousands of drawn ones alike.

The energy distance is not among them: it needs the distances between all rows, and is calibrated apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift.mix import centroid_distance, pairwise_distance, rest_mean
from ftassets.domain.drift.mmd import mmd
from ftassets.domain.drift.occupancy import jensen_shannon, psi


@dataclass(frozen=True)
class Summary:
    """A set of queries in sums: mean vector (..., d), mean Fourier features (..., f), number of queries by cluster (..., k).

    Leading axes, where there are some, are draws: then it stands for as many sets.
    """

    mean: np.ndarray
    features: np.ndarray
    counts: np.ndarray

    def without(self, count: int, windows: "Summary", n: int) -> "Summary":
        """What is left of these `count` queries once windows of n of them are taken out, one rest for each window."""
        return Summary(
            rest_mean(self.mean, count, windows.mean, n),
            rest_mean(self.features, count, windows.features, n),
            self.counts - windows.counts,
        )


# name -> value (...) of windows (...) against what they are compared with
MIX: dict[str, Callable[[Summary, Summary], np.ndarray]] = {
    "centroid_cosine": lambda window, known: centroid_distance(window.mean, known.mean),
    "mean_pairwise": lambda window, known: pairwise_distance(window.mean, known.mean),
    "mmd": lambda window, known: mmd(window.features, known.features),
    "psi": lambda window, known: psi(window.counts, known.counts),
    "jensen_shannon": lambda window, known: jensen_shannon(window.counts, known.counts),
}
