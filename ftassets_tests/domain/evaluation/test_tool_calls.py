"""Scores of calls. Oracle of the shares: the largest matching of equal calls, by scipy's assignment."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from ftassets.domain.evaluation.tool_calls import CallScores, score_calls

TIMER = {"intent": "timer", "minutes": 5}
LIGHT = {"intent": "light", "area": "hall"}
CALLS = st.lists(st.fixed_dictionaries({"intent": st.sampled_from("ab"), "n": st.sampled_from([1, "1", True, None])}), max_size=4)


def of(said: list[dict[str, Any]] | None, wanted: list[dict[str, Any]], ordered: bool = False) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in score_calls(said, wanted, "intent", ordered))


@pytest.mark.parametrize(
    ("said", "wanted", "scores"),
    [
        ([TIMER], [TIMER], (1, 1, 1, 1, 1)),
        (None, [TIMER], (0, 0, 0, 0, 0)),
        ([{**TIMER, "minutes": 6}], [TIMER], (1, 0, 1, 0, 0)),
        ([{**TIMER, "minutes": "5"}], [TIMER], (1, 0, 1, 0, 0)),  # a number is no text
        ([{**TIMER, "intent": "alarm"}], [TIMER], (0, 1, 0, 1, 0)),
        ([{"minutes": 5}], [TIMER], (0, 1, 0, 1, 0)),
        ([LIGHT, TIMER], [TIMER, LIGHT], (1, 1, 1, 1, 1)),  # parallel
        ([TIMER], [TIMER, LIGHT], (0, 0, 0.5, 0.5, 0.5)),
        ([TIMER, LIGHT, LIGHT], [TIMER, LIGHT], (0, 0, 0.667, 0.667, 0.667)),
        ([{**TIMER, "area": "hall"}, {"intent": "light"}], [TIMER, LIGHT], (1, 0, 1, 0, 0)),
        ([], [], (1, 1, 1, 1, 1)),
        ([], [TIMER], (0, 0, 0, 0, 0)),
        ([TIMER], [], (0, 0, 0, 0, 0)),
    ],
)
def test_names_arguments_and_calls(said: list[dict[str, Any]] | None, wanted: list[dict[str, Any]], scores: tuple[float, ...]) -> None:
    assert of(said, wanted) == scores


def test_order_counts_where_it_is_asked_for() -> None:
    assert of([LIGHT, TIMER], [TIMER, LIGHT], ordered=True) == (0, 0, 0, 0, 0)
    assert of([TIMER, TIMER, LIGHT], [TIMER, LIGHT], ordered=True) == (0, 0, 0.333, 0.333, 0.333)


def spelled(value: Any) -> str:
    return repr(sorted(value.items()) if isinstance(value, dict) else value)


def largest_matching(said: list[Any], wanted: list[Any]) -> float:
    if not said and not wanted:
        return 1.0
    same = np.array([[spelled(one) == spelled(other) for other in wanted] for one in said], dtype=float).reshape(len(said), len(wanted))
    rows, columns = linear_sum_assignment(-same)
    return float(same[rows, columns].sum()) / max(len(said), len(wanted))


@given(CALLS, CALLS)
def test_shares_are_those_of_the_largest_matching(said: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    found = score_calls(said, wanted, "intent", ordered=False)
    each = [[(call["intent"],) for call in calls] for calls in (said, wanted)]
    assert found.name_calls == pytest.approx(largest_matching(*each))
    assert found.right_calls == pytest.approx(largest_matching(said, wanted))
    assert found.arguments_calls == pytest.approx(largest_matching([c["n"] for c in said], [c["n"] for c in wanted]))
    assert (found.name, found.arguments) == (float(found.name_calls == 1), float(found.arguments_calls == 1))


@given(CALLS, CALLS, st.booleans())
def test_scores_are_the_same_from_either_side_and_at_most_one(
    said: list[dict[str, Any]], wanted: list[dict[str, Any]], ordered: bool
) -> None:
    assert score_calls(said, wanted, "intent", ordered) == score_calls(wanted, said, "intent", ordered)
    assert score_calls(said, said, "intent", ordered) == CallScores(1, 1, 1, 1, 1)
    assert all(0 <= value <= 1 for value in score_calls(said, wanted, "intent", ordered))
