"""When an exchange is a failure of the model."""

import pytest

from ftassets.domain.evaluation.answer_form import Classification, Text, ToolCall
from ftassets.domain.traffic.exchange import STEERED, Exchange, Outcomes
from ftassets.testing.contracts.traffic_log import exchange


@pytest.mark.parametrize(
    ("answer", "judged"),
    [
        ('{"intent": "on"}', [True, True, False]),
        ("I cannot do that", [False, True, False]),
        ("refund", [False, True, True]),
        (" ", [False] * 3),
    ],
)
def test_an_answer_is_judged_by_the_form_of_its_task(answer: str, judged: list[bool]) -> None:
    row = exchange(1, answer=answer)
    forms = (ToolCall(), Text(), Classification(frozenset({"refund", "cancel"})))
    assert row.well_formed is None
    assert [row.judged(form).well_formed for form in forms] == judged


@pytest.mark.parametrize(
    ("answer", "truncated", "explained"), [("the light", True, True), ("", False, True), ("the light is on", False, False)]
)
def test_an_answer_without_the_form_is_explained_by_what_the_client_set(answer: str, truncated: bool, explained: bool) -> None:
    row = exchange(1, answer=answer).judged(Text(), truncated, "stop")
    assert (row.well_formed, row.error) == ((False, f"{STEERED}stop") if explained else (True, None))


def test_an_answer_that_declines_or_is_in_another_language_is_known_as_such() -> None:
    asked, german = (
        "Which trains go to Berlin tomorrow morning?",
        "Morgen fr\u00fch fahren drei Z\u00fcge nach Berlin, der erste um sechs Uhr.",
    )
    row = exchange(1, prompt=asked, answer=german)
    assert (row.refused, row.other_language) == (None, None)
    judged = row.judged(Text())
    assert (judged.refused, judged.other_language) == (False, True)
    english = exchange(1, prompt=asked, answer="I'm sorry, but I cannot look up trains.").judged(Text())
    assert (english.refused, english.other_language) == (True, False)
    assert exchange(1, prompt="ok", answer=german).judged(Text()).other_language is None, "too short to tell"
    assert row.judged(ToolCall()).other_language is None, "a call is in no language"
    assert exchange(1, answer=" ").judged(ToolCall()).refused


@pytest.mark.parametrize("status", [400, 499, 500])
def test_without_an_answer_there_is_nothing_to_judge(status: int) -> None:
    row: Exchange = exchange(1, answer="", status=status)
    assert row.judged(Text()) == row


@pytest.mark.parametrize(
    ("status", "well_formed", "judged", "malformed", "failed"),
    [
        (200, True, True, False, False),
        (200, False, True, True, True),
        (200, None, False, False, False),
        (400, None, False, False, False),  # what a client got wrong or broke off is neither good nor bad
        (499, None, False, False, False),
        (500, None, True, False, True),
        (504, None, True, False, True),
    ],
)
def test_an_outcome_says_whether_the_model_failed(
    status: int, well_formed: bool | None, judged: bool, malformed: bool, failed: bool
) -> None:
    outcome = Outcomes("v1", 5.0, status, well_formed, 3)
    assert (outcome.judged, outcome.malformed, outcome.failed) == (judged, malformed, failed)
