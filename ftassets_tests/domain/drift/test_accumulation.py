"""Evidence over windows, against the densities of scipy and simulations that know nothing of our formulas."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from ftassets.domain.drift import Comparison, DriftVerdict, Reference, compare, not_enough_data
from ftassets.domain.drift.accumulation import (
    EVIDENCE,
    KEPT,
    LOWEST,
    SHIFTS,
    Evidence,
    Spread,
    WindowEvidence,
    accumulated,
    evidence,
    spread,
    standard_score,
    window_evidence,
    with_evidence,
)
from ftassets.domain.drift.budget import WINDOWS_PART, evidence_limit, false_alarms_expected
from ftassets.domain.drift.novelty import nearest_distances
from ftassets.domain.drift.occupancy import assign
from ftassets_tests.domain.drift.topics import EVEN, KNOWN, queries

SPREAD = Spread(lasting=0.0004, passing=0.0007)


def windows(scores: list[float], n: int = 500) -> list[WindowEvidence]:
    return [WindowEvidence(float(day), day + 1.0, n, z) for day, z in enumerate(scores)]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(-2, 4), st.integers(50, 1000)), min_size=1, max_size=8), st.floats(0, 0.01), st.floats(0, 0.01))
def test_evidence_is_the_ratio_of_normal_densities(seen: list[tuple[float, int]], lasting: float, passing: float) -> None:
    made = [WindowEvidence(float(i), i + 1.0, n, z) for i, (z, n) in enumerate(seen)]
    best = 0.0
    for start in range(len(made)):
        some = made[start:]
        own = np.array([passing + 1 / each.queries for each in some])
        x = np.array([each.z for each in some]) * np.sqrt(own + lasting)
        covariance = np.diag(own) + lasting
        usual = multivariate_normal(np.zeros(len(some)), covariance)
        ratios = [math.exp(multivariate_normal(np.full(len(some), d), covariance).logpdf(x) - usual.logpdf(x)) for d in SHIFTS]
        best = max(best, float(np.mean(ratios)))
    assert evidence(made, Spread(lasting, passing)).value == pytest.approx(best, rel=1e-6)


def simulated(rng: np.random.Generator, days: int, n: int, shift: float = 0.0) -> list[WindowEvidence]:
    """Windows whose surprise has one lasting offset and one of each day, as standard scores."""
    own = SPREAD.passing + 1 / n
    x = shift + rng.normal() * math.sqrt(SPREAD.lasting) + rng.normal(size=days) * math.sqrt(own)
    return windows(np.maximum(x / math.sqrt(own + SPREAD.lasting), LOWEST).tolist(), n)


@pytest.mark.parametrize("n", [120, 500])
def test_the_limit_is_reached_in_a_quarter_without_drift_as_seldom_as_stated(n: int) -> None:
    rng, quarters, limit = np.random.default_rng(1), 400, evidence_limit(1, 91)
    reached = 0
    for _ in range(quarters):
        days = simulated(rng, 91, n)
        reached += any(evidence(days[:day], SPREAD).value > limit for day in range(1, 92))
    assert reached / quarters <= 91 / limit + 2 * math.sqrt(0.1 / quarters)
    assert 91 / limit == pytest.approx((1 - WINDOWS_PART) * false_alarms_expected(1), rel=1e-9)


def test_small_shifts_add_up_over_days() -> None:
    rng, limit = np.random.default_rng(2), evidence_limit(1, 91)
    found = [simulated(rng, 12, 500, shift=0.15) for _ in range(200)]
    within = np.array([[evidence(days[:day], SPREAD).value > limit for day in range(1, 13)] for days in found])
    assert within[:, 0].mean() < 0.1, "one window alone does not show it"
    assert within.any(axis=1).mean() > 0.8


def test_evidence_is_for_what_lasts_until_now_and_old_windows_fall_out() -> None:
    risen = windows([0.0] * 20 + [2.0] * 8)
    assert evidence(risen, SPREAD).windows == 8
    assert evidence(windows([2.0] * 8 + [-1.0] * 20), SPREAD).value < 5
    many = windows([3.0] * 5 + [0.0] * KEPT)
    assert evidence(many, SPREAD) == evidence(many[5:], SPREAD)
    assert evidence([], SPREAD) == Evidence(1.0, 0)


@given(st.lists(st.floats(-2, 4), min_size=1, max_size=20), st.floats(-2, 4), st.floats(0.01, 2))
def test_evidence_rises_with_the_newest_score(scores: list[float], newest: float, more: float) -> None:
    low, high = (evidence(windows([*scores, each]), SPREAD).value for each in (newest, newest + more))
    assert high >= low > 0


def test_a_standard_score_is_exceeded_as_often_as_the_p_value_says() -> None:
    draws = np.random.default_rng(0).normal(size=200_000)
    for p in (0.4, 0.05, 0.001):
        assert (draws > standard_score(p)).mean() == pytest.approx(p, rel=0.1)
    assert standard_score(1.0) == LOWEST


def test_spread_is_that_of_windows_drawn_from_the_reference(reference: Reference) -> None:
    found, mixes = spread(reference), np.random.default_rng(0)
    assert found.lasting >= 1 / len(reference.vectors)
    assert 0 < found.passing < 0.1
    scores = []
    for seed in range(200):
        weights = mixes.dirichlet(np.full(KNOWN, 5.0))
        window = queries(200, weights, seed + 900)
        distances, clusters = nearest_distances(window, reference.vectors), assign(window, reference.centres)
        scores.append(window_evidence(reference, distances, clusters, 0.0, 1.0).z)
    assert np.mean(scores) == pytest.approx(0.0, abs=0.3)
    assert np.std(scores) < 1.1


@given(st.lists(st.tuples(st.floats(-300, 0), st.floats(1, 300)), min_size=1, max_size=8))
def test_overlapping_windows_count_each_query_once(reference: Reference, spans: list[tuple[float, float]]) -> None:
    """Windows end one after the other, some of them begin before the last one ended, and each holds the queries of its span."""
    times = np.arange(-300.0, 2400.0, 2.0)
    distances, clusters = np.resize(reference.distances, len(times)), np.resize(reference.clusters, len(times))
    made: tuple[WindowEvidence, ...] = ()
    end = 0.0
    for back, length in spans:
        begin, end = end + back, end + length
        inside = (times >= begin) & (times < end)
        window = Comparison(DriftVerdict.QUIET, "", distances=distances[inside], clusters=clusters[inside])
        made = accumulated(reference, window, times[inside].tolist(), begin, end, 20, made)
    assert all(first.until <= second.begin for first, second in pairwise(made))
    assert all(each.queries >= 20 for each in made)
    assert all(each.queries == ((times >= each.begin) & (times < each.until)).sum() for each in made)


def test_evidence_above_the_limit_makes_a_quiet_window_an_alarm(reference: Reference) -> None:
    quiet = compare(reference, queries(200, EVEN, 10), 0.01, smallest=50)
    assert quiet.verdict is DriftVerdict.QUIET
    below, above = (with_evidence(quiet, Evidence(value, 7), 848.0) for value in (12.0, 1000.0))
    assert (below.verdict, below.reason) == (DriftVerdict.QUIET, f"{quiet.reason}; {EVIDENCE} 12, threshold 848")
    assert (above.verdict, above.reason) == (DriftVerdict.ALARM, f"{EVIDENCE} 1e+03 is above 848")
    assert above.is_new.startswith("Yes: the queries of the last 7 windows together")
    assert [s.alarm for s in above.statistics] == [False] * len(quiet.statistics) + [True]
    empty = with_evidence(not_enough_data("no queries"), Evidence(2.0, 1), 848.0)
    assert (empty.verdict, empty.reason) == (DriftVerdict.NOT_ENOUGH_DATA, "no queries")
