"""Values of a file, whether one a line, in an array or a single document."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain import json_items
from ftassets.domain.json_items import DamagedArray, numbered_items
from ftassets.errors import InvalidInput


def items(text: str) -> list[tuple[int, Any]]:
    return [
        (number, item if isinstance(item, DamagedArray) else json.loads(item))
        for number, item in numbered_items(text.encode().splitlines(keepends=True))
    ]


JSON = st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.lists(st.dictionaries(st.text(), JSON), min_size=1, max_size=4), st.sampled_from([None, 1, 4]))
def test_lines_and_arrays_give_the_same_values(values: list[dict], indent: int | None) -> None:
    assert [value for _, value in items("\n\n".join(map(json.dumps, values)))] == values
    assert [value for _, value in items("\ufeff " + json.dumps(values, indent=indent, ensure_ascii=False))] == values


@given(st.dictionaries(st.text(), JSON, min_size=1))
def test_an_object_over_several_lines_is_one_value(value: dict) -> None:
    assert items("\n" + json.dumps(value, indent=2)) == [(2, value)]


@given(st.lists(st.dictionaries(st.text(), JSON, min_size=1), min_size=1, max_size=4))
def test_objects_over_several_lines_are_values_one_after_the_other(values: list[dict]) -> None:
    text = "\n".join(json.dumps(value, indent=4) for value in values)  # as OpenTelemetry's console exporter prints spans
    starts = [1 + "\n".join(json.dumps(value, indent=4) for value in values[:n]).count("\n") + (n > 0) for n in range(len(values))]
    assert items(text) == list(zip(starts, values, strict=True))


def test_members_of_an_array_have_the_line_on_which_they_begin() -> None:
    assert items('\n[\n {"a":\n 1},\n\n {"a": 2}, {"a": 3}\n]\n') == [(3, {"a": 1}), (6, {"a": 2}), (6, {"a": 3})]
    assert items(" [ ] ") == []


def test_a_cut_first_line_does_not_take_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b'{"a": \n', b'{"a": 2}\n', b"\n", b'{"a": 3}']
    expected = [(1, lines[0]), (2, lines[1]), (4, lines[3])]
    assert list(numbered_items(lines)) == expected
    monkeypatch.setattr(json_items, "MAX_DOCUMENT", 10)
    assert list(numbered_items(lines)) == expected


ONE, TWO, THREE = {"a": 1}, {"a": 2}, {"a": {"a": 3}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[\n{"a": 1},\n{"a": 2}', [(2, ONE), (3, TWO), (3, "line 3: .* at member 2: no comma and no end after it")]),
        ('[{"a": 1},', [(1, ONE), (1, "line 1: .* at member 2: Expecting value")]),
        ('[\n{"a": 1},\n{"a" 2}]', [(2, ONE), (3, "line 3: .* at member 2: Expecting ':' delimiter")]),
        ('[\n{"a": 1},\n{"a" 2},\n{"a": 2}]', [(2, ONE), (3, "line 3: .*delimiter"), (4, TWO)]),
        ('[{"a": 1} {"a": 2}]', [(1, ONE), (1, "no comma and no end")]),
        ('[{"a": 1}]\n[{"a": 2}]', [(1, ONE), (2, "line 2: .* more in the file")]),
        ('[{"a": 1}]\n{"a": 2}', [(1, ONE), (2, "line 2: .* more in the file"), (2, TWO)]),
        ('[INFO] read\n{"a": 1}\nbad\n{"a": 2}\n\n', [(1, "line 1: .* at member 1"), (2, ONE), (3, "line 3: .* at member 2"), (4, TWO)]),
        ("[" * 100_000, [(1, "recursion")]),
        ("[\n\n", [(1, "Expecting value")]),
    ],
)
def test_of_a_damaged_array_what_is_whole_is_read_and_the_rest_is_named(text: str, found: list[tuple[int, dict | str]]) -> None:
    read = items(text)
    assert [number for number, _ in read] == [number for number, _ in found]
    for (number, item), (_, expected) in zip(read, found, strict=True):
        if isinstance(expected, str):
            assert isinstance(item, DamagedArray)
            assert item.line == number
            assert re.search(expected, str(item))
        else:
            assert item == expected


@given(st.lists(st.just(ONE) | st.just(THREE), min_size=2, max_size=6), st.data())
def test_one_member_that_is_damaged_takes_no_other_with_it(values: list[dict], data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, len(values) - 1))
    for indent, margin in ((None, 0), (1, 1), (4, 4)):
        written = [json.dumps(value, indent=indent).replace("\n", "\n" + " " * margin) for value in values]
        written[bad] = written[bad][:-1] + "x}"
        text = "[\n" + ",\n".join(" " * margin + each for each in written) + "\n]"
        read = [item for _, item in items(text)]
        assert [item for item in read if not isinstance(item, DamagedArray)] == values[:bad] + values[bad + 1 :]
        assert len(read) == len(values)


def test_a_number_of_many_digits_damages_no_array() -> None:
    assert [bytes(item) for _, item in numbered_items([b"[1, " + b"9" * 5000 + b"]"])] == [b"1", b"9" * 5000]


def test_an_array_that_does_not_fit_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items, "MAX_DOCUMENT", 2**20)
    with pytest.raises(InvalidInput, match="more than 1 MiB: write one value a line"):
        items("[" + " " * 2**20 + "]")


def test_bytes_that_are_not_utf8_spoil_their_member_only() -> None:
    members = list(numbered_items([b'[{"a": "\xff"}, {"a": 1}]']))
    assert members == [(1, b'{"a": "\xff"}'), (1, b'{"a": 1}')]
