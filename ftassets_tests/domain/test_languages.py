"""The language of a request and of its answer."""

import subprocess
import sys

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


def test_the_detector_is_there_before_the_first_text() -> None:
    code = "import sys; from ftassets.domain import languages as l; l.load(); print(l._detector.cache_info().currsize)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "1"
