import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.json_strings import is_json, with_strings


def test_what_does_not_change_keeps_its_spelling():
    document = '{ "a\\u00e9": [1.50, "B\\/b", "c"], "d" : "\\n" }'
    assert with_strings(document, str) == document
    assert with_strings(document, str.lower) == '{ "a\\u00e9": [1.50, "b/b", "c"], "d" : "\\n" }'


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), st.booleans())
def test_all_strings_are_changed_and_nothing_else(value, ascii_only):
    document = json.dumps(value, ensure_ascii=ascii_only)

    def marked(each):
        if isinstance(each, dict):
            return {f"{key}!": marked(item) for key, item in each.items()}
        return [marked(item) for item in each] if isinstance(each, list) else f"{each}!" if isinstance(each, str) else each

    assert json.loads(with_strings(document, lambda text: f"{text}!")) == marked(value)


@pytest.mark.parametrize(("text", "whole"), [("{}", True), ("12", True), ("null", True), ("hello", False), ('{"a"', False), ("", False)])
def test_is_json(text, whole):
    assert is_json(text) is whole
