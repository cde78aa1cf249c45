"""Rows in the shapes of well-known datasets: all their texts reach the row, or the row is refused by the field's name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.chat import texts
from ftassets.domain.dataset.row_shapes import NOTES, turns_of, unread_fields
from ftassets.domain.dataset.rows import Example, Quarantined, parse_jsonl

CALL = {"name": "find_order", "arguments": {"number": 7}}
TOOLS = [{"type": "function", "function": {"name": "find_order"}}]


def read(row: Any) -> Example | Quarantined:
    rows, bad = parse_jsonl(json.dumps(row, ensure_ascii=False), "seed")
    (found,) = [*rows, *bad]
    return found


def said(row: Any) -> tuple[list[tuple[str, str | None]], str]:
    found = read(row)
    assert isinstance(found, Example), found
    return [(message.role, message.content) for message in found.messages], found.completion


@pytest.mark.parametrize(
    ("row", "asked", "answer"),
    [
        ({"instruction": "Odd one out", "input": "a, b, 1", "output": "1"}, [("user", "Odd one out\n\na, b, 1")], "1"),
        ({"instruction": "Two tips", "input": "", "output": "Sleep."}, [("user", "Two tips")], "Sleep."),
        (
            {"instruction": "When?", "context": "It began in 2000.", "response": "In 2000.", "category": "closed_qa"},
            [("user", "When?\n\nIt began in 2000.")],
            "In 2000.",
        ),
        (
            {"system": "In French.", "instruction": "good morning", "history": [["hello", "salut"]], "response": "bonjour"},
            [("system", "In French."), ("user", "hello"), ("assistant", "salut"), ("user", "good morning")],
            "bonjour",
        ),
        (
            {"conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]},
            [("system", "Be brief."), ("user", "Hi")],
            "Yo",
        ),
        ({"conversations": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}, [("user", "Hi")], "Yo"),
        ({"prompt": "How far?", "completion": "Far."}, [("user", "How far?")], "Far."),
        (
            {"prompt": [{"role": "user", "content": "How far?"}], "completion": [{"role": "assistant", "content": "Far."}]},
            [("user", "How far?")],
            "Far.",
        ),
        (
            {
                "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo", "weight": 1}],
                "parallel_tool_calls": False, "metadata": {"by": "anna"}, "tools": [],
            },
            [("user", "Hi")],
            "Yo",
        ),
    ],
)  # fmt: skip
def test_well_known_shapes_are_conversations(row: dict, asked: list, answer: str) -> None:
    assert said(row) == (asked, answer)


@pytest.mark.parametrize("tools", [TOOLS, json.dumps(TOOLS)])
@pytest.mark.parametrize("result", ["tool", "observation"])
def test_calls_and_results_of_sharegpt_are_those_of_the_row(result: str, tools: Any) -> None:
    turns = [
        {"from": "human", "value": "Where is order 7?"},
        {"from": "function_call", "value": json.dumps(CALL)},
        {"from": result, "value": "in Hamburg"},
        {"from": "gpt", "value": "In Hamburg."},
    ]
    found = read({"conversations": turns, "tools": tools})
    assert isinstance(found, Example)
    assert [m.role for m in found.messages] == ["user", "assistant", "tool"]
    assert texts(found.messages) == ["Where is order 7?", '{"number": 7}', "in Hamburg"]
    assert json.loads(found.tools or "") == TOOLS


@pytest.mark.parametrize("in_one_turn", [True, False])
def test_calls_of_sharegpt_in_a_row_are_parallel_and_have_their_results(in_one_turn: bool) -> None:
    calls = [{"name": "track", "arguments": {"number": n}} for n in (7, 8)]
    called = [calls] if in_one_turn else calls
    turns = [
        {"from": "human", "value": "Where are orders 7 and 8?"},
        *({"from": "function_call", "value": json.dumps(each)} for each in called),
        {"from": "observation", "value": "in Hamburg"},
        {"from": "observation", "value": "in Kiel"},
        {"from": "gpt", "value": "One moment."},
        {"from": "human", "value": "And 9?"},
        {"from": "function_call", "value": json.dumps({"name": "track", "arguments": {"number": 9}})},
        {"from": "observation", "value": "lost"},
        {"from": "gpt", "value": "Lost."},
    ]
    found = read({"conversations": turns})
    assert isinstance(found, Example)
    assert [m.role for m in found.messages] == ["user", "assistant", "tool", "tool", "assistant", "user", "assistant", "tool"]
    asked = found.messages[1].tool_calls or ()
    assert [(call.arguments, call.id) for call in asked] == [
        (json.dumps({"number": n}), m.tool_call_id) for n, m in zip((7, 8), found.messages[2:4], strict=True)
    ]
    assert len({call.id for call in asked}) == 2
    lacking = read({"conversations": [*turns[:-7], *turns[-6:]]})
    assert isinstance(lacking, Quarantined)
    assert "2 calls in a row have 1 result: nothing says of which call it is" in lacking.reason


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"rejected_response": "no"}, "rejected_response"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"completion": "other"}, "completion"),
        ({"system": "Be brief."}, "system"),
        ({"notes": {"by": ["anna"]}}, "notes"),
    ],
)
def test_a_field_with_text_that_no_model_would_read_is_named(fields: dict, name: str) -> None:
    found = read({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}], **fields})
    assert isinstance(found, Quarantined)
    assert f"the field {name!r} would be lost" in found.reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": "a", "input": "b", "context": "c", "output": "d"}, "both 'input' and 'context'"),
        ({"instruction": "a", "output": "b", "response": "c"}, "both 'response' and 'output'"),
        ({"instruction": "a", "history": "old", "output": "b"}, "'history'"),
        ({"instruction": "a", "history": [["only"]], "output": "b"}, "'history'"),
        ({"conversations": [{"from": "moderator", "value": "a"}, {"from": "gpt", "value": "b"}]}, "message 1: 'from' is 'moderator'"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "b"}]}, "message 2"),
        ({"conversations": [{"from": "human", "value": "a", "image": "x.png"}, {"from": "gpt", "value": "b"}]}, "'image'"),
        ({"conversations": "a"}, "not a list"),
        ({"prompt": "a"}, "'completion'"),
        ({"prompt": ["a"], "completion": "b"}, "'prompt'"),
        ({"messages": [], "tools": "not JSON"}, "fewer than 2"),
    ],
)
def test_what_cannot_be_read_is_told_by_name(row: dict, reason: str) -> None:
    found = read(row)
    assert isinstance(found, Quarantined)
    assert reason in found.reason


WORD = st.text("abcdefgh", min_size=8, max_size=12)
VALUE = st.recursive(WORD, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORD, inner, max_size=2), max_leaves=4)
FIELD = (
    st.sampled_from(["messages", "instruction", "input", "context", "output", "response", "system", "prompt", "completion", "tools"]) | WORD
)


@given(
    st.dictionaries(FIELD, VALUE, max_size=5), st.lists(st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt"]), "value": WORD}))
)
def test_no_text_of_a_row_is_lost_in_silence(row: dict[str, Any], turns: list[dict[str, str]]) -> None:
    try:
        found = json.dumps(turns_of({"conversations": turns, **row} if turns else row))
    except ValueError:
        return
    kept = [value for name, value in row.items() if name not in NOTES] + [turn["value"] for turn in turns]
    assert all(word in found for word in words(kept))


def words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [word for member in (value.values() if isinstance(value, dict) else value) for word in words(member)]


@pytest.mark.parametrize("name", ["weight", "score", "rating", "rejected", "train", "label"])
@pytest.mark.parametrize("value", [0, 0.3, False, True, "x"])
@pytest.mark.parametrize("row", [{"instruction": "a", "output": "b"}, {"prompt": "a", "completion": "b"}])
def test_what_says_what_a_row_is_worth_refuses_it_by_name(row: dict[str, str], name: str, value: Any) -> None:
    if (name, value) == ("weight", True):
        assert turns_of({**row, name: value}) == turns_of(row)
        return
    if (name, value) in (("rejected", False), ("train", True)) and isinstance(value, bool):  # which says that the row is good
        assert turns_of({**row, name: value}) == turns_of(row)
        return
    with pytest.raises(ValueError, match=f"the field '{name}' would be lost"):
        turns_of({**row, name: value})
    assert turns_of({**row, "idx": 7, name: None}) == turns_of(row)
    assert unread_fields({**row, "idx": 7, "language": "en", "n_tokens": 0, name: None}) == ["idx", "n_tokens"]


@pytest.mark.parametrize(
    "field",
    [
        ("approved", False), ("verified", False), ("isApproved", False), ("deleted", True), ("discard", True), ("exclude", 1),
        ("skip", True), ("ignore", True), ("draft", True), ("flagged", True), ("is_toxic", True), ("hallucinated", True),
        ("bad", True), ("is_bad", 1), ("wrong", True), ("thumbs_down", True), ("confidence", 0), ("rank", 3),
        ("stars", 0), ("upvotes", 7), ("label_quality", 0), ("use", False), ("good", False), ("helpfulScore", 0.1),
    ],
)  # fmt: skip
def test_a_judgement_is_told_by_the_words_of_its_name(field: tuple[str, Any]) -> None:
    name, value = field
    row = {"instruction": "a", "output": "b"}
    with pytest.raises(ValueError, match=f"the field '{name}' would be lost"):
        turns_of({**row, name: value})
    if isinstance(value, bool) and "thumbs" not in name:
        assert turns_of({**row, name: not value}) == turns_of(row)
