import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ftassets.domain.drift import blocks
from ftassets.domain.drift.energy import energy_distance, energy_of_draws, energy_rows, euclidean, mean_distance
from ftassets_tests.domain.drift.topics import EVEN, NEW, queries

KNOWN_QUERIES, NEW_QUERIES = queries(120, EVEN, 1), queries(80, NEW, 2)


def exact(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * cdist(first, second).mean() - cdist(first, first).mean() - cdist(second, second).mean())


def test_energy_distance_is_the_textbook_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_FLOATS", 1000)
    spread = mean_distance(KNOWN_QUERIES, KNOWN_QUERIES)
    assert energy_distance(NEW_QUERIES, KNOWN_QUERIES, spread) == pytest.approx(exact(NEW_QUERIES, KNOWN_QUERIES), abs=1e-4)
    assert energy_distance(KNOWN_QUERIES, KNOWN_QUERIES, spread) == pytest.approx(0, abs=1e-6)


def test_energy_of_draws_compares_with_the_rest() -> None:
    chosen = np.zeros((120, 2), dtype=np.float32)
    chosen[:30, 0] = chosen[60:90, 1] = 1
    values = energy_of_draws(euclidean(KNOWN_QUERIES, KNOWN_QUERIES), chosen, 30)
    expected = [exact(KNOWN_QUERIES[c == 1], KNOWN_QUERIES[c == 0]) for c in chosen.T]
    assert values == pytest.approx(expected, abs=1e-3)


def test_the_rows_compared_are_always_the_same() -> None:
    assert np.array_equal(energy_rows(50, 1), np.arange(50))
    assert len(np.unique(energy_rows(5000, 1))) == 2000
    assert np.array_equal(energy_rows(5000, 1), energy_rows(5000, 1))
