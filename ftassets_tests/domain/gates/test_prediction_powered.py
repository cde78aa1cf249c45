"""The estimate of ppi-python, and bounds that hold for few labels and rare disagreement.

The figures of ppi-python are those of version 0.2.3, which needs numba and statsmodels: too much to install for four numbers.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from ftassets.domain.gates.prediction_powered import (
    Judged,
    as_on_other_pairs,
    judged_bounds,
    labels_to_decide,
    labels_to_halve,
    rows_to_decide,
    rows_to_halve,
    weight_of,
)

JUDGE = [1.0] * 18 + [-1.0] * 14 + [0.0] * 8
PEOPLE = [1.0] * 14 + [-1.0] * 2 + [0.0] * 2 + [-1.0] * 10 + [1.0] * 3 + [0.0] * 6 + [1.0] + [-1.0] * 2
UNLABELLED = [1.0] * 70 + [-1.0] * 50 + [0.0] * 30


def own(weight: float, times: int = 1, same: int = 0) -> Judged:
    return Judged(tuple(UNLABELLED * times), tuple(zip(JUDGE, PEOPLE, strict=True)) * times, same=same, weight=weight)


# ppi_mean_pointestimate(PEOPLE, JUDGE, UNLABELLED, lam=weight), ppi_mean_ci(..., alpha=0.1)
@pytest.mark.parametrize(
    ("weight", "value", "low", "high"), [(0.0, 0.1, -0.1312, 0.3312), (0.6, 0.12, -0.0800, 0.3200), (1.0, 0.1333333, -0.1077, 0.3743)]
)
def test_the_estimate_is_that_of_ppi_python_and_the_interval_holds_its(weight: float, value: float, low: float, high: float) -> None:
    found = judged_bounds(own(weight), 0.0, 0.95)
    assert found.value == pytest.approx(value)
    assert found.lower < low
    assert found.upper > high


def test_with_many_labels_and_rows_the_interval_is_that_of_ppi_python() -> None:
    found = judged_bounds(own(0.6, times=50), 0.0, 0.95)  # ppi_mean_ci of everything 50 times: 0.0917 to 0.1483
    assert (found.lower, found.upper) == (pytest.approx(0.0917, abs=0.002), pytest.approx(0.1483, abs=0.002))


def test_the_weight_is_that_of_ppi_python() -> None:
    assert weight_of(list(zip(JUDGE, PEOPLE, strict=True)), 40, 150) == pytest.approx(0.4657, abs=0.005)  # its lam=None
    assert weight_of([], 50, 50) == 0.5
    assert weight_of([(1.0, -1.0)] * 20, 50, 50) == 0
    assert weight_of([(1.0, 1.0)] * 20, 50, 0) == 0


def test_equal_answers_are_rows_without_a_difference() -> None:
    half = judged_bounds(own(0.6, same=190), 0.0, 0.95)
    assert half.value == pytest.approx(0.06)
    assert half.upper < judged_bounds(own(0.6), 0.0, 0.95).upper


SIDES = np.array([-1.0, 0.0, 1.0])
SYMMETRIC = [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]]  # what people prefer, by the judge's choice: -1, 0, 1
ONE_SIDED = [[1, 0, 0], [0.05, 0.95, 0], [0.05, 0, 0.95]]
EXACT = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
TIES = [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]]  # where the judge calls a tie, people often prefer production
FAVOURS = [[1, 0, 0], [0.4, 0.6, 0], [0.2, 0.5, 0.3]]  # the judge favours the candidate
SILENT = [[1, 0, 0], [0.3, 0.4, 0.3], [0, 0, 1]]


def drawn(rng: np.random.Generator, rows: int, labels: int, choices: Sequence[float], people: Sequence[Sequence[float]]) -> Judged:
    """A judge that chooses so, and people who prefer so for each of its choices, on rows of which some are labelled."""
    table = rng.multinomial(labels, (np.asarray(choices)[:, None] * np.asarray(people)).ravel())
    labelled = tuple(pair for pair, often in zip(product(SIDES, SIDES), table.tolist(), strict=True) for _ in range(often))
    return Judged(tuple(np.repeat(SIDES, rng.multinomial(rows - labels, choices)).tolist()), labelled, weight=0.5)


@pytest.mark.parametrize(
    ("rows", "labels", "choices", "people"),
    [
        (100, 30, (0.1, 0.5, 0.4), SYMMETRIC),
        (60, 30, (0.0, 0.98, 0.02), ONE_SIDED),
        (300, 40, (0.02, 0.98, 0.0), EXACT),
        (100, 30, (0.2, 0.4, 0.4), TIES),
        (60, 60, (0.0, 0.2, 0.8), FAVOURS),
        (60, 30, (0.0, 1.0, 0.0), SILENT),
    ],
)
def test_bounds_hold_with_few_labels_and_rare_disagreement_and_a_judge_that_takes_sides(
    rows: int, labels: int, choices: Sequence[float], people: Sequence[Sequence[float]]
) -> None:
    rng, draws, missed = np.random.default_rng(0), 150, np.zeros(2)
    truth = float((np.asarray(choices) @ np.asarray(people)) @ SIDES)
    for _ in range(draws):
        found = judged_bounds.__wrapped__(drawn(rng, rows, labels, choices, people), 0.0, 0.95)
        missed += found.lower > truth, found.upper < truth
    assert max(missed) / draws <= 0.05 + 3 * (0.05 * 0.95 / draws) ** 0.5


def test_p_values_are_below_the_error_where_bounds_clear_the_limit() -> None:
    for limit in (-0.2, 0.0, 0.1):
        found = judged_bounds(own(0.6, times=3), limit, 0.95)
        assert (found.p_above < 0.05) == (found.lower > limit)
        assert (found.p_below < 0.05) == (found.upper < limit)


def test_as_many_labels_as_said_halve_the_interval() -> None:
    judged = Judged(tuple([1.0] * 3000 + [-1.0] * 1000), ((1.0, 1.0),) * 30 + ((1.0, -1.0),) * 8 + ((-1.0, -1.0),) * 12, weight=0.6)
    labels = labels_to_halve(judged, 0.95)
    assert labels is not None
    times = labels / len(judged.labelled)
    more = [
        pair
        for pair, often in ((judged.labelled[0], 30), (judged.labelled[30], 8), (judged.labelled[38], 12))
        for _ in range(round(times * often))
    ]
    after = Judged(judged.rows[: judged.differing - len(more)], tuple(more), weight=0.6)
    assert judged_bounds(after, 0.0, 0.95).width == pytest.approx(judged_bounds(judged, 0.0, 0.95).width / 2, rel=0.1)


def test_where_labels_do_not_halve_it_rows_do() -> None:
    judged = Judged((), ((1.0, 1.0),) * 30 + ((1.0, -1.0),) * 10 + ((0.0, 0.0),) * 10)
    assert labels_to_halve(judged, 0.95) is None
    rows = rows_to_halve(judged, 0.95)
    assert rows is not None
    times = round(rows / 50)
    assert judged_bounds(Judged((), judged.labelled * times), 0.0, 0.95).width == pytest.approx(
        judged_bounds(judged, 0.0, 0.95).width / 2, rel=0.1
    )


def told(rng: np.random.Generator, rows: int, labels: int, joint: np.ndarray, weight: float) -> bool:
    """Whether a sample of such choices, (3, 3) shares of judge by people, gives a verdict against 0."""
    one = drawn(rng, rows, labels, joint.sum(axis=1), joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-12))
    found = judged_bounds.__wrapped__(Judged(one.rows, one.labelled, weight=weight), 0.0, 0.95)
    return bool(found.lower > 0 or found.upper < 0)


def shares_of(pairs: Sequence[tuple[float, float]]) -> np.ndarray:
    table = np.zeros((3, 3))
    for judge, people in pairs:
        table[int(judge) + 1, int(people) + 1] += 1
    return table / len(pairs)


LABELLED = ((1.0, 1.0),) * 18 + ((1.0, -1.0),) * 4 + ((-1.0, -1.0),) * 6 + ((0.0, 1.0),) * 4 + ((0.0, -1.0),) * 2 + ((0.0, 0.0),) * 6


def test_as_many_labels_as_said_decide() -> None:
    rest = tuple([1.0] * 110 + [-1.0] * 40 + [0.0] * 50)
    judged = Judged(rest, LABELLED, weight=0.5)
    needed = labels_to_decide(judged, 0.0, 0.95)
    assert needed is not None
    assert 40 < needed < 240
    rng, joint = np.random.default_rng(1), shares_of(LABELLED)
    assert 68 <= sum(told(rng, 240, needed, joint, 0.5) for _ in range(100)) <= 94
    assert labels_to_decide(Judged((), LABELLED), 0.0, 0.95) is None, "all rows are labelled"


def test_as_many_rows_as_said_decide_once_all_are_labelled() -> None:
    judged = Judged((), LABELLED)
    needed = rows_to_decide(judged, 0.0, 0.95)
    assert needed is not None
    assert needed > 40
    rng, joint = np.random.default_rng(2), shares_of(LABELLED)
    assert 68 <= sum(told(rng, needed, needed, joint, 0.5) for _ in range(100)) <= 94
    assert rows_to_decide(Judged((), ((0.0, 0.0),) * 9), 0.0, 0.95) is None
    assert rows_to_decide(Judged((), ()), 0.0, 0.95) is None


def test_labels_on_other_pairs_plan_those_on_these_answers() -> None:
    others = [(1.0, 1.0)] * 40 + [(1.0, -1.0)] * 8 + [(0.0, 1.0)] * 6 + [(0.0, 0.0)] * 6
    choices = [1.0] * 120 + [-1.0] * 60 + [0.0] * 20
    expected = as_on_other_pairs(choices, others, 30, same=50)
    table = shares_of(expected.labelled)
    assert table[2, 2] / table[2].sum() == pytest.approx(40 / 48, abs=0.01)
    assert table[0, 0] / table[0].sum() == pytest.approx(40 / 48, abs=0.02)
    assert table[1, 0] == table[1, 2], "where the judge calls a tie, people prefer either answer alike"
    assert (expected.n, expected.same, expected.weight) == (250, 50, weight_of(others, 30, 170))
    needed = labels_to_decide(expected, 0.0, 0.95, 30)
    assert needed is not None
    rng = np.random.default_rng(3)
    assert 68 <= sum(told(rng, 200, needed, table, expected.weight) for _ in range(100)) <= 96
    assert as_on_other_pairs([1.0, -1.0, 0.0], [], 3, 0).labelled == ((-1.0, -1.0), (0.0, 0.0), (1.0, 1.0))
