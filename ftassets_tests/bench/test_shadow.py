"""The simulated phases are decided as `shadow_phase` decides."""

import numpy as np
import pytest

from bench import shadow
from ftassets.domain.rollout.canary import Move
from ftassets.domain.rollout.shadow_phase import pair_states


@pytest.mark.parametrize("worse", [{}, {"form": 0.05}, {"errors": 0.02, "latency": 0.1}])
def test_the_simulation_has_the_evidence_of_the_phase(worse: dict) -> None:
    pairs = shadow.simulated(np.random.default_rng(1), 48, 300, 0.02, worse)
    states = pair_states(shadow.evidence(pairs, np.inf), shadow.POLICY)
    for each in states:
        ends = [values[-1] for _, values in shadow.evidence_paths(pairs, each.metric)]
        assert each.e_value == pytest.approx(max(ends))
    if any(each.e_value >= each.limit for each in states):
        assert shadow.stopped_at(pairs) is not None


def test_a_phase_ends_at_the_look_after_enough_pairs() -> None:
    rng = np.random.default_rng(2)
    good = [shadow.ended(shadow.simulated(rng, 48, 1000, 0.02)) for _ in range(20)]
    assert sum(move is Move.RAMP for move, _ in good) >= 17, "at 2.5 % fewer have probability 0.001"
    broken = [shadow.ended(shadow.simulated(rng, 48, 1000, 0.0, {"errors": 0.5})) for _ in range(10)]
    assert {move for move, _ in broken} == {Move.ROLLBACK}
    assert max(copies for _, copies in broken) < 200
