"""Feedback under the names that people give it in other tools."""

from typing import Any

import pytest

from ftassets.domain.traffic.imports.fields import Call, PersonFeedback
from ftassets.domain.traffic.imports.opinions import Opinion, feedback_of, rated


@pytest.mark.parametrize(
    ("name", "value", "rating"),
    [
        ("thumbs_up", True, "up"), ("thumbsUp", False, "down"), ("thumbs_down", True, "down"), ("thumbs_down", 0, "up"),
        ("user-feedback", 1, "up"), ("user-feedback", 0.0, "down"), ("User Rating", "up", "up"), ("correctness", "no", "down"),
        ("is_correct", "Yes", "up"), ("incorrect", True, "down"), ("feedback", "thumbs_down", "down"), ("rating", "👎", "down"),
        ("wrong", "false", "up"), ("dislike", "dislike", "down"), ("quality", "bad", "down"), ("vote", -1, "down"),
    ],
)  # fmt: skip
def test_a_thumb_is_told_by_name_and_value(name: str, value: Any, rating: str) -> None:
    assert feedback_of([Opinion(name, value, 1.0)]) == PersonFeedback(rating, None, 1.0)


@pytest.mark.parametrize(("name", "value"), [("not_helpful", True), ("notCorrect", "true"), ("never_useful", 1), ("no_like", "yes")])
def test_a_name_that_denies_turns_a_flag_round(name: str, value: Any) -> None:
    assert feedback_of([Opinion(name, value)]) == PersonFeedback("down")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("low_quality", True, "nothing here knows what 'low'"), ("quality_issue", 1, "nothing here knows what 'issue'"),
        ("lack_of_quality", 1, "'lack'"), ("not_bad", True, "denies twice"), ("user-rating", 1, "may be the lowest of five steps"),
        ("stars_rating", 1.0, "may be the lowest of five steps"),
    ],
)  # fmt: skip
def test_a_flag_or_number_that_may_mean_the_contrary_is_refused(name: str, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        feedback_of([Opinion(name, value)])


def test_a_call_may_be_the_expected_answer_and_a_thumb_may_have_a_skin() -> None:
    call = {"name": "f", "arguments": {"a": 1}}
    assert feedback_of([Opinion("expected_output", call, 1.0, True)]) == PersonFeedback(None, Call("f", {"a": 1}), 1.0)
    assert rated("\U0001f44d\U0001f3fd") == "up"


@pytest.mark.parametrize(("name", "value"), [("stars", 4), ("rating", 4), ("toxicity", True), ("feedback", "see above"), ("thumbs", None)])
def test_what_is_no_thumb_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"the feedback '{name}'"):
        feedback_of([Opinion(name, value)])


def test_the_newest_rating_and_the_newest_correction_count() -> None:
    opinions = [
        Opinion("thumb", True, 3.0), Opinion("thumb", False, 1.0), Opinion("expected_answer", "old", 2.0, True),
        Opinion("ground_truth", {"queue": "é"}, 4.0, True),
    ]  # fmt: skip
    assert feedback_of(opinions) == PersonFeedback("up", '{"queue": "é"}', 4.0)
    assert feedback_of([]) is None


@pytest.mark.parametrize(
    ("value", "rating"), [("up", "up"), ("thumbs_up", "up"), (1, "up"), ("DOWN", "down"), (False, "down"), (3, None), ("", None)]
)
def test_ratings(value: Any, rating: str | None) -> None:
    assert rated(value) == rating
