"""What a statistic does on harmless windows: drawn from the reference itself, for each size of window."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift.concentration import CONCENTRATION, concentration_of_draws
from ftassets.domain.drift.energy import energy_of_draws, energy_rows, euclidean
from ftassets.domain.drift.mix_statistics import MIX, Summary
from ftassets.domain.drift.novelty import NOVELTY, Usual

SIZES = (10, 20, 50, 100, 200, 500, 1000)
JITTER = 5.0  # Dirichlet concentration per cluster: how much a harmless mix may differ from the reference's own
MIX_DRAWS = 1000
ENERGY_DRAWS = 400


@dataclass(frozen=True)
class Null:
    """Distribution of one statistic over harmless windows: `quantiles` (sizes, tails) exceeded with probability `tails` (ascending)."""

    sizes: np.ndarray
    tails: np.ndarray
    quantiles: np.ndarray

    def _at(self, n: int) -> np.ndarray:
        # 1/sqrt(n): exact for a mean's spread, and an upper bound for what falls like 1/n. Larger windows than the largest size
        # are judged by it, which errs to the quiet side.
        place = float(np.interp(-1 / np.sqrt(n), -1 / np.sqrt(self.sizes), np.arange(len(self.sizes))))
        low = int(place)
        high = min(low + 1, len(self.sizes) - 1)
        return self.quantiles[low] + (place - low) * (self.quantiles[high] - self.quantiles[low])

    def threshold(self, n: int, rate: float) -> float:
        """Value that a harmless window of n queries exceeds with probability `rate`; n at least the smallest size."""
        return float(np.interp(np.log(rate), np.log(self.tails), self._at(n)))

    def p_value(self, n: int, value: float) -> float:
        """Share of harmless windows of n queries at or above `value`, rounded up to the next of `tails`; never zero."""
        reached = int(np.searchsorted(-self._at(n), -value, side="right"))
        return float(self.tails[min(reached, len(self.tails) - 1)]) if reached else float(self.tails[0])


def null_of(draws: list[np.ndarray], sizes: list[int]) -> Null:
    """The distribution from draws (number,) of each size, from all of them down to the largest single one."""
    number = len(draws[0])
    tails = np.geomspace(1 / number, 1, 120)
    # "higher" so that no more than the stated share lies above, where values are few
    return Null(np.array(sizes), tails, np.stack([np.quantile(column, 1 - tails, method="higher") for column in draws]))


def calibrated_sizes(rows: int, share: float = 0.5) -> list[int]:
    """Window sizes that leave at least 1 - `share` of the rows to compare with."""
    return [size for size in SIZES if size <= rows * share]


def draws_needed(rate: float) -> int:
    """Draws for a threshold at a quarter of `rate`: about five of them lie above it."""
    return int(min(max(np.ceil(20 / rate), 4000), 200_000))


def harmless_windows(
    clusters: np.ndarray, n: int, draws: int, rng: np.random.Generator, jitter: float | None = JITTER
) -> Iterator[np.ndarray]:
    """Rows (block, n) of windows that only differ in their mix of clusters (m,); blocks bound the memory.

    Cluster shares are Dirichlet(jitter * k * share), without jitter the reference's own. Rows are drawn with replacement.
    """
    order = np.argsort(clusters, kind="stable")
    _, starts, counts = np.unique(clusters[order], return_index=True, return_counts=True)
    share = counts / counts.sum()
    for block in np.array_split(np.arange(draws), max(1, draws * n // 1_000_000)):
        weights = share if jitter is None else rng.dirichlet(jitter * len(counts) * share, size=len(block))
        sizes = rng.multinomial(n, weights, size=len(block))
        drawn = np.repeat(np.tile(np.arange(len(counts)), len(block)), sizes.ravel())
        rows = starts[drawn] + (rng.random(len(drawn)) * counts[drawn]).astype(np.int64)
        yield order[rows].reshape(len(block), n)


def mix_spread(known: Usual, clusters: np.ndarray) -> np.ndarray:
    """Standard deviation (columns,) by which a harmless mix of clusters moves novelty that is not standardised.

    Of a mean whose weights are Dirichlet(a * share): the variance between clusters divided by a + 1.
    """
    share = np.bincount(clusters, minlength=len(known.by_cluster)) / len(clusters)
    between = share @ (known.by_cluster - known.overall) ** 2
    return np.sqrt(between / (JITTER * np.count_nonzero(share) + 1))


def novelty_draws(scores: np.ndarray, clusters: np.ndarray, spread: np.ndarray, n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Novelty statistics (draws, columns as `NOVELTY`) of harmless windows, from the scores (m, columns) of leave-one-out distances.

    Deviations are widened by sqrt(1 + n / m): a fresh window differs from the reference's mean by that mean's own error, too. And by
    `spread` (`mix_spread`): topics finer than the clusters are mixed otherwise too, which standardising by cluster does not take out.
    """
    drawn = np.concatenate([scores[rows].mean(axis=1) for rows in harmless_windows(clusters, n, draws, rng)])
    centre = scores.mean(axis=0)
    return centre + (drawn - centre) * np.sqrt(1 + n / len(scores)) + rng.normal(size=drawn.shape) * spread


def novelty_nulls(scores: np.ndarray, clusters: np.ndarray, spread: np.ndarray, rate: float, seed: int) -> dict[str, Null]:
    """Distributions of the novelty statistics, fine enough for alarms at `rate` shared by them; arguments as for `novelty_draws`."""
    rng, sizes, draws = np.random.default_rng(seed), calibrated_sizes(len(scores)), draws_needed(rate)
    by_size = [novelty_draws(scores, clusters, spread, n, draws, rng) for n in sizes]
    return {name: null_of([drawn[:, column] for drawn in by_size], sizes) for column, name in enumerate(NOVELTY)} if sizes else {}


def concentration_draws(neighbours: np.ndarray, clusters: np.ndarray, n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Concentration (draws,) of harmless windows of n rows, each against the rest of the reference; `neighbours` (m, NEIGHBOURS)."""
    return np.concatenate([concentration_of_draws(neighbours, rows) for rows in harmless_windows(clusters, n, draws, rng)])


def concentration_nulls(neighbours: np.ndarray, clusters: np.ndarray, rate: float, seed: int) -> dict[str, Null]:
    """Distribution of the concentration, as fine as those of `novelty_nulls`."""
    rng, sizes, draws = np.random.default_rng(seed), calibrated_sizes(len(clusters)), draws_needed(rate)
    by_size = [concentration_draws(neighbours, clusters, n, draws, rng) for n in sizes]
    return {CONCENTRATION: null_of(by_size, sizes)} if sizes else {}


def mix_draws(
    vectors: np.ndarray,
    features: np.ndarray,
    clusters: np.ndarray,
    count: int,
    whole: Summary,
    n: int,
    draws: int,
    rng: np.random.Generator,
    jitter: float | None = JITTER,
) -> dict[str, np.ndarray]:
    """Each statistic of `MIX`, (draws,), of harmless windows against the rest of the reference.

    `vectors` (m, d), Fourier `features` (m, f) and `clusters` (m,) are of the sample that is drawn from; `whole` is the reference of
    `count` queries, the sample included. Drawing with replacement makes the thresholds a little too high (by n / m of the variance),
    never too low.
    """
    from scipy.sparse import csr_array

    both = np.concatenate([vectors, features, np.eye(len(whole.counts), dtype=np.float32)[clusters]], axis=1)
    parts = []
    for rows in harmless_windows(clusters, n, draws, rng, jitter):
        chosen = csr_array((np.full(rows.size, 1 / n, np.float32), rows.ravel(), np.arange(0, rows.size + 1, n)), (len(rows), len(both)))
        mean, feature_mean, share = np.split(chosen @ both, [vectors.shape[1], vectors.shape[1] + features.shape[1]], axis=1)
        windows = Summary(mean, feature_mean, share * n)
        rest = whole.without(count, windows, n)
        parts.append({name: statistic(windows, rest) for name, statistic in MIX.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in MIX}


def mix_nulls(vectors: np.ndarray, features: np.ndarray, clusters: np.ndarray, count: int, whole: Summary, seed: int) -> dict[str, Null]:
    """Distributions of the statistics of `MIX`; arguments as for `mix_draws`."""
    rng, sizes = np.random.default_rng(seed), calibrated_sizes(len(vectors))
    by_size = [mix_draws(vectors, features, clusters, count, whole, n, MIX_DRAWS, rng) for n in sizes]
    return {name: null_of([drawn[name] for drawn in by_size], sizes) for name in MIX} if sizes else {}


def energy_nulls(vectors: np.ndarray, clusters: np.ndarray, seed: int) -> dict[str, Null]:
    """Distribution of the energy distance; windows of at most a quarter of the rows it compares with."""
    chosen = energy_rows(len(vectors), seed)
    rng, sizes = np.random.default_rng(seed), calibrated_sizes(len(chosen), 0.25)
    distances = euclidean(vectors[chosen], vectors[chosen])
    by_size = []
    for n in sizes:
        counts = np.zeros((len(chosen), ENERGY_DRAWS), dtype=np.float32)
        rows = np.concatenate(list(harmless_windows(clusters[chosen], n, ENERGY_DRAWS, rng)))
        np.add.at(counts, (rows.ravel(), np.repeat(np.arange(ENERGY_DRAWS), n)), 1)
        by_size.append(energy_of_draws(distances, counts, n))
    return {"energy": null_of(by_size, sizes)} if sizes else {}
