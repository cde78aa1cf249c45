"""Folded texts: ASCII for the patterns, and every place back to where it was."""

from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.personal_data.folding import folded, unescaped
from ftassets.domain.personal_data.spans import Span


def test_digits_letters_spaces_and_dashes_are_read_as_ascii() -> None:
    assert folded("Ａ１٣۴৫　a\u00a0b–c−d／").text == "A1345 a b-c-d/"


def test_characters_without_width_are_left_out_and_places_lead_back() -> None:
    view = folded("a\u200b1\u200e2")
    assert view.text == "a12"
    assert view.back(Span("X", 1, 3)) == Span("X", 2, 5)


def test_superscripts_are_no_digits() -> None:
    assert folded("10²").text == "10²"


def test_escapes_are_undone_as_far_down_as_they_go() -> None:
    view = unescaped('"\\\\u0041\\\\n1"')
    assert view is not None
    assert view.text == '"A\n1"'
    assert view.back(Span("X", 1, 2)) == Span("X", 1, 8)
    assert unescaped("C:\\windows") is None


@given(st.text(), st.data())
def test_places_lead_into_the_text(text: str, data: st.DataObject) -> None:
    for view in (folded(text), unescaped(text)):
        if view is None or not view.text:
            continue
        start = data.draw(st.integers(0, len(view.text) - 1))
        end = data.draw(st.integers(start + 1, len(view.text)))
        _, first, last = view.back(Span("X", start, end))
        assert 0 <= first < last <= len(text)
        assert view.back(Span("X", 0, len(view.text))).start <= first
