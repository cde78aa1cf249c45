import ast
import itertools
import re

import pytest

from ftassets.wording import amount, utc
from ftassets_tests import ROOT

NOUNS = (
    "rows|answers|requests|users|labels|files|days|versions|errors|alarms|reports|conversations|pairs|events|lines|tokens|steps|epochs|decisions|"
    "turns|runs|candidates|clusters|bytes|characters|times|windows|gates|records|verdicts|classes|queries|batches"
)

# words, numbers in words, and what the code keeps at two or more
STAND = {
    "len(found) or 'no'",
    "self._endpoint",
    "gateway",
    "self._model.url",
    "schema['maxLength']",
    "others",
    "best.rows[0]",
    "about(labels)",
    "about(rows)",
    "len(parts)",
    "when",
    "safe[0].rpartition('.')[2]",
    "amount(train.gradient_accumulation_steps, 'batch makes', 'batches make')",
}


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (1, ("row",), "1 row"),
        (0, ("row",), "0 rows"),
        (1200, ("query", "queries"), "1,200 queries"),
        (1, ("answer is", "answers are"), "1 answer is"),
        (2, ("answer is", "answers are"), "2 answers are"),
    ],
)
def test_a_noun_follows_its_number(number, words, said):
    assert amount(number, *words) == said


def test_any_time_is_shown_also_after_the_last_year_of_the_calendar():
    assert utc(1e15) == "1000000000000000.0 seconds after 1970"
    assert utc(0) == "1970-01-01 00:00:00 UTC"


def test_no_sentence_says_1_rows():
    """A whole number before a noun goes through `amount`; constants and numbers with a format may stand."""
    said = []
    for file in sorted((ROOT / "ftassets").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else []
            for number, words in itertools.pairwise(parts):
                if not (isinstance(number, ast.FormattedValue) and isinstance(words, ast.Constant)):
                    continue
                if re.match(rf" (?:{NOUNS})\b", str(words.value)) and not _may_stand(number):
                    said.append(f"{file.relative_to(ROOT)}:{number.lineno} {{{ast.unparse(number.value)}}}{words.value!r}")
    assert not said, "write amount(number, 'noun'):\n" + "\n".join(said)


def _may_stand(number: ast.FormattedValue) -> bool:
    name = ast.unparse(number.value)
    formatted = number.format_spec is not None and ast.unparse(number.format_spec) != "f','"
    return formatted or name.isupper() or name in STAND
