"""The language of a request and of its answer."""

import pytest

from ftassets.domain.languages import detect, in_another_language

ENGLISH, GERMAN = "Please switch the lights in the kitchen off.", "Bitte schalte das Licht in der K\u00fcche aus."


@pytest.mark.parametrize(
    ("request_", "answer", "other"),
    [(ENGLISH, GERMAN, True), (ENGLISH, ENGLISH, False), (GERMAN, GERMAN, False), ("off", GERMAN, None), (ENGLISH, "ok", None)],
)
def test_only_texts_whose_language_is_known_are_compared(request_: str, answer: str, other: bool | None) -> None:
    assert in_another_language(request_, answer) is other


def test_placeholders_and_white_space_are_no_text() -> None:
    assert detect("<EMAIL> " * 20) == (None, None)
    assert detect(f"<PERSON>\n{ENGLISH}")[0] == "en"
