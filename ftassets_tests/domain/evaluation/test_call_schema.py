"""Against jsonschema_rs, an implementation of its own in another language."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import Task
from ftassets.domain.evaluation.call_schema import call_fault, schema_objection

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["intent"],
    "properties": {
        "intent": {"enum": ["timer", "light"]},
        "minutes": {"type": "integer", "minimum": 1, "maximum": 60},
        "rooms": {"type": "array", "items": {"$ref": "#/$defs/room"}, "uniqueItems": True},
    },
    "if": {"properties": {"intent": {"const": "timer"}}},
    "then": {"required": ["minutes"]},
    "additionalProperties": False,
    "$defs": {"room": {"type": "string", "pattern": "^[a-z]+$"}},
}
LEAVES = st.none() | st.booleans() | st.sampled_from([0, 1, 5, 60, 61, 5.5, "timer", "light", "hall", "Hall", "5"])
VALUES = LEAVES | st.lists(LEAVES, max_size=3)
CALLS = st.dictionaries(st.sampled_from(["intent", "minutes", "rooms", "other"]), VALUES, max_size=4)


@given(CALLS | st.fixed_dictionaries({"intent": st.sampled_from(["timer", "light"])}, optional={"minutes": LEAVES, "rooms": VALUES}))
def test_calls_fit_or_do_not(call: dict[str, Any]) -> None:
    assert (call_fault(json.dumps(SCHEMA), call) is None) == jsonschema_rs.is_valid(SCHEMA, call)


def test_a_fault_names_place_and_rule_and_no_value() -> None:
    fault = call_fault(json.dumps(SCHEMA), {"intent": "light", "rooms": ["hall", "anna smith"]})
    assert fault == 'at $.rooms[1]: "pattern": "^[a-z]+$"'
    long = call_fault(json.dumps({"enum": ["x" * 50] * 9}), {})
    assert long is not None
    assert len(long) < 100


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "objekt"}, "at $.type: 'objekt'"),
        ({"$ref": "https://example.com/call.json"}, "'https://example.com/call.json' leads to nothing"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "'#/$defs/b' leads to nothing"),
        ({"$ref": "#"}, "refers to itself without an end"),
        ({"minimum": float("nan")}, "not JSON compliant"),
        ({"pattern": "("}, "at $.pattern: '(' is not a 'regex'"),
    ],
)
def test_what_is_no_schema_is_refused_in_the_loop_file(schema: dict[str, Any], words: str) -> None:
    assert words in (schema_objection(schema) or "")
    with pytest.raises(ValueError, match="call_schema is not a JSON Schema that answers can be compared with"):
        Task(system_prompt="x", call_schema=schema)


def test_schemas_and_calls_are_of_tool_calls() -> None:
    assert schema_objection(SCHEMA) is None
    task = Task(system_prompt="x", call_schema=SCHEMA, calls="ordered")
    assert task.form.well_formed('[{"intent": "light"}]')
    assert not task.form.well_formed('[{"intent": "timer"}]')
    for settings in ({"call_schema": SCHEMA}, {"calls": "ordered"}):
        with pytest.raises(ValueError, match="belongs to a tool_call task, and the type is text"):
            Task(system_prompt="x", type="text", **settings)
