"""The estimate of ppi-python, and bounds that hold for few labels and rare disagreement.

The figures of ppi-python are those of version 0.2.3, which needs numba and statsmodels: too much to install for four numbers.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from ftassets.domain.gates.prediction_powered import Judged, judged_bounds, labels_to_halve, rows_to_decide, rows_to_halve, weight_of

JUDGE = [1.0] * 18 + [-1.0] * 14 + [0.0] * 8
PEOPLE = [1.0] * 14 + [-1.0] * 2 + [0.0] * 2 + [-1.0] * 10 + [1.0] * 3 + [0.0] * 6 + [1.0] + [-1.0] * 2
UNLABELLED = [1.0] * 70 + [-1.0] * 50 + [0.0] * 30


def own(weight: float, times: int = 1, same: int = 0) -> Judged:
    return Judged(tuple(UNLABELLED * times), tuple(zip(JUDGE, PEOPLE, strict=True)) * times, own=True, same=same, weight=weight)


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


SYMMETRIC = [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]]  # what people prefer, by the judge's choice: -1, 0, 1
ONE_SIDED = [[1, 0, 0], [0.05, 0.95, 0], [0.05, 0, 0.95]]
FAIR = [[0.95, 0.0, 0.05], [0, 1, 0], [0.05, 0, 0.95]]
EXACT = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def coverage(
    own_rows: bool, rows: int, labels: int, choices: Sequence[float], people: Sequence[Sequence[float]], draws: int
) -> tuple[float, float]:
    """Share of samples whose lower bound is above the truth, and whose upper one is below it."""
    rng, sides = np.random.default_rng(0), np.array([-1.0, 0.0, 1.0])
    joint = np.asarray(choices)[:, None] * np.asarray(people)
    truth, missed = float(joint.sum(axis=0) @ sides), np.zeros(2)
    for _ in range(draws):
        table, rest = rng.multinomial(labels, joint.ravel()), rng.multinomial(rows - labels * own_rows, choices)
        labelled = tuple(pair for pair, often in zip(product(sides, sides), table.tolist(), strict=True) for _ in range(often))
        judged = Judged(tuple(np.repeat(sides, rest).tolist()), labelled, own=own_rows, weight=0.5)
        found = judged_bounds.__wrapped__(judged, 0.0, 0.95)
        missed += found.lower > truth, found.upper < truth
    return float(missed[0]) / draws, float(missed[1]) / draws


@pytest.mark.parametrize(
    ("own_rows", "rows", "labels", "choices", "people"),
    [
        (True, 100, 30, (0.1, 0.5, 0.4), SYMMETRIC),
        (True, 60, 30, (0.0, 0.98, 0.02), ONE_SIDED),
        (True, 300, 40, (0.02, 0.98, 0.0), EXACT),
        (False, 100, 30, (0.1, 0.5, 0.4), FAIR),
        (False, 200, 30, (0.0, 0.95, 0.05), EXACT),
        (False, 50, 200, (0.3, 0.0, 0.7), FAIR),
    ],
)
def test_bounds_hold_with_few_labels_and_rare_disagreement(
    own_rows: bool, rows: int, labels: int, choices: Sequence[float], people: Sequence[Sequence[float]]
) -> None:
    for missed in coverage(own_rows, rows, labels, choices, people, 150):
        assert missed <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5


def test_p_values_are_below_the_error_where_bounds_clear_the_limit() -> None:
    for limit in (-0.2, 0.0, 0.1):
        found = judged_bounds(own(0.6, times=3), limit, 0.95)
        assert (found.p_above < 0.05) == (found.lower > limit)
        assert (found.p_below < 0.05) == (found.upper < limit)


def test_as_many_labels_as_said_halve_the_interval() -> None:
    judged = Judged(tuple([1.0] * 3000 + [-1.0] * 1000), ((1.0, 1.0),) * 40 + ((1.0, -1.0),) * 10, own=False)
    labels = labels_to_halve(judged, 0.95)
    assert labels is not None
    more = Judged(judged.rows, ((1.0, 1.0),) * round(0.8 * labels) + ((1.0, -1.0),) * round(0.2 * labels), own=False)
    before, after = (judged_bounds(each, 0.0, 0.95).width for each in (judged, more))
    assert after == pytest.approx(before / 2, rel=0.1)


def test_where_labels_do_not_halve_it_rows_do() -> None:
    judged = Judged(tuple([1.0] * 20 + [-1.0] * 10), ((1.0, 1.0),) * 400 + ((1.0, -1.0),) * 40, own=False)
    assert labels_to_halve(judged, 0.95) is None
    rows = rows_to_halve(judged, 0.95)
    assert rows is not None
    assert 90 <= rows <= 160


def test_rows_that_decide() -> None:
    judged = Judged(tuple([1.0] * 14 + [-1.0] * 10 + [0.0] * 10), ((1.0, 1.0),) * 200 + ((1.0, -1.0),) * 20, own=False)
    needed = rows_to_decide(judged, 0.0, 0.95)
    assert needed is not None
    rng, told = np.random.default_rng(1), 0
    for _ in range(100):
        drawn = rng.choice(judged.rows, needed)
        told += judged_bounds.__wrapped__(Judged(tuple(drawn.tolist()), judged.labelled, own=False), 0.0, 0.95).lower > 0
    assert 68 <= told <= 92
    assert rows_to_decide(Judged((0.0,) * 9, judged.labelled, own=False), 0.0, 0.95) is None
