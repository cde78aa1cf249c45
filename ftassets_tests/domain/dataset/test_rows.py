"""Which lines become examples, which are quarantined, and why."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.chat import ToolCall, question
from ftassets.domain.dataset.rows import MAX_LINE, Example, Quarantined, parse_jsonl, read_jsonl, to_jsonl


def line(prompt: str = "lights on", completion: str = '{"intent": "on"}', **fields: Any) -> str:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
    return json.dumps({"messages": messages, **fields}, ensure_ascii=False)


def test_a_line_becomes_an_example() -> None:
    examples, bad = parse_jsonl(line(id="r1", slice="drifted", group="g1"), "seed.jsonl")
    assert bad == []
    assert examples == [
        Example(id="r1", messages=question("lights on"), completion='{"intent": "on"}', slice="drifted", group="g1", source="seed.jsonl")
    ]


TOOL = {"type": "function", "function": {"name": "find_order"}}


def test_a_row_keeps_its_whole_conversation() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": 7}'}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "where is"}, {"type": "text", "text": "my order?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "find_order", "content": "in Hamburg"},
        {"role": "assistant", "content": "In Hamburg. Cancel it?"},
        {"role": "user", "content": "yes"},
        {"role": "assistant", "content": "Cancelled."},
    ]
    (row,), bad = parse_jsonl(json.dumps({"messages": messages, "tools": [TOOL]}), "seed")
    assert bad == []
    assert row.completion == "Cancelled."
    assert [(m.role, m.content) for m in row.messages] == [
        ("system", "Be brief."),
        ("user", "where is\nmy order?"),
        ("assistant", None),
        ("tool", "in Hamburg"),
        ("assistant", "In Hamburg. Cancel it?"),
        ("user", "yes"),
    ]
    assert row.messages[2].tool_calls == (ToolCall(id="c1", name="find_order", arguments='{"number": 7}'),)
    assert json.loads(row.tools or "") == [TOOL]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"role": "system", "content": "x"}, "a system message after the first message"),
        ({"role": "user", "content": "x", "name": "anna"}, "'name'"),
        ({"role": "assistant", "content": "x", "reasoning_content": "because"}, "'reasoning_content'"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "'image_url' is not text"),
        ({"role": "assistant", "content": "x", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}, "text next to tool calls"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}, "not a JSON object"),
        ({"role": "assistant", "content": ""}, "without text"),
    ],
)
def test_what_no_model_would_read_is_quarantined_by_name(change: dict, reason: str) -> None:
    messages = [{"role": "user", "content": "a"}, change, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]
    examples, (bad,) = parse_jsonl(json.dumps({"messages": messages}), "seed")
    assert examples == []
    assert reason in bad.reason


def test_the_answer_is_text_and_the_one_that_is_taught() -> None:
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    for answer, reason in (
        (call, "a call of tools"),
        ({"role": "assistant", "content": "b", "weight": 0}, "weight 0"),
        ({"role": "assistant", "content": "b", "weight": 0.5}, "the field 'weight' of the last answer is 0.5"),
    ):
        examples, (bad,) = parse_jsonl(json.dumps({"messages": [{"role": "user", "content": "a"}, answer]}), "seed")
        assert examples == []
        assert reason in bad.reason


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"instruction": "add", "response": "r"}, "add"),
        ({"instruction": "add", "input": "1 2", "response": "r"}, "add\n\n1 2"),
        ({"instruction": "add", "input": "", "response": "r"}, "add"),
        ({"instruction": "add", "input": None, "response": "r"}, "add"),
    ],
)
def test_instruction_rows_are_taken_too(row: dict, prompt: str) -> None:
    (example,), bad = parse_jsonl(json.dumps({**row, "id": 7, "slice": "s"}), "seed")
    assert bad == []
    assert example == Example(id="7", messages=question(prompt), completion="r", slice="s", source="seed")


@pytest.mark.parametrize(
    ("fields", "quality"),
    [
        ({}, None),
        ({"quality_score": 0.9}, 0.9),
        ({"metadata": {"quality_score": 1}}, 1.0),
        ({"metadata": "x"}, None),
        ({"quality_score": 0}, 0.0),
    ],
)
def test_a_quality_score_comes_from_the_row_or_its_metadata(fields: dict, quality: float | None) -> None:
    (example,), _ = parse_jsonl(line(**fields), "seed")
    assert example.quality == quality


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-0.1", "1.01", "true", '"0.9"', "[]", "1" + "0" * 400])
def test_a_quality_score_that_is_none_is_refused(score: str) -> None:
    examples, (bad,) = parse_jsonl(line()[:-1] + f', "quality_score": {score}}}', "seed")
    assert examples == []
    assert "quality_score" in bad.reason


def test_a_key_that_is_there_twice_is_quarantined_by_name() -> None:
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1, "a": 2}'}}]}
    messages = [{"role": "user", "content": "a"}, call, {"role": "tool", "content": "b"}, {"role": "assistant", "content": "c"}]
    for text, key in ((line()[:-1] + ', "group": "a", "group": "b"}', "group"), (json.dumps({"messages": messages}), "a")):
        examples, (bad,) = parse_jsonl(text, "seed")
        assert examples == []
        assert f"the key '{key}' is there twice" in bad.reason


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
        ("[" * 100_000, "levels deep"),
        ("null", "messages"),
        ("[]", "messages"),
        ('{"messages": {}}', "messages"),
        ('{"messages": [], "instruction": "a", "response": "b"}', "both 'messages' and 'instruction'"),
        ('{"instruction": "a"}', "'response' or 'output' is not a text or has none"),
        ('{"instruction": " ", "response": "b"}', "'instruction' is not a text or has none"),
        ('{"response": "b"}', "instruction"),
        ('{"instruction": "a", "input": 5, "response": "b"}', "input"),
        (line(id={"a": 1}), "id"),
        (line(id=True), "id"),
        ('{"messages": []}', "fewer than 2"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "fewer than 2"),
        ('{"messages": ["a", "b"]}', "role"),
        ('{"messages": [{"role": "tool", "content": "a"}, {"role": "assistant", "content": "b"}]}', "role"),
        ('{"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "b"}]}', "without text"),
        ('{"messages": [{"role": "user", "content": ["a"]}, {"role": "assistant", "content": "b"}]}', "is not text"),
        ('{"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}', "not the assistant's"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}', "not the assistant's"),
        (line(slice=7), "the field 'slice': Input should be a valid string"),
        (line("x" * 200_001), "200,000"),
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


@given(st.text(max_size=200).filter(lambda text: not text.lstrip("\ufeff \t\r\n").startswith("[")))
def test_any_text_is_sorted_into_examples_and_quarantine(text: str) -> None:
    examples, bad = parse_jsonl(text, "seed")
    assert examples == []  # no random text is a conversation
    assert len(bad) == sum(bool(part.strip()) for part in text.removeprefix("\ufeff").split("\n"))


# Lines as bytes


def read(*lines: bytes) -> tuple[list[Example], list[Quarantined]]:
    items = list(read_jsonl(lines, "seed"))
    return [i for i in items if isinstance(i, Example)], [i for i in items if isinstance(i, Quarantined)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"messages": "\xff"}', "byte 15 is not UTF-8"),
        (line("\u00e9").encode("latin-1"), "is not UTF-8 text: save"),
        (line("lights").encode("utf-16"), "is not UTF-8 text"),
        (b'{"a": "' + "\ud800".encode(errors="surrogatepass") + b'"}', "is not UTF-8 text"),
        (line("x").encode() + b" " * MAX_LINE, "1,000,000"),
        (b'{"a":' * 50_000, "levels deep"),
        (b"\xef\xbb\xbf" + line().encode(), "BOM"),
        (b"\x00", "not JSON from character 1 on"),
        (b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "n": ' + b"1" * 5000 + b"}", "digits"),
    ],
)
def test_a_line_is_decoded_by_itself_and_quarantined_with_its_number(bad: bytes, reason: str) -> None:
    examples, (quarantined,) = read(line().encode(), b"\n", bad, line("lights off").encode())
    assert [e.prompt for e in examples] == ["lights on", "lights off"]
    assert quarantined.where == "seed:3"
    assert reason in quarantined.reason
    assert len(quarantined.content) <= 500


def test_a_byte_order_mark_before_the_first_line_and_windows_line_ends_do_not_matter() -> None:
    examples, bad = read(b"\xef\xbb\xbf" + line().encode() + b"\r\n", b"\r\n", line("lights off").encode() + b"\r\n")
    assert ([e.prompt for e in examples], bad) == (["lights on", "lights off"], [])


def test_lines_are_read_one_at_a_time() -> None:
    read_so_far = []

    def lines() -> Iterator[bytes]:
        for number in range(3):
            read_so_far.append(number)
            yield line(f"request {number}").encode()

    next(read_jsonl(lines(), "seed"))
    assert read_so_far == [0]


def test_a_hundred_thousand_nasty_lines_are_all_accounted_for() -> None:
    rng = random.Random(0)
    good = [line(f"request {n}", quality_score=0.5).encode() for n in range(20)]
    good.append(json.dumps({"instruction": "a", "input": "b", "response": "c"}).encode())
    pool = [*good, b"", b"null", b"[" * 2000, b'{"a":' * 900, b"\xff\xfe", b"\x00", b'"\\ud800"', b"NaN", b"-", b"1e999", b"{}", b"[{}]"]
    for _ in range(3000):
        text = bytearray(rng.choice(good))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(text))
            kind = rng.randrange(4)
            if kind == 0:
                text[place] = rng.randrange(256)
            elif kind == 1:
                del text[place : place + rng.randint(1, 20)]
            elif kind == 2:
                text[place:place] = rng.choice([b"\\u0000", b"\xc3", b"{", b'"', b"null", b"1e400", b"\\ud800", "\u2028".encode(), b"[[["])
            else:
                text += text[place:]
            text = text or bytearray(b"x")
        pool.append(bytes(text).replace(b"\n", b" "))
    lines = [rng.choice(pool) for _ in range(100_000)]
    examples, bad = read(*lines)
    assert len(examples) + len(bad) == sum(not is_blank(one) for one in lines)
    assert len(examples) > 1000
    assert len(bad) > 50_000
    assert all(q.reason for q in bad)
    to_jsonl(examples).encode()  # what was taken can be written
    json.dumps([vars(q) for q in bad], ensure_ascii=False).encode()


def is_blank(one: bytes) -> bool:
    try:
        return not one.decode().strip()
    except UnicodeDecodeError:
        return False


TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_rows_are_written_one_a_line_and_come_back(pairs: list[tuple[str, str]]) -> None:
    rows = [
        Example(id=str(n), messages=question(prompt), completion=completion, at=float(n)) for n, (prompt, completion) in enumerate(pairs)
    ]
    text = to_jsonl(rows)
    assert [Example.model_validate_json(part) for part in text.split("\n")[:-1]] == rows
    assert "null" not in to_jsonl([Example(id="1", messages=question("a"), completion="b")])


@pytest.mark.parametrize("part", ["test", "validation", "dev"])
def test_a_seed_row_of_another_split_is_not_for_training(part: str) -> None:
    def read_as(source: str, split: str) -> list[str]:
        row = {"instruction": "a", "response": "b", "split": split}
        return [each.reason for each in parse_jsonl(json.dumps(row), source)[1]]

    assert read_as("seed", part) == [
        f"the field 'split' says '{part}': a row that is not for training belongs into the golden set or a set"
    ]
    assert read_as("seed", "train") == read_as("golden", part) == []
