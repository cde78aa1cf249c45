import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.training.divergence import FLOOR, GRACE, objection


def test_nan_stops_at_once():
    assert "learning_rate" in str(objection([2.0, math.nan], 2.0))
    assert "inf" in str(objection([math.inf], 2.0))


def test_a_rising_loss_stops_after_the_grace_steps():
    rising = [1.0] * GRACE + [5.0] * GRACE
    assert "5.00" in str(objection(rising, 2.0))
    assert objection(rising[:GRACE], 2.0) is None


def test_one_hard_batch_is_not_divergence():
    assert objection([1.0] * GRACE + [4.0], 2.0) is None


def test_going_on_from_a_low_loss_leaves_room_for_new_rows():
    assert objection([0.05] * GRACE + [FLOOR] * GRACE, 2.0) is None


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60), st.floats(1.01, 10))
def test_losses_that_never_rise_are_never_objected_to(losses, limit):
    falling = sorted(losses, reverse=True)
    assert all(objection(falling[:n], limit) is None for n in range(1, len(falling) + 1))


@pytest.mark.parametrize("limit", [1.5, 2.0, 5.0])
def test_the_limit_is_what_decides(limit):
    start = [1.0] * GRACE
    assert objection(start + [limit * 0.99] * GRACE, limit) is None
    assert objection(start + [limit * 1.01] * GRACE, limit) is not None
