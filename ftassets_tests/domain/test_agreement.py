"""Agreement beyond chance against definitions written out, and how often its intervals hold."""

from itertools import permutations

import numpy as np
import pytest

from ftassets.domain.agreement import agreeing, kappa, krippendorff

KINDS = [(True, True, True), (True, False, False), (False, False, False), (False, True, False), (False, False, True)]


def cohen(counts: list[int]) -> float:
    """Kappa of a table of first, tie and second in which each row is counted both ways."""
    both, same, opposite, mine, theirs = (count / 2 for count in counts)
    table = np.array([[same, mine * 0 + theirs, opposite], [mine, 2 * both, mine], [opposite, theirs, same]])
    table = table / table.sum()
    chance = float(table.sum(axis=1) @ table.sum(axis=0))
    return (float(np.trace(table)) - chance) / (1 - chance)


def test_kappa_is_cohens_on_the_table_that_counts_each_row_both_ways() -> None:
    for counts in ([2, 20, 6, 0, 2], [0, 30, 10, 5, 3], [10, 10, 10, 10, 10]):
        found = kappa(dict(zip(KINDS, counts, strict=True)))
        assert found is not None
        assert found[0] == pytest.approx(cohen(counts))
        assert -1 <= found[1] < found[0] < found[2] <= 1


def test_kappa_of_nothing_and_of_ties_alone_is_not_known() -> None:
    assert kappa({}) is None
    assert kappa({KINDS[0]: 40}) is None


@pytest.mark.parametrize(
    "shares",
    [(0, 0.95, 0.05, 0, 0), (0, 0.8, 0.2, 0, 0), (0.1, 0.7, 0.1, 0.05, 0.05), (0.02, 0.96, 0.0, 0.02, 0.0), (0, 1, 0, 0, 0)],
)
def test_the_interval_of_kappa_holds_for_few_rows_and_rare_disagreement(shares: tuple[float, ...]) -> None:
    true = kappa(dict(zip(KINDS, [round(1000 * share) for share in shares], strict=True)))
    assert true is not None
    rng = np.random.default_rng(0)
    counts, times = np.unique(rng.multinomial(30, shares, size=200), axis=0, return_counts=True)
    missed = [0, 0]
    for each, often in zip(counts.tolist(), times.tolist(), strict=True):
        found = kappa(dict(zip(KINDS, each, strict=True)))
        assert found is not None
        missed[0] += often * (found[1] > true[0] + 1e-9)
        missed[1] += often * (found[2] < true[0] - 1e-9)
    assert max(missed) / 200 <= 0.025 + 3 * (0.025 * 0.975 / 200) ** 0.5


def test_krippendorffs_alpha_is_the_one_of_his_own_example() -> None:
    """Nominal data with missing values, binary: Krippendorff 2011, example A, alpha 0.095."""
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    found = krippendorff([[bool(a), bool(b)] for a, b in zip(first, second, strict=True)])
    assert found is not None
    assert found[0] == pytest.approx(0.095, abs=0.001)
    assert found[1] < 0.095 < found[2]


def test_alpha_with_any_number_of_raters_by_pairs_of_values() -> None:
    rows = [[True, True, False], [True, True], [False, False], [True, False], [True], [True, True, True]]
    values = [value for row in rows if len(row) > 1 for value in row]
    n = len(values)
    observed = sum(sum(a != b for a, b in permutations(row, 2)) / (len(row) - 1) for row in rows if len(row) > 1) / n
    expected = sum(a != b for a, b in permutations(values, 2)) / (n * (n - 1))
    found = krippendorff(rows)
    assert found is not None
    assert found[0] == pytest.approx(1 - observed / expected)
    assert agreeing(rows) == (6, 9)


def test_alpha_of_one_rater_or_of_one_word_is_not_known() -> None:
    assert krippendorff([[True], [False]]) is None
    assert krippendorff([[True, True]] * 30) is None
    assert agreeing([[True]]) == (0, 0)


@pytest.mark.parametrize(("good", "same"), [(0.5, 0.8), (0.9, 0.6), (0.98, 0.9)])
def test_the_interval_of_alpha_holds(good: float, same: float) -> None:
    """Two raters: the second copies the first one's word with the chance `same`, else says yes with the chance `good` again."""
    rng = np.random.default_rng(0)
    missed = [0, 0]
    for _ in range(300):
        first = rng.random(60) < good
        second = np.where(rng.random(60) < same, first, rng.random(60) < good)
        found = krippendorff(np.stack([first, second], axis=1).tolist())
        if found is not None:
            missed[0] += found[1] > same  # alpha is the share that is copied
            missed[1] += found[2] < same
    assert max(missed) / 300 <= 0.025 + 3 * (0.025 * 0.975 / 300) ** 0.5
