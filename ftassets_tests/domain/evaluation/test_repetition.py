import json

import pytest

from ftassets.domain.evaluation.repetition import repetition


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("yes\n" * 6 + "no\n", "has the same line 6 times, of 7 lines"),
        ("turn it off " * 7, "repeats a phrase 7 times in a row: 21 of its 21 words"),
        ("ha ha ha ha", None),
        ("no, no, no: I said the lamp in the hall, and not the lamp in the kitchen", None),
        (json.dumps([{"intent": "On"}] * 9, indent=1), None),
        ("", None),
    ],
)
def test_an_answer_in_a_loop_is_told_from_one_that_says_a_thing_twice(text: str, found: str | None) -> None:
    assert repetition(text) == found
