"""Lines of values in a YAML text."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.yaml_lines import line_of, lines_of, repeated_keys

TEXT = """\
# a comment
name: a
task:
  type: text

  label: x
gates:
  - {metric: f1, slice: a}
  -
    metric: exact_match
    any_of: [{metric: b},
      {metric: c}]
"""


def test_keys_and_items_have_their_line() -> None:
    lines = lines_of(yaml.compose(TEXT))
    assert lines[("name",)] == 2
    assert lines[("task", "label")] == 6
    assert lines[("gates", 0, "slice")] == 8
    assert lines[("gates", 1, "any_of", 1)] == 12
    assert line_of(lines, ("gates", 1, "margin")) == 10  # not in the file: where its gate begins
    assert line_of(lines, ("owners",)) == 2
    assert list(repeated_keys(yaml.compose(TEXT))) == []


def test_a_repeated_key_is_told_with_its_second_line() -> None:
    assert list(repeated_keys(yaml.compose("a: 1\nb: {c: 1,\n c: 2}\na: 2\n"))) == [(("b", "c"), 3), (("a",), 4)]


VALUES = st.recursive(
    st.integers(),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), VALUES, min_size=1))
def test_every_value_has_a_line_that_holds_its_key(document: dict) -> None:
    text = yaml.safe_dump(document)
    lines = lines_of(yaml.compose(text))

    def look(value: object, place: tuple) -> None:
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in children:
            line = text.splitlines()[lines[(*place, key)] - 1]
            assert f"{key}:" in line if isinstance(value, dict) else "-" in line or str(inner) in line
            look(inner, (*place, key))

    look(document, ())
