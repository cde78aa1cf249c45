import math

import pytest

from ftassets.domain.training.points import Curves, Point, from_line, shown_again, to_line, unrecorded


def test_a_point_is_a_line_and_back_even_if_the_loss_is_no_number():
    point = from_line(to_line(Point(3, {"loss": float("nan"), "learning_rate": 1e-4}, 12.5)))
    assert (point.step, point.at, point.values["learning_rate"]) == (3, 12.5, 1e-4)
    assert math.isnan(point.values["loss"])
    with pytest.raises(ValueError, match="Expecting"):
        from_line("")


def test_steps_that_are_done_again_after_a_kill_count_once():
    curves = Curves()
    points = [Point(step, {"loss": 4.0 - step}, 0.0) for step in (1, 2)]
    assert curves.add(points) == points
    validation = Point(2, {"validation_loss": 1.5}, 0.0)
    assert curves.add([Point(2, {"loss": 9.0}, 1.0), validation, Point(3, {"loss": 1.0}, 1.0)]) == [
        validation,
        Point(3, {"loss": 1.0}, 1.0),
    ]
    assert curves.of == {"loss": [(1, 3.0), (2, 2.0), (3, 1.0)], "validation_loss": [(2, 1.5)]}
    assert curves.now == {"loss": 1.0, "validation_loss": 1.5}


def test_a_loss_that_is_no_number_is_recorded_and_not_plotted():
    curves = Curves()
    assert len(curves.add([Point(1, {"loss": float("nan")}, 0.0), Point(2, {"loss": float("inf")}, 0.0)])) == 2
    assert curves.of["loss"] == []


def test_each_metric_has_its_own_last_step():
    points = [Point(1, {"loss": 1.0, "epoch": 0.5}, 0.0), Point(2, {"loss": 1.0}, 0.0)]
    assert unrecorded(points, {"loss": 1}) == [Point(1, {"epoch": 0.5}, 0.0), Point(2, {"loss": 1.0}, 0.0)]
    assert unrecorded(points, {"loss": 2, "epoch": 1}) == []


def test_a_day_of_training_is_shown_less_than_a_hundred_times():
    shown, last = [], None
    for now in range(24 * 3600):
        if shown_again(now, None if last is None else now - last):
            shown.append(now)
            last = now
    assert shown[:3] == [10, 40, 70]
    assert 60 < len(shown) < 100
    assert shown[-1] > 0.9 * 24 * 3600
