"""The simulated canaries are decided as `canary` decides, and most good ones stay."""

from dataclasses import replace

import numpy as np
import pytest

from bench import rollout
from ftassets.config.loop import GuardrailMetric
from ftassets.domain.rollout.guardrails import WINDOW, Failure, e_value, ratios_of

WORSE: list[tuple[GuardrailMetric, float]] = [("errors", 0.01), ("errors", 0.05), ("thumbs_down", 0.3), ("latency", 0.1)]


@pytest.mark.parametrize(("metric", "rate"), WORSE)
def test_the_simulation_has_the_evidence_of_the_rollout(metric: GuardrailMetric, rate: float) -> None:
    requests = rollout.simulated(np.random.default_rng(1), 72, 300, 0.02, {metric: rate})
    first: dict[tuple[int, int], Failure] = {}
    for index in np.flatnonzero(requests.lapsed[metric] & ~np.isin(requests.user, list(requests.usual[metric]))):
        user, window = int(requests.user[index]), int(requests.at[index] // WINDOW)
        first.setdefault((user, window), Failure(bool(requests.mine[index]), 5.0, str(user), window))
    ends = [values[-1] for _, values in rollout.evidence_paths(requests, metric) if len(values)]
    assert e_value(list(first.values()), ratios_of(metric)) == pytest.approx(max(ends))


def test_good_candidates_stay_where_users_stay_on_a_version_and_some_clients_are_broken() -> None:
    rng = np.random.default_rng(2)
    found = [rollout.simulated(rng, 48, 200, 0.02) for _ in range(100)]
    assert sum(rollout.rolled_back_at(each) is not None for each in found) <= 10, "at 5 % more than 10 have probability 0.01"
    assert sum(rollout.rolled_back_by_request(each) for each in found) > 10


def test_a_candidate_with_ten_times_the_errors_is_found_within_an_hour_though_some_clients_are_broken() -> None:
    rng = np.random.default_rng(3)
    found = [rollout.rolled_back_at(rollout.simulated(rng, 6, 1000, 0.02, {"errors": 0.1})) or np.inf for _ in range(150)]
    assert np.median(found) < 3600


def test_worse_candidates_are_not_promoted_and_equal_ones_are() -> None:
    rng = np.random.default_rng(4)
    equal = {"latency": rollout.WITHIN}
    promoted = [rollout.proved_at(rollout.simulated(rng, 120, 3000, 0.01, equal, rollout.LAST), 6 * 3600) is not None for _ in range(8)]
    assert sum(promoted) >= 5
    for metric in ("form", "thumbs_down"):
        worse = {**equal, metric: rollout.RATES[metric] + 0.05}
        found = [rollout.proved_at(rollout.simulated(rng, 48, 3000, 0.01, worse, rollout.LAST), 6 * 3600) for _ in range(8)]
        assert sum(each is not None for each in found) <= 2


def test_the_last_answers_of_one_broken_client_are_no_collapse() -> None:
    made = rollout.simulated(np.random.default_rng(5), 1, 50, 0.0)
    at, mine, never = np.arange(12.0), np.ones(12, dtype=bool), np.zeros(12, dtype=bool)
    failed = np.array([False, *[True] * 11])
    for users, back in (([1] + [2] * 11, False), ([2] * 12, True), ([1, 2, 3, 4] * 3, True)):
        requests = replace(made, at=at, user=np.array(users), mine=mine, lapsed={"errors": failed, "form": never})
        assert (rollout._collapse_at(requests) is not None) is back
