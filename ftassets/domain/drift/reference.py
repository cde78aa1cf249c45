"""What production knows, as one artefact that drift reports compare with."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from ftassets.domain import formats
from ftassets.domain.drift.blocks import row_blocks
from ftassets.domain.drift.calibration import Null, concentration_nulls, draws_needed, energy_nulls, mix_nulls, mix_spread, novelty_nulls
from ftassets.domain.drift.concentration import CONCENTRATION, nearest_rows
from ftassets.domain.drift.energy import energy_rows, mean_distance
from ftassets.domain.drift.mix_statistics import Summary
from ftassets.domain.drift.mmd import FREQUENCIES, fourier_features, median_distance
from ftassets.domain.drift.novelty import NOVELTY, Usual, leave_one_out_distances, novelty_scores, usual
from ftassets.domain.drift.occupancy import assign, fit_centres
from ftassets.errors import InvalidInput

CAP = 10_000
CLUSTERS = 50
FINEST_RATE = 0.002
_ARRAYS = ("rows", "vectors", "distances", "neighbours", "clusters", "centres", "occupancy", "mean", "feature_mean")
_SCALARS = {"embedder": str, "count": int, "bandwidth": float, "energy_spread": float, "seed": int, "rate": float}
_NULL_PARTS = ("sizes", "tails", "quantiles")


@dataclass(frozen=True)
class Reference:
    """A sample of m of the `count` unit vectors that production knows, with everything a report needs of them.

    `rows` (m,) are the sample's places in what it was built from, `distances` (m,) its leave-one-out distances, `neighbours`
    (m, NEIGHBOURS) each row's nearest others, `clusters` (m,) its clusters. Over all `count` rows: `occupancy` (k,) of the clusters
    with `centres` (k, d), `mean` (d,), `feature_mean` of the Fourier features. `nulls` are the statistics' distributions over harmless
    windows, fine enough for alarms at `rate` and above.
    """

    embedder: str
    count: int
    rows: np.ndarray
    vectors: np.ndarray
    distances: np.ndarray
    neighbours: np.ndarray
    clusters: np.ndarray
    centres: np.ndarray
    occupancy: np.ndarray
    mean: np.ndarray
    feature_mean: np.ndarray
    bandwidth: float
    energy_spread: float
    seed: int
    rate: float
    nulls: dict[str, Null]

    @cached_property
    def usual(self) -> Usual:
        """What novelty is measured against, by cluster."""
        return usual(self.distances, self.clusters, len(self.centres))

    @property
    def summary(self) -> Summary:
        """All `count` rows, as the statistics of the mix compare with them."""
        return Summary(self.mean, self.feature_mean, self.occupancy)

    @property
    def q95(self) -> float:
        """Distance below which 95 % of the reference is from its own nearest neighbour."""
        return self.usual.limit

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything as arrays of numbers and strings, for an npz file without pickle."""
        arrays = {name: np.asarray(getattr(self, name)) for name in (*_SCALARS, *_ARRAYS)}
        arrays |= {f"null/{name}/{part}": getattr(null, part) for name, null in self.nulls.items() for part in _NULL_PARTS}
        return {name: np.asarray(value) for name, value in formats.stamp("drift_reference", arrays).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """The reference of such arrays. Raises InvalidInput when one is missing, NewerFormat.

        One by an earlier release lacks the neighbours, and the distributions of statistics that came since: it is calibrated anew.
        """
        arrays = formats.read("drift_reference", arrays)
        names = sorted({key.split("/")[1] for key in arrays if key.startswith("null/")})
        try:
            if "neighbours" not in arrays:
                arrays["neighbours"] = nearest_rows(arrays["vectors"])
            values: dict[str, Any] = {name: kind(arrays[name]) for name, kind in _SCALARS.items()}
            values |= {name: arrays[name] for name in _ARRAYS}
            nulls = {name: Null(*(arrays[f"null/{name}/{part}"] for part in _NULL_PARTS)) for name in names}
        except KeyError as error:
            raise InvalidInput(f"no drift reference: the array {error} is missing; build the reference anew") from error
        made = cls(**values, nulls=nulls)
        if nulls and not nulls.keys() >= {*NOVELTY, CONCENTRATION}:
            return replace(made, nulls=nulls | alarm_nulls(made, made.rate))
        return made


def check_unit(vectors: np.ndarray, what: str) -> None:
    """Raise ValueError unless vectors (n, d) are finite and of length 1."""
    if vectors.ndim != 2:
        raise ValueError(f"{what} must be vectors of shape (n, d), not {vectors.shape}")
    for block in row_blocks(vectors, vectors.shape[1]):
        if not np.all(np.abs(np.einsum("ij,ij->i", block, block) - 1) < 1e-3):
            raise ValueError(f"{what} holds vectors that are not finite or not of length 1: normalise the embeddings")


def build_reference(vectors: np.ndarray, embedder_id: str, seed: int = 0, rate: float = FINEST_RATE) -> Reference:
    """The reference of unit vectors (count, d), calibrated for alarms at `rate` and above.

    Time is linear in `count` and extra memory bounded: at most `CAP` rows, a random sample, are compared with each other.
    `embedder_id` names model and checksum. Raises ValueError on fewer than 2 vectors and on vectors that are not of length 1.
    """
    check_unit(vectors, "the reference")
    count = len(vectors)
    if count < 2:
        raise ValueError(f"a reference needs at least 2 vectors, got {count}")
    rows = np.arange(count)
    if count > CAP:
        rows = np.sort(np.random.default_rng(seed).choice(count, CAP, replace=False))
    sample = np.ascontiguousarray(vectors[rows], dtype=np.float32)
    centres = fit_centres(sample, max(1, min(CLUSTERS, len(sample) // 12)), seed)
    bandwidth = median_distance(sample)
    mean, feature_mean = np.zeros(vectors.shape[1]), np.zeros(2 * FREQUENCIES)
    occupancy = np.zeros(len(centres), dtype=np.int64)
    for block in row_blocks(vectors, 2 * FREQUENCIES):
        mean += block.sum(axis=0, dtype=np.float64)
        feature_mean += fourier_features(block, bandwidth, seed).sum(axis=0, dtype=np.float64)
        occupancy += np.bincount(assign(block, centres), minlength=len(centres))
    mean /= count
    feature_mean /= count
    clusters, distances, neighbours = assign(sample, centres), leave_one_out_distances(sample), nearest_rows(sample)
    compared = sample[energy_rows(len(sample), seed)]
    features = fourier_features(sample, bandwidth, seed)
    nulls = mix_nulls(sample, features, clusters, count, Summary(mean, feature_mean, occupancy), seed) | energy_nulls(
        sample, clusters, seed
    )
    made = Reference(
        embedder=embedder_id,
        count=count,
        rows=rows,
        vectors=sample,
        distances=distances,
        neighbours=neighbours,
        clusters=clusters,
        centres=centres,
        occupancy=occupancy,
        mean=mean,
        feature_mean=feature_mean,
        bandwidth=bandwidth,
        energy_spread=mean_distance(compared, compared),
        seed=seed,
        rate=rate,
        nulls=nulls,
    )
    return replace(made, nulls=alarm_nulls(made, rate) | nulls)


def alarm_nulls(reference: Reference, rate: float) -> dict[str, Null]:
    """Distributions of the statistics that raise alarms, fine enough for alarms at `rate`."""
    known, clusters, seed = reference.usual, reference.clusters, reference.seed
    scores = novelty_scores(known, reference.distances, clusters)
    novelty = novelty_nulls(scores, clusters, mix_spread(known, clusters), rate, seed)
    return novelty | concentration_nulls(reference.neighbours, clusters, rate, seed)


def calibrated_for(reference: Reference, rate: float) -> Reference:
    """The reference, with the statistics that raise alarms calibrated anew when `rate` needs more draws than it was built with."""
    if draws_needed(rate) <= draws_needed(reference.rate):
        return reference
    return replace(reference, rate=rate, nulls=reference.nulls | alarm_nulls(reference, rate))


def same_space(reference: Reference, embedder_id: str) -> bool:
    """Whether vectors of this embedder (model and checksum) may be compared with the reference."""
    return reference.embedder == embedder_id
