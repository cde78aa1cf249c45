"""Rows without personal data: replaced without breaking an answer, the same in all texts of a row, and nothing else is touched."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.chat import Message, ToolCall, question
from ftassets.domain.dataset.curation.pii import scrub, with_personal_data
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.rows import Example
from ftassets.domain.personal_data.finding import find
from ftassets.domain.personal_data.spans import Span
from ftassets.domain.personal_data.texts import holds_personal_data
from ftassets_tests.domain.dataset.curation.sample import config as loop
from ftassets_tests.domain.personal_data.test_finding import FOUND, TEXTS


def pool(*rows: tuple[str, str]) -> Pool:
    examples = [Example(id=f"r{i}", messages=question(prompt), completion=completion) for i, (prompt, completion) in enumerate(rows)]
    return Pool(rows=examples, index=list(range(len(examples))))


def scrubbed(prompt: str, completion: str, **options: Any) -> tuple[str, str]:
    row = scrub(pool((prompt, completion)), loop(), **options).changed[0]
    return row.prompt, row.completion


def test_rows_without_personal_data_are_not_touched() -> None:
    assert scrub(pool(("turn on light 5", '{"intent": "On", "light": 5}')), loop()) == StepOutcome()


@pytest.mark.parametrize(("kind", "value"), FOUND)
def test_scrub_skips_no_row_that_find_would_hit(kind: str, value: str) -> None:
    assert f"<{kind}>" in scrubbed(value, "{}")[0]
    assert f"<{kind}>" in scrubbed("hi", json.dumps([value]))[1]


def test_only_rows_in_the_index_are_looked_at() -> None:
    rows = pool(("bob@example.com", "{}"), ("eve@example.com", "{}"))
    rows.index = [1]
    assert set(scrub(rows, loop()).changed) == {1}


def test_redacts_request_and_answer_and_counts_kinds() -> None:
    outcome = scrub(
        pool(("mail bob@example.com", '{"to": "bob@example.com"}'), ("hi", '{"a": 1}'), ("ip 10.0.0.1", '{"cc": "eve@x.org"}')), loop()
    )
    assert not outcome.dropped
    assert {i: (row.prompt, row.completion) for i, row in outcome.changed.items()} == {
        0: ("mail <EMAIL>", '{"to": "<EMAIL>"}'),
        2: ("ip <IP>", '{"cc": "<EMAIL>"}'),
    }
    assert outcome.counts == {"EMAIL": 3, "IP": 1}


def test_drop_names_the_kinds_and_never_the_value() -> None:
    outcome = scrub(pool(("call +447700900123", '{"to": "bob@example.com"}')), loop(pii="drop"))
    assert outcome.dropped == {0: "personal data: EMAIL, PHONE"}
    assert not outcome.changed
    assert outcome.counts == {"PHONE": 1, "EMAIL": 1}


def test_json_keeps_its_layout_keys_and_types() -> None:
    completion = '{ "to" : "bob@example.com",\n  "n": 5, "ok": true, "x": 1.5e3, "ä": "é bob@example.com" }'
    assert scrubbed("hi", completion)[1] == completion.replace("bob@example.com", "<EMAIL>")


def test_a_number_becomes_a_string_so_that_json_stays_json() -> None:
    assert scrubbed("hi", '{"card":4111111111111111,"n":[5552345678]}')[1] == '{"card":"<CARD>","n":["<PHONE>"]}'


def test_escaped_characters_hide_nothing() -> None:
    assert json.loads(scrubbed("hi", r'{"to": "bob\u0040example.com", "say": "line\n5552345678 \"q\""}')[1]) == {
        "to": "<EMAIL>",
        "say": 'line\n<PHONE> "q"',
    }


def test_a_key_with_personal_data_is_redacted() -> None:
    assert scrubbed("hi", '{"bob@example.com" : 1}')[1] == '{"<EMAIL>" : 1}'


def test_a_number_known_from_the_request_is_found_in_the_answer_without_its_context() -> None:
    assert scrubbed("call 723 813 266", '{"number": "723-813-266", "id": 723813266}') == (
        "call <PHONE>",
        '{"number": "<PHONE>", "id": "<PHONE>"}',
    )


def test_answers_in_prose_are_redacted_as_text() -> None:
    assert scrubbed("hi", "Write to bob@example.com.")[1] == "Write to <EMAIL>."


def names(text: str) -> list[Span]:
    return [Span("PERSON", *match.span()) for match in re.finditer("Anna|Mark", text)]


def test_names_of_the_request_are_replaced_in_values_not_in_keys() -> None:
    assert scrubbed("tell Mark that Anna called", '{"mark": 5, "to": "mark", "about": "Annabel, anna"}', names=names) == (
        "tell <PERSON> that <PERSON> called",
        '{"mark": 5, "to": "<PERSON>", "about": "Annabel, <PERSON>"}',
    )


def test_a_name_is_replaced_in_every_script_but_not_in_a_longer_word() -> None:
    said = "Anna在家, Anna\u0301, Annaा, Mark_2, Marks"
    assert scrubbed("tell Mark that Anna called", json.dumps([said], ensure_ascii=False), names=names)[1] == json.dumps(
        ["<PERSON>在家, Anna\u0301, Annaा, <PERSON>_2, Marks"], ensure_ascii=False
    )


def test_names_are_looked_for_in_prose_answers_only() -> None:
    assert scrubbed("who?", "Anna did", names=names)[1] == "<PERSON> did"
    assert scrub(pool(("who?", '{"intent": "Mark"}')), loop(), names=names) == StepOutcome()


def called(name: str, call_id: str, tools: str | None = None) -> Example:
    calls = (ToolCall(id=call_id, name=name), ToolCall(id="call_1", name="find"))
    results = (Message(role="tool", content="x", tool_call_id=call_id), Message(role="tool", content="y", tool_call_id="call_1"))
    messages = (*question("hi"), Message(role="assistant", tool_calls=calls), *results)
    return Example(id="r0", messages=messages, tools=tools, completion="{}")


def test_tools_and_ids_of_calls_are_redacted_and_stay_json_and_consistent() -> None:
    tools = json.dumps([{"function": {"name": "mail", "description": "not bob@example.com", "maximum": 2147483647}}])
    given = called("mail", "bob@example.com", tools)
    assert holds_personal_data(given, [])
    row = scrub(Pool([given], [0]), loop()).changed[0]
    assert json.loads(row.tools or "") == [{"function": {"name": "mail", "description": "not <EMAIL>", "maximum": 2147483647}}]
    assert [call.id for call in row.messages[1].tool_calls or ()] == ["call_2", "call_1"]
    assert [message.tool_call_id for message in row.messages[2:]] == ["call_2", "call_1"]
    assert not holds_personal_data(row, [row.completion])


def test_a_row_with_personal_data_in_a_name_is_dropped() -> None:
    named = [called("bob@example.com", "a"), called("f", "a", '[{"type": "function", "function": {"name": "bob@example.com"}}]')]
    assert all(holds_personal_data(row, []) for row in named)
    reason = "personal data in the name of a tool or call: EMAIL"
    assert scrub(Pool(named, [0, 1]), loop()).dropped == {0: reason, 1: reason}


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**17), 10**17), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [shape(inner) for inner in value.values()]
    return [shape(inner) for inner in value] if isinstance(value, list) else "leaf"


def strings(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


@settings(deadline=None)
@given(TEXTS, JSON, st.booleans())
def test_after_scrubbing_nothing_is_left_that_find_knows_and_json_is_json(prompt: str, value: Any, ascii_only: bool) -> None:
    completion = json.dumps(value, ensure_ascii=ascii_only)
    row = scrub(pool((prompt or "x", completion)), loop()).changed.get(0) or Example(
        id="r0", messages=question(prompt or "x"), completion=completion
    )
    assert find(row.prompt) == []
    keys: list[str] = []

    def as_list(items: list[tuple[str, Any]]) -> list[Any]:  # two redacted keys may be equal: none is lost
        keys.extend(key for key, _ in items)
        return [inner for _, inner in items]

    after = json.loads(row.completion, object_pairs_hook=as_list, parse_int=str, parse_float=str)
    assert shape(after) == shape(value)
    assert [text for text in keys + strings(after) if find(text)] == []


def test_an_answer_to_a_question_for_a_phone_number() -> None:
    talk = (*question("hi"), Message(role="assistant", content="What is your phone number?"), Message(role="user", content="12 34 56 78"))
    row = Example(id="r", messages=talk, completion="Noted 12345678.")
    changed = scrub(Pool([row], [0]), loop()).changed[0]
    assert (changed.messages[-1].content, changed.completion) == ("<PHONE>", "Noted <PHONE>.")


def test_keys_of_json_are_words_before_their_values() -> None:
    answer = '{"phoneNumber": "12345678", "order_id": "0301234567", "mobile": 4915112345678, "count": 87654321}'
    kept = {"order_id": "0301234567", "count": 87654321}
    assert json.loads(scrubbed("hi", answer)[1]) == {"phoneNumber": "<PHONE>", "mobile": "<PHONE>", **kept}


def test_id_group_and_slice_are_scrubbed_and_groups_stay_apart() -> None:
    rows = [
        Example(
            id=f"{name}@example.com",
            group=f"{group}@example.com",
            slice=f"of {name}@example.com",
            version="ft:gpt:joe@example.com",
            messages=question(name),
            completion="{}",
        )
        for name, group in (("ann", "x"), ("bob", "x"), ("eve", "y"))
    ]
    outcome = scrub(Pool(rows, [0, 1, 2]), loop())
    changed = [outcome.changed[i] for i in range(3)]
    assert not any(with_personal_data(row, closed=False) for row in changed)
    assert all(with_personal_data(row, closed=False) for row in rows)
    assert len({row.id for row in changed}) == 3
    assert changed[0].group == changed[1].group != changed[2].group
    assert {row.version for row in changed} == {"version-4"}
    assert outcome.counts == {"EMAIL": 12}
    assert scrub(Pool(changed, [0, 1, 2]), loop()) == StepOutcome()


def test_numbers_that_are_ids_are_left() -> None:
    rows = [Example(id=name, messages=question("hi"), completion="{}") for name in ("0301234567", "5552345678", "chat:13812345678")]
    assert scrub(Pool(rows, [0, 1, 2]), loop()) == StepOutcome()


def test_secrets_are_a_kind_of_their_own() -> None:
    outcome = scrub(pool(("my key is sk-proj-" + "aB3_" * 12, "{}")), loop())
    assert (outcome.changed[0].prompt, outcome.counts) == ("my key is <SECRET>", {"SECRET": 1})
