"""Values of a file, whether one a line, in an array or a single document."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain import json_items
from ftassets.domain.json_items import numbered_items
from ftassets.errors import InvalidInput


def items(text: str) -> list[tuple[int, Any]]:
    return [(number, json.loads(item)) for number, item in numbered_items(text.encode().splitlines(keepends=True))]


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[\n{"a": 1},\n{"a": 2}', "line 3: the JSON array is cut off"),
        ('[{"a": 1},', "cut off"),
        ('[\n{"a": 1},\n{"a" 2}]', "line 3: .*delimiter"),
        ('[{"a": 1} {"a": 2}]', "damaged after this member"),
        ('[{"a": 1}]\n[{"a": 2}]', "more in the file"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_damaged_array_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        items(text)


def test_an_array_that_does_not_fit_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items, "MAX_DOCUMENT", 2**20)
    with pytest.raises(InvalidInput, match="more than 1 MiB: write one value a line"):
        items("[" + " " * 2**20 + "]")


def test_bytes_that_are_not_utf8_spoil_their_member_only() -> None:
    members = list(numbered_items([b'[{"a": "\xff"}, {"a": 1}]']))
    assert members == [(1, b'{"a": "\xff"}'), (1, b'{"a": 1}')]
