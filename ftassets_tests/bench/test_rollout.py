"""The simulated canaries are decided as `canary` decides, and most good ones stay."""

import numpy as np
import pytest

from bench import rollout
from ftassets.domain.rollout.canary import WINDOW, Failure, e_value, rollback_limit


def test_the_simulation_has_the_evidence_of_the_rollout() -> None:
    rng = np.random.default_rng(1)
    for candidate in (rollout.ERRORS, 5 * rollout.ERRORS):
        requests = rollout.simulated(rng, 72, 300, 0.02, candidate)
        first: dict[tuple[int, int], Failure] = {}
        for index in np.flatnonzero(requests.failed):
            user, window = int(requests.user[index]), int(requests.at[index] // WINDOW)
            first.setdefault((user, window), Failure(bool(requests.mine[index]), 5.0, str(user), window))
        ends = [values[-1] for _, values in rollout.evidence_paths(requests) if len(values)]
        assert e_value(list(first.values())) == pytest.approx(max(ends))


def test_good_candidates_stay_where_users_stay_on_a_version_and_some_clients_are_broken() -> None:
    rng = np.random.default_rng(2)
    found = [rollout.simulated(rng, 48, 200, 0.02, rollout.ERRORS) for _ in range(120)]
    assert sum(rollout.rolled_back_at(each) is not None for each in found) <= 11, "at 5 % more than 11 have probability 0.01"
    assert sum(rollout.rolled_back_by_request(each) for each in found) > 11


def test_a_candidate_with_ten_times_the_errors_is_found_within_an_hour() -> None:
    rng = np.random.default_rng(3)
    found = [rollout.rolled_back_at(rollout.simulated(rng, 24, 1000, 0.0, 10 * rollout.ERRORS)) or np.inf for _ in range(150)]
    assert np.median(found) < 3600


def test_the_last_answers_of_one_broken_client_are_no_collapse() -> None:
    at, mine = np.arange(12.0), np.ones(12, dtype=bool)
    failed = np.array([False, *[True] * 11])
    for users, back in (([1] + [2] * 11, False), ([2] * 12, True), ([1, 2, 3, 4] * 3, True)):
        requests = rollout.Requests(at, np.array(users), mine, failed)
        assert (rollout._collapse_at(requests) is not None) is back
    assert rollback_limit(rollout.POLICY) == pytest.approx(25)
