import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.dataset.feedback import from_feedback
from ftassets.domain.evaluation.answer_form import Text
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback, Reviewed

ASKED = json.dumps([{"role": "user", "content": "Where is my parcel?"}])


def reviewed(
    rating: str | None = "up", correction: str | None = None, messages: str = ASKED, answer: str = "{}", status: int = 200
) -> Reviewed:
    exchange = Exchange("r1", "voice", "v1", "u", "Where is my parcel?", messages, answer, status, 1.0, 1.0, None, None, None, 5.0)
    return Reviewed(exchange, Feedback("r1", 7.0, rating, correction))


@pytest.mark.parametrize(
    ("rating", "correction", "status", "made"),
    [
        ("up", None, 200, ("thumbs_up", "{}")),
        ("up", "[]", 200, ("correction", "[]")),
        ("down", "[]", 200, ("correction", "[]")),
        (None, "[]", 502, ("correction", "[]")),
        ("down", None, 200, None),
        (None, None, 200, None),
    ],
)
def test_the_row_is_that_of_the_verdict(rating: str | None, correction: str | None, status: int, made: tuple[str, str] | None) -> None:
    rows, rejected = from_feedback([reviewed(rating, correction, status=status)], Text())
    assert rejected == []
    assert [(row.source, row.completion, row.at, row.request_id, row.user) for row in rows] == ([(*made, 7.0, "r1", "u")] if made else [])


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (reviewed(status=502, answer="{"), "the request failed with status 502"),
        (reviewed(status=200, answer=""), "the field 'completion': String should have at least 1 character"),
        (reviewed(answer="x" * 25_000), "the field 'completion': String should have at most 20000 characters"),
        (reviewed(messages=json.dumps([{"role": "user", "content": "x" * 250_000}])), "250,000 characters"),
        (reviewed(messages='[{"role": "user", "content": "\\ud83d"}]'), "surrogate"),
        (reviewed(messages="[" * 100_000), "nested more than 100 levels deep"),
        (reviewed(messages="{"), "Expecting"),
        (reviewed(messages="null"), '"messages" is not a list'),
        (reviewed(messages='[{"role": "user", "content": [{"type": "image_url"}]}]'), "'image_url' is not text"),
    ],
)
def test_what_makes_no_row_is_quarantined_by_its_id_and_the_rest_goes_on(item: Reviewed, reason: str) -> None:
    rows, [rejected] = from_feedback([item, reviewed()], Text())
    assert (len(rows), rejected.where) == (1, "thumbs_up:r1")
    assert reason in rejected.reason


def test_a_long_request_is_a_row() -> None:
    rows, _ = from_feedback([reviewed(messages=json.dumps([{"role": "user", "content": "x" * 25_000}]))], Text())
    assert len(rows[0].prompt) == 25_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system", "x"])}, optional={"content": JSON, "tool_calls": JSON, "name": JSON}
)


@given(
    messages=JSON | st.lists(MESSAGE) | st.fixed_dictionaries({"messages": st.lists(MESSAGE), "tools": JSON}),
    answer=st.text(),
    correction=st.none() | st.text(),
)
def test_whatever_the_log_holds_each_verdict_is_a_row_or_is_quarantined(messages: Any, answer: str, correction: str | None) -> None:
    rows, rejected = from_feedback([reviewed("up", correction, json.dumps(messages), answer)], Text())
    assert len(rows) + len(rejected) == 1


@pytest.mark.parametrize(("tags", "out"), [("late, Spam", "Spam"), ("spammy", None), (None, None)])
def test_feedback_with_an_excluded_tag_makes_no_row(tags: str | None, out: str | None) -> None:
    item = reviewed()
    item = replace(item, feedback=replace(item.feedback, tags=tags))
    rows, rejected = from_feedback([item], Text(), ["spam", "test"])
    assert len(rows) == (out is None)
    assert [each.reason for each in rejected] == (
        [f"the feedback has the tag {out!r}, which dataset.exclude_tags leaves out"] if out else []
    )
    assert from_feedback([item], Text())[1] == []
