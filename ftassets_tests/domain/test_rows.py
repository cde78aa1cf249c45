"""Which lines become examples, which are quarantined, and why."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.rows import Example, parse_jsonl, to_jsonl


def line(prompt: str = "lights on", completion: str = '{"intent": "on"}', **fields: Any) -> str:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
    return json.dumps({"messages": messages, **fields}, ensure_ascii=False)


def test_a_line_becomes_an_example() -> None:
    examples, bad = parse_jsonl(line(id="r1", slice="drifted", group="g1"), "seed.jsonl")
    assert bad == []
    assert examples == [
        Example(id="r1", prompt="lights on", completion='{"intent": "on"}', slice="drifted", group="g1", source="seed.jsonl")
    ]


def test_the_last_question_and_answer_count() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "two"},
    ]
    (example,), _ = parse_jsonl(json.dumps({"messages": messages}), "seed")
    assert (example.prompt, example.completion) == ("second", "two")


def test_an_id_follows_from_the_content() -> None:
    (one, same, other), _ = parse_jsonl("\n".join([line(), line(), line("lights off")]), "seed")
    assert one.id == same.id != other.id


@pytest.mark.parametrize("text", ["", "\n \n\r\n", "\ufeff"])
def test_nothing_gives_nothing(text: str) -> None:
    assert parse_jsonl(text, "seed") == ([], [])


@pytest.mark.parametrize("text", ["\ufeff" + line(), line() + "\r\n", "\n\n" + line() + "\n"])
def test_marks_blank_lines_and_windows_line_ends_do_not_matter(text: str) -> None:
    examples, bad = parse_jsonl(text, "seed")
    assert ([e.prompt for e in examples], bad) == (["lights on"], [])


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_what_only_python_takes_for_a_line_break_is_text(separator: str) -> None:
    examples, bad = parse_jsonl(line(f"one{separator}two"), "seed")
    assert ([e.prompt for e in examples], bad) == ([f"one{separator}two"], [])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Expecting"),
        ("[" * 100_000, "recursion"),
        ("null", "messages"),
        ("[]", "messages"),
        ('{"messages": {}}', "messages"),
        ('{"messages": []}', "fewer than 2"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "fewer than 2"),
        ('{"messages": ["a", "b"]}', "role"),
        ('{"messages": [{"role": "tool", "content": "a"}, {"role": "assistant", "content": "b"}]}', "role"),
        ('{"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "b"}]}', "without text"),
        ('{"messages": [{"role": "user", "content": ["a"]}, {"role": "assistant", "content": "b"}]}', "without text"),
        ('{"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}', "last two"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}', "last two"),
        (line(slice=7), "string"),
        (line("x" * 20_001), "20000"),
        ('{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "b"}]}', "surrogate"),
    ],
)
def test_a_bad_line_is_quarantined_with_its_place_and_reason(content: str, reason: str) -> None:
    examples, (quarantined,) = parse_jsonl(f"{line()}\n{content}\n{line('lights off')}", "seed.jsonl")
    assert [e.prompt for e in examples] == ["lights on", "lights off"]
    assert quarantined.where == "seed.jsonl:2"
    assert reason in quarantined.reason
    assert content.startswith(quarantined.content)
    assert len(quarantined.content) <= 500


@given(st.text(max_size=200))
def test_any_text_is_sorted_into_examples_and_quarantine(text: str) -> None:
    examples, bad = parse_jsonl(text, "seed")
    assert examples == []  # no random text is a conversation
    assert len(bad) == sum(bool(part.strip()) for part in text.removeprefix("\ufeff").split("\n"))


TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_rows_are_written_one_a_line_and_come_back(pairs: list[tuple[str, str]]) -> None:
    rows = [Example(id=str(n), prompt=prompt, completion=completion, at=float(n)) for n, (prompt, completion) in enumerate(pairs)]
    text = to_jsonl(rows)
    assert [Example.model_validate_json(part) for part in text.split("\n")[:-1]] == rows
    assert "null" not in to_jsonl([Example(id="1", prompt="a", completion="b")])
