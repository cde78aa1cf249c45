"""Feedback under the names that people give it in other tools."""

from typing import Any

import pytest

from ftassets.domain.traffic.imports.fields import PersonFeedback
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
