"""One answer against the one it should have been."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.evaluation.answer_form import AnswerForm, Classification, Text, ToolCall, parse_call
from ftassets.domain.evaluation.scoring import score

WANTED = '{"intent": "StartTimer", "minutes": 5}'
plain = st.none() | st.booleans() | st.integers() | st.text()
calls = st.dictionaries(st.text(max_size=8), plain, max_size=5)


@pytest.mark.parametrize(
    ("answer", "exact", "fields", "valid"),
    [
        ('{"minutes": 5, "intent": "StartTimer"}', True, 1.0, True),
        (' {"intent":"StartTimer","minutes":5}\n', True, 1.0, True),
        ('{"intent": "StartTimer", "minutes": 6}', False, 1 / 2, True),
        ('{"intent": "StartTimer"}', False, 1 / 2, True),
        ('{"intent": "StartTimer", "minutes": 5, "area": "kitchen"}', False, 2 / 3, True),
        ('{"intent": "StartTimer", "minutes": "5"}', False, 1 / 2, True),
        ("{}", False, 0.0, True),
        ('Sure: {"intent": "StartTimer", "minutes": 5}', False, 0.0, False),
        ('[{"intent": "StartTimer", "minutes": 5}]', False, 0.0, False),
        ("", False, 0.0, False),
        ("[" * 100_000, False, 0.0, False),
    ],
)
def test_answers(answer: str, exact: bool, fields: float, valid: bool) -> None:
    result = score("r1", "golden", answer, WANTED, ToolCall())
    assert (result.exact, result.fields, result.valid) == (exact, pytest.approx(fields), valid)
    assert (result.id, result.slice) == ("r1", "golden")


@settings(deadline=None)
@given(calls)
def test_a_call_matches_itself_in_any_layout(call: dict) -> None:
    result = score("r", "s", json.dumps(call, indent=2), json.dumps(call, sort_keys=True), ToolCall())
    assert result.exact
    assert result.fields == 1.0


@settings(deadline=None)
@given(calls, calls)
def test_exact_is_all_fields_and_never_more(answer: dict, wanted: dict) -> None:
    result = score("r", "s", json.dumps(answer), json.dumps(wanted), ToolCall())
    assert result.exact == (result.fields == 1.0)
    assert 0.0 <= result.fields <= 1.0


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_scored(answer: str) -> None:
    assert score("r", "s", answer, WANTED, ToolCall()).valid == (parse_call(answer) is not None)


def test_a_wrong_golden_row_is_named() -> None:
    with pytest.raises(ValueError, match="row r7: the expected answer is not a JSON object"):
        score("r7", "golden", "{}", "turn on the light", ToolCall())


def test_a_row_keeps_the_labels_of_both_answers() -> None:
    made = score("r", "s", '{"intent": "StopTimer"}', WANTED, ToolCall(), labelled=True)
    assert (made.expected, made.predicted) == ("StartTimer", "StopTimer")
    assert score("r", "s", "no call", WANTED, ToolCall(), labelled=True).predicted == "(none)"
    assert score("r", "s", WANTED, WANTED, ToolCall()).expected is None


@pytest.mark.parametrize(("answer", "form"), [(WANTED, ToolCall()), ("yes", Text()), ("yes", Classification())])
def test_an_answer_cut_at_the_limit_is_never_right(answer: str, form: AnswerForm) -> None:
    whole, cut = (score("r", "s", answer, answer, form, truncated, labelled=True) for truncated in (False, True))
    assert (whole.exact, whole.fields, whole.truncated) == (True, 1.0, False)
    assert (cut.exact, cut.fields, cut.truncated) == (False, 0.0, True)
    assert cut.predicted not in ("StartTimer", "yes")
    assert cut.valid == (not isinstance(form, Text)), "half of a text is not a text; half of a call is no call either"
