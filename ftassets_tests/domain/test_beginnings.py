"""People shorten names: what is found, and what is said otherwise."""

import pytest

from ftassets.domain.beginnings import the_one
from ftassets.errors import InvalidInput


@pytest.mark.parametrize(("beginning", "found"), [("abc1", "abc123"), ("abc", "abc"), ("d", "def")])
def test_the_one_name_that_begins_so_is_found_and_a_whole_name_is_itself(beginning: str, found: str) -> None:
    assert the_one(beginning, ["abc123", "abc", "def", "def"], "key") == found


@pytest.mark.parametrize(
    ("beginning", "names", "words"),
    [
        ("x", ["abc", "def"], "'x' names no key; there is abc, def: make one"),
        ("", ["abc"], "'' names no key; there is abc"),
        ("x", [], "'x' names no key; nothing is stored: make one"),
        ("a", ["a" * 20 + "1", "a" * 20 + "2"], f"begins 2 names where one key is wanted: {'a' * 20}1, {'a' * 20}2; give more of it"),
        ("a", [f"a{number:02}" for number in range(12)], "a08, a09 and 2 more; give more"),
    ],
)
def test_none_and_several_are_refused_with_names_that_can_be_told_apart(beginning: str, names: list[str], words: str) -> None:
    with pytest.raises(InvalidInput, match="names") as refused:
        the_one(beginning, names, "key", "make one")
    assert words in str(refused.value)
