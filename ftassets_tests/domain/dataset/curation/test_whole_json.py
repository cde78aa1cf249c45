import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.chat import Message, ToolCall
from ftassets.domain.dataset.curation.pipeline import curate
from ftassets.domain.dataset.curation.whole_json import broken
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.sample import LOOP, row


def answered(number: int, answer: str, arguments: str = "{}", result: str = "{}") -> Example:
    call = Message(role="assistant", content=None, tool_calls=(ToolCall(id="a", name="look", arguments=arguments),))
    said = (Message(role="user", content=f"look number {number} up"), call, Message(role="tool", content=result, tool_call_id="a"))
    return row(number).model_copy(update={"messages": said, "completion": answer})


def taken(*rows: Example) -> tuple[dict[str, Example], dict[str, str]]:
    """Rows that are in a split by their id, and the reasons of the others."""
    curated = curate(rows, None, [], None, {}, LOOP)
    kept = {each.id: each for members in curated.splits.values() for each in members}
    return kept, {one.where: one.reason for one in curated.dropped}


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85"])
def test_a_line_separator_in_json_is_a_line_end_in_its_strings(character):
    raw = json.dumps({"intent": "On", "note": f"a{character}b", character: 1}, ensure_ascii=False)
    kept, reasons = taken(answered(1, raw, raw, raw))
    assert not reasons
    [_, call, result] = kept["r0001"].messages
    assert call.tool_calls is not None
    for text in (kept["r0001"].completion, call.tool_calls[0].arguments, str(result.content)):
        assert json.loads(text) == {"intent": "On", "note": "a\nb", "\n": 1}


@pytest.mark.parametrize(
    ("first", "second", "step"),
    [("a@example.com", "b@example.com", "pii"), ("a\u00adb", "ab", "normalise"), ("e\u0301", "\u00e9", "schema")],
)
def test_keys_that_a_step_would_make_one_drop_their_row(first, second, step):
    twice = json.dumps({"intent": "On", first: 1, second: 2}, ensure_ascii=False)
    kept, reasons = taken(answered(1, twice), answered(2, '{"intent": "Off"}'))
    assert list(kept) == ["r0002"]
    assert list(reasons) == [f"{step}:r0001"]
    if step != "schema":
        assert reasons[f"{step}:r0001"] == "the answer would have a key twice, or be no JSON, without what this step changes in it"
        kept, reasons = taken(answered(1, '{"intent": "On"}', twice), answered(2, '{"intent": "On"}', "{}", twice))
        assert not kept
        assert reasons[f"{step}:r0001"].startswith("a tool call would")
        assert reasons[f"{step}:r0002"].startswith("a message of tool would")


_VALUES: Any = st.recursive(
    st.text(max_size=8) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=6), _VALUES, max_size=4), st.booleans())
def test_whatever_json_says_it_is_json_of_the_same_shape_or_its_row_is_dropped(value, ascii_only):
    written = json.dumps({"intent": "On", **value}, ensure_ascii=ascii_only)
    if not written.isascii() and any("\ud800" <= letter <= "\udfff" for letter in written):
        return
    kept, reasons = taken(answered(1, written))
    assert len(kept) + len(reasons) == 1
    for each in kept.values():
        assert len(json.loads(each.completion)) == len(json.loads(written))


def test_prose_and_json_that_was_broken_before_break_nothing():
    assert broken(answered(1, "a\u2028b"), answered(1, "a\nb")) is None
    assert broken(answered(1, '{"a": 1, "a": 2}'), answered(1, '{"a": 1, "a": 3}')) is None
    assert broken(answered(1, '{"a": 1}'), answered(1, '{"a": 1')) is not None
