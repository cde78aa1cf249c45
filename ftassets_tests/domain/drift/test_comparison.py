"""Windows of synthetic topics against a reference of half of them."""

from dataclasses import replace

import numpy as np
import pytest

from ftassets.domain.drift import Comparison, DriftVerdict, Reference, build_reference, by_fixed_rule, compare, novelty_statistics
from ftassets_tests.domain.drift.topics import ALL, EVEN, KNOWN, NEW, queries, topics

RATE = 0.01


def compared(reference: Reference, window: np.ndarray) -> Comparison:
    return compare(reference, window, RATE, smallest=50)


def test_quiet_on_more_of_the_same(reference: Reference) -> None:
    results = [compared(reference, queries(200, EVEN, seed)) for seed in range(10, 30)]
    assert sum(r.verdict is DriftVerdict.ALARM for r in results) <= 1
    assert sum(r.mix_changed.startswith("No") for r in results) >= 18
    assert all(r.is_new.startswith("Yes") == (r.verdict is DriftVerdict.ALARM) for r in results)


def test_quiet_when_only_the_mix_changes(reference: Reference) -> None:
    mixes = [np.where(np.arange(KNOWN) % 4 == part, 3.0, 1.0) for part in range(4)] + [np.linspace(0.2, 2.0, KNOWN)]
    alarms = [compared(reference, queries(200, mix, seed)).verdict is DriftVerdict.ALARM for mix in mixes for seed in range(3)]
    assert sum(alarms) <= 2


@pytest.mark.parametrize("n", [50, 200])
def test_alarm_when_half_the_queries_are_new(reference: Reference, n: int) -> None:
    for seed in range(5):
        result = compared(reference, queries(n, np.ones(ALL), seed))
        assert result.verdict is DriftVerdict.ALARM
        assert "is above" in result.reason
        alarms = [s for s in result.statistics if s.alarm]
        assert [s.name for s in alarms][:3] == ["novelty_mean", "novelty_share", "novelty_surprise"]
        assert all(s.p_value <= 2e-4 for s in alarms)
        assert result.is_new.startswith("Yes")


def test_a_fixed_rule_decides_by_its_own_statistic_alone(reference: Reference) -> None:
    new = compared(reference, queries(200, np.ones(ALL), 1))
    value = next(s.value for s in new.informing if s.name == "centroid_cosine")
    for limit, verdict in ((value + 0.01, DriftVerdict.QUIET), (value - 0.01, DriftVerdict.ALARM)):
        ruled = by_fixed_rule(new, "centroid_cosine", limit)
        assert ruled.verdict is verdict
        assert [s.name for s in ruled.statistics if s.alarm] == (["centroid_cosine"] if verdict is DriftVerdict.ALARM else [])
    few = compared(reference, queries(20, EVEN, 1))
    assert by_fixed_rule(few, "centroid_cosine", 0.0) is few


def test_distances_tell_which_queries_are_new(reference: Reference) -> None:
    result = compared(reference, np.concatenate([queries(60, EVEN, seed=3), queries(40, NEW, seed=4)]))
    assert result.distances.shape == result.clusters.shape == (100,)
    assert result.limit == reference.q95
    assert (result.distances[60:] > result.limit).mean() > 0.9
    assert (result.distances[:60] > result.limit).mean() < 0.15


def test_a_mix_far_from_the_usual_is_told_and_never_alarms(reference: Reference) -> None:
    one_topic = np.where(np.arange(KNOWN) == 7, 1.0, 0.0)
    result = compared(reference, queries(300, one_topic, seed=2))
    assert result.verdict is DriftVerdict.QUIET
    assert result.mix_changed.startswith("Yes: ")
    assert result.is_new.startswith("No: ")
    assert {s.name for s in result.informing} == {"centroid_cosine", "mean_pairwise", "mmd", "psi", "jensen_shannon", "energy"}
    assert all(s.above and s.informs_only and not s.alarm for s in result.informing)


def test_moved_clusters_are_those_of_the_topic_that_grew(reference: Reference) -> None:
    weights = np.where(np.arange(KNOWN) == 7, 20.0, 1.0)
    result = compared(reference, queries(400, weights, seed=2))
    window_topics = topics(400, weights, seed=2)
    grown = [m for m in result.moved if m.window_share > m.reference_share]
    assert grown
    for moved in grown:
        assert (window_topics[result.clusters == moved.cluster] == 7).mean() > 0.9
        assert moved.window_share == pytest.approx((result.clusters == moved.cluster).mean())
    parts = [m.contribution for m in result.moved]
    assert parts == sorted(parts, reverse=True)
    assert compared(reference, queries(400, EVEN, seed=2)).moved == ()


def test_too_few_queries_are_not_enough_data(reference: Reference) -> None:
    result = compared(reference, queries(49, NEW, seed=1))
    assert result.verdict is DriftVerdict.NOT_ENOUGH_DATA
    assert result.reason == "49 queries in the window, 50 are needed"
    assert (result.statistics, result.informing, len(result.distances), result.limit) == ((), (), 0, None)
    assert compare(reference, queries(9, NEW, seed=1), RATE, smallest=1).verdict is DriftVerdict.NOT_ENOUGH_DATA


def test_a_reference_too_small_to_calibrate_on_is_not_enough_data() -> None:
    result = compare(build_reference(queries(19, EVEN, 1), "model:1"), queries(50, NEW, 2), RATE, smallest=10)
    assert result.verdict is DriftVerdict.NOT_ENOUGH_DATA
    assert "19 queries" in result.reason


def test_a_comparison_can_be_repeated(reference: Reference) -> None:
    window = queries(100, EVEN, seed=9)
    first, second = compared(reference, window), compared(reference, window)
    assert (first.statistics, first.informing, first.reason) == (second.statistics, second.informing, second.reason)


def test_a_huge_window_does_not_alarm_on_next_to_nothing(reference: Reference) -> None:
    few = np.concatenate([reference.distances, np.full(50, 3 * reference.q95)])  # 2.4 % new queries
    large, clusters = np.tile(few, 40), np.tile(np.concatenate([reference.clusters, reference.clusters[:50]]), 40)
    assert all(s.alarm for s in novelty_statistics(reference, large, clusters, 0.05, min_factor=0, min_share=0))
    floored = novelty_statistics(reference, large, clusters, 0.05, min_factor=1.15, min_share=0.08)
    assert [s.name for s in floored if s.alarm] in ([], ["novelty_surprise"])
    mean, share, _ = novelty_statistics(reference, large, clusters, 0.05)
    assert mean.threshold >= 1.0999 * reference.distances.mean()
    assert share.threshold >= 0.075


def test_a_rate_finer_than_the_reference_was_built_for_is_calibrated_anew(reference: Reference) -> None:
    window = queries(100, EVEN, seed=9)
    coarse = replace(reference, rate=0.02)
    fine, usual = compare(reference, window, 0.001, smallest=50), compare(coarse, window, 0.01, smallest=50)
    stored = compare(reference, window, 0.01, smallest=50)
    assert fine.statistics[1].threshold > usual.statistics[1].threshold
    assert usual.statistics[1].threshold == pytest.approx(stored.statistics[1].threshold, abs=0.011)


def test_windows_of_another_kind_are_refused(reference: Reference) -> None:
    with pytest.raises(ValueError, match="64 dimensions"):
        compared(reference, np.eye(64))
    with pytest.raises(ValueError, match="length 1"):
        compared(reference, 3 * queries(60, EVEN, 1))
