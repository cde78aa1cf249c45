import numpy as np
import pytest

from ftassets.domain.drift import (
    Power,
    Reference,
    build_reference,
    novelty_statistics,
    power,
    preset_false_alarm_rates,
    sensitivity,
    smallest_share,
)
from ftassets.domain.drift import reference as reference_module
from ftassets.domain.drift.novelty import nearest_distances
from ftassets.domain.drift.occupancy import assign
from ftassets.domain.drift.sensitivity import SEEN, SHARES, _as_if_unknown, found_over_windows
from ftassets_tests.domain.drift.topics import DIMENSIONS, EVEN, KNOWN, NEW, queries, unit

RATE = 0.01


@pytest.fixture(scope="module")
def by_topic() -> Reference:
    """About one cluster a topic, so that what is left out is as new as a new topic."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_module, "CLUSTERS", KNOWN)
        return build_reference(queries(2000, EVEN, 1), "model:1")


def test_power_without_anything_new_is_no_more_than_the_false_alarm_rate(reference: Reference) -> None:
    assert power(reference, 100, RATE, unseen_share=0.0).probability <= 1.5 * RATE


def test_power_rises_with_the_window_and_with_what_is_new(by_topic: Reference) -> None:
    by_share = [power(by_topic, 100, RATE, share).probability for share in (0.02, 0.05, 0.25)]
    assert by_share == sorted(by_share)
    assert by_share[-1] > 0.9
    assert power(by_topic, 500, RATE, 0.05).probability >= by_share[1]


def test_power_promises_no_more_than_new_topics_alarm(by_topic: Reference) -> None:
    rng = np.random.default_rng(5)
    for share in (0.08, 0.25):
        alarms = []
        for seed in range(100):
            new = rng.random(100) < share
            window = np.where(new[:, None], queries(100, NEW, seed), queries(100, EVEN, seed + 500))
            distances, clusters = nearest_distances(window, by_topic.vectors), assign(window, by_topic.centres)
            alarms.append(any(s.alarm for s in novelty_statistics(by_topic, distances, clusters, RATE)))
        assert 0.2 < power(by_topic, 100, RATE, share).probability <= np.mean(alarms) + 0.05


def test_power_is_that_of_the_nearest_clusters(by_topic: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    nearest = power(by_topic, 100, RATE, 0.1).probability
    monkeypatch.setattr(sensitivity, "NEAR", 0.9)
    assert nearest < power(by_topic, 100, RATE, 0.1).probability


def test_power_is_understated_where_clusters_are_parts_of_topics(by_topic: Reference, reference: Reference) -> None:
    assert len(reference.centres) > 2 * KNOWN
    assert power(reference, 200, RATE, 0.1).probability < power(by_topic, 200, RATE, 0.1).probability


def test_delay_counts_reports_until_enough_alarms_in_a_row(by_topic: Reference) -> None:
    sure = power(by_topic, 500, RATE, 0.5, consecutive=2)
    assert (sure.probability, sure.reports) == (1.0, 2.0)
    assert "50% new topics in windows of 500 queries are seen with probability 1.00, after 2.0 reports" in sure.sentence
    assert "never" in Power(100, 0.1, 0.0, float("inf")).sentence


def test_the_smallest_share_is_the_first_that_is_seen_in_four_windows_of_five(by_topic: Reference) -> None:
    found = smallest_share(by_topic, 200, RATE, draws=40)
    assert found in SHARES
    below = SHARES[max(SHARES.index(found) - 1, 0)]
    assert below == found or power(by_topic, 200, RATE, below, draws=40).probability < SEEN
    assert power(by_topic, 200, RATE, found, draws=40).probability >= SEEN


def test_power_counts_concentrated_topics(by_topic: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = power(by_topic, 500, RATE, 0.03).probability
    monkeypatch.setattr(sensitivity, "concentration_threshold", lambda *_: 2.0)
    assert whole > power(by_topic, 500, RATE, 0.03).probability


def test_power_needs_topics_to_leave_out() -> None:
    with pytest.raises(ValueError, match="two clusters"):
        power(build_reference(queries(20, EVEN, 1), "model:1"), 100, RATE, 0.25)


def test_distances_as_if_the_cluster_were_unknown(reference: Reference) -> None:
    names, distances, clusters = _as_if_unknown(reference)
    assert np.array_equal(names, np.unique(reference.clusters))
    assert (distances >= reference.distances - 1e-6).all()
    assert (clusters != reference.clusters).all()
    for row in (0, 1999):
        others = reference.clusters != reference.clusters[row]
        assert distances[row] == pytest.approx(1 - float((reference.vectors[others] @ reference.vectors[row]).max()), abs=1e-6)
        centre_distances = ((reference.centres - reference.vectors[row]) ** 2).sum(axis=1)
        assert clusters[row] == np.argsort(centre_distances)[1]


def test_evidence_over_windows_finds_what_a_single_one_does_not_and_seldom_what_is_not_there(by_topic: Reference) -> None:
    limit = 100.0
    none, few, more = (found_over_windows(by_topic, 50, limit, share, 10, draws=100) for share in (0.0, 0.02, 0.05))
    assert none <= 10 / limit
    assert none <= few < more
    assert found_over_windows(by_topic, 50, limit, 0.05, 1, draws=100) < more
    assert more == found_over_windows(by_topic, 50, limit, 0.05, 10, draws=100), "the same each time"
    with pytest.raises(ValueError, match="two clusters or more"):
        found_over_windows(build_reference(queries(15, EVEN, 1), "model:1"), 50, limit, 0.1, 10)


def test_fixed_rules_depend_on_the_window(reference: Reference) -> None:
    rates = {n: {r.rule: r for r in preset_false_alarm_rates(reference, n)} for n in (20, 500)}
    assert rates[20]["psi > 0.2"].own_mix > 0.5
    assert rates[500]["psi > 0.2"].own_mix < 0.05
    assert all(0 <= r.own_mix <= 1 and 0 <= r.other_mixes <= 1 for by_rule in rates.values() for r in by_rule.values())
    assert rates[500]["psi > 0.2"].other_mixes > rates[500]["psi > 0.2"].own_mix


def test_the_centroid_rule_depends_on_where_the_vectors_lie() -> None:
    """The same topics in a narrow cone, as some embedders make them: the fixed rule goes silent."""
    cone = np.zeros(DIMENSIONS)
    cone[0] = 3.0
    spread, narrow = (build_reference(unit(queries(600, EVEN, 1) + transition), "model:1") for transition in (0, cone))
    rule = "centroid_cosine > 0.15"
    loud, silent = ({r.rule: r.own_mix for r in preset_false_alarm_rates(each, 20)}[rule] for each in (spread, narrow))
    assert loud > 0.9
    assert silent == 0


def test_fixed_rules_need_something_to_compare_with(reference: Reference) -> None:
    with pytest.raises(ValueError, match="leave too little"):
        preset_false_alarm_rates(reference, 1500)
