"""Personal data: found where its form and checksum say so, replaced without breaking an answer, and nothing else is touched."""

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.chat import Message, ToolCall, question
from ftassets.domain.dataset.curation.pii import Span, find, holds_personal_data, redact, scrub
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.sample import config as loop

FOUND = [
    ("EMAIL", "jane.doe+news@mail.example.co.uk"),
    ("EMAIL", "o'brien@example.com"),
    ("EMAIL", "jürgen@müller.de"),
    ("CARD", "4111111111111111"),
    ("CARD", "4111 1111 1111 1111"),
    ("CARD", "5500-0000-0000-0004"),
    ("CARD", "3782 822463 10005"),
    ("CARD", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("IBAN", "GB82WEST12345698765432"),
    ("IBAN", "DE89 3704 0044 0532 0130 00"),
    ("IBAN", "nl91abna0417164300"),
    ("SSN", "219-09-9999"),
    ("SSN", "219 09 9999"),
    ("IP", "192.168.10.25"),
    ("IP", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
    ("IP", "2001:db8::8a2e:370:7334"),
    ("IP", "fe80::1"),
    ("PHONE", "+46 (0)8 928 571 38"),
    ("PHONE", "+447700900123"),
    ("PHONE", "0041 79 123 45 67"),
    ("PHONE", "(555) 234-5678"),
    ("PHONE", "555.234.5678 ext. 12"),
    ("PHONE", "5552345678"),
    ("PHONE", "01.84.17.61.18"),
    ("PHONE", "07700 900123"),
]
HARMLESS = [
    "4111 1111 1111 1112",  # Luhn fails
    "1234567890123456",  # no issuer
    "1700000000123",  # milliseconds since 1970
    "GB82WEST12345698765433",  # mod 97 fails
    "ZZ89370400440532013000",  # no such country
    "000-12-3456",
    "219-00-9999",
    "300.1.2.3",
    "1.2.3",
    "std::vector<int>",
    "items[::1]",
    "12:30:45",
    "2024-01-15 10:30",
    "01.02.2024 10:30",
    "between 2019 and 2020, or 2019-2020",
    "0.123456789",
    "3.14159265358979",
    "order 723 813 266",
    "one @ two",
    "@handle",
    "user@localhost",
    "75 % of 12,500,000",
]


def pool(*rows: tuple[str, str]) -> Pool:
    examples = [Example(id=f"r{i}", messages=question(prompt), completion=completion) for i, (prompt, completion) in enumerate(rows)]
    return Pool(rows=examples, index=list(range(len(examples))))


def scrubbed(prompt: str, completion: str, **options: Any) -> tuple[str, str]:
    row = scrub(pool((prompt, completion)), loop(), **options).changed[0]
    return row.prompt, row.completion


@pytest.mark.parametrize(("kind", "value"), FOUND)
@pytest.mark.parametrize("text", ["{}", "please use {}, thanks", "({})", "it is {}. Bye", "{}\n{}"])
def test_finds_the_whole_value_wherever_it_stands(kind: str, value: str, text: str) -> None:
    whole = text.replace("{}", value)
    assert [(span.kind, whole[span.start : span.end].strip("()")) for span in find(whole)] == [(kind, value.strip("()"))] * text.count("{}")


@pytest.mark.parametrize("text", HARMLESS)
def test_leaves_what_only_looks_like_it(text: str) -> None:
    assert find(text) == []
    assert find(f"I say {text} here") == []


@pytest.mark.parametrize("text", ["call me on 467 3395", "my fax: 72 128 827", "72-12-88-27 is her mobile"])
def test_groups_of_digits_are_a_phone_number_where_the_words_say_so(text: str) -> None:
    assert [span.kind for span in find(text)] == ["PHONE"]


@pytest.mark.parametrize("text", ["call me 2024-01-15", "phone me in 2019-2020", "text me on 24 12 2024"])
def test_a_date_is_no_phone_number_even_there(text: str) -> None:
    assert find(text) == []


def test_a_card_among_other_numbers() -> None:
    text = "order 12 4111 1111 1111 1111 2"
    assert [(span.kind, text[span.start : span.end]) for span in find(text)] == [("CARD", "4111 1111 1111 1111")]


def test_a_phone_number_in_an_address_is_the_address() -> None:
    assert redact("write 5552345678@example.com", find("write 5552345678@example.com")) == "write <EMAIL>"


def test_of_overlapping_spans_the_longest_then_the_earliest_counts() -> None:
    text = "abcdefghij"
    assert redact(text, [Span("A", 0, 4), Span("B", 3, 8), Span("C", 7, 9)]) == "abc<B>ij"
    assert redact(text, [Span("B", 2, 5), Span("A", 0, 3)]) == "<A>defghij"


def test_kinds_replace_the_values() -> None:
    text = "mail bob@example.com or call +46 8 928 571 38 about DE89 3704 0044 0532 0130 00"
    assert redact(text, find(text)) == "mail <EMAIL> or call <PHONE> about <IBAN>"


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


VALUES = st.sampled_from([value for _, value in FOUND])
PIECES = st.one_of(VALUES, st.text(max_size=8), st.sampled_from(["1", "4111 ", "+", "(", "-", ".", "@", ":", " ", '"', "\\", "call "]))
TEXTS = st.lists(PIECES, min_size=1, max_size=8).map("".join)
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
@given(TEXTS)
def test_spans_are_in_order_inside_the_text_and_apart(text: str) -> None:
    edges = [edge for span in find(text) for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert all(0 <= span.start < span.end <= len(text) for span in find(text))


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


@settings(deadline=None)
@given(st.text())
def test_a_text_without_finds_is_returned_as_it_is(text: str) -> None:
    assert redact(text, []) == text


HOSTILE = ["1", "4", "4 ", "4444 ", "5555-", "11 ", "12.", "1.1.1.1.", "+1", "(1", "0123 ", "call 555 ", "2020-", "@", "a@", "a@a.", "a.b-"]
HOSTILE += [
    "a@a.aa ",
    "%.@",
    ":",
    "1:",
    "fe80:",
    ".:",
    "GB11 ",
    "de89",
    "GB29NWBK",
    "-",
    ".",
    "a",
    "A1",
    "é",
    "٣",
    "4" * 19 + "-",
    "1" * 15 + "(",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_is_linear_in_hostile_texts(piece: str) -> None:
    """100 kB take about 0.1 CPU-seconds; a pattern that backtracks takes minutes."""
    text = piece * (100_000 // len(piece))
    start = time.process_time()
    find(text)
    assert time.process_time() - start < 2


@settings(deadline=None)
@given(st.lists(st.sampled_from([*"14 0-.@:+(aG", "GB29"]), min_size=1, max_size=12).map("".join))
def test_time_is_linear_in_any_repeated_piece(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    start = time.process_time()
    find(text)
    assert time.process_time() - start < 1
