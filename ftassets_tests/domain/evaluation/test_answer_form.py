import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.evaluation.answer_form import (
    LONGEST_LABEL,
    NO_LABEL,
    AnswerForm,
    Classification,
    TaskType,
    Text,
    ToolCall,
    form_of,
    is_label,
)

TIMER = '{"intent": "StartTimer", "minutes": 5}'
QUEUES = Classification(frozenset({"billing", "Account Access"}))
FORMS = [form_of(task) for task in get_args(TaskType)] + [QUEUES]


def test_every_type_of_task_has_a_form() -> None:
    assert [type(form_of(task)) for task in get_args(TaskType)] == [ToolCall, Text, Classification]
    assert form_of("classification", labels=["a", "b"]) == Classification(frozenset("ab"))
    assert form_of("tool_call", "queue").label('{"queue": "billing"}') == "billing"


@pytest.mark.parametrize(
    ("form", "answer", "fault"),
    [
        (ToolCall(), TIMER, None),
        (ToolCall(), "sure thing", "is not a JSON object"),
        (ToolCall(), '["On"]', "is not a JSON object"),
        (ToolCall(), '{"a": NaN}', "is not a JSON object: NaN is not JSON"),
        (ToolCall(), '{"a": 1, "a": 2}', "is not a JSON object: the key 'a' is there twice"),
        (Text(), "sure thing", None),
        (Text(), " \n", "is empty"),
        (Classification(), " billing\n", None),
        (Classification(), " ", "is empty"),
        (Classification(), "one\ntwo", "is not a label: it has more than one line or more than 100 characters"),
        (Classification(), "x" * 101, "is not a label: it has more than one line or more than 100 characters"),
        (QUEUES, "billing ", None),
        (QUEUES, "Billing", "is an unknown label: 'Billing'"),
        (QUEUES, "one\ntwo", "is an unknown label: 'one\\ntwo'"),
    ],
)
def test_what_an_answer_lacks_is_said(form: AnswerForm, answer: str, fault: str | None) -> None:
    assert form.fault(answer) == fault
    assert form.well_formed(answer) == (fault is None)


TIMERS = ToolCall(schema=json.dumps({"required": ["intent"], "properties": {"minutes": {"type": "integer", "maximum": 60}}}))
PARALLEL, IN_TURN = ToolCall(calls="unordered"), ToolCall(calls="ordered")
LIGHT = '{"intent": "Light"}'


@pytest.mark.parametrize(
    ("form", "answer", "fault"),
    [
        (TIMERS, TIMER, None),
        (TIMERS, '{"intent": "StartTimer", "minutes": 5.0}', None),  # one number, however it is written
        (TIMERS, '{"intent": "StartTimer", "minutes": "5"}', 'does not fit task.call_schema at $.minutes: "type": "integer"'),
        (TIMERS, '{"minutes": 5}', 'does not fit task.call_schema at $: "required": ["intent"]'),
        (TIMERS, f"[{TIMER}]", "is not a JSON object"),
        (PARALLEL, f"[{TIMER}, {LIGHT}]", None),
        (PARALLEL, "[]", None),
        (PARALLEL, LIGHT, None),
        (PARALLEL, f'[{TIMER}, "Light"]', "is not a JSON object or a list of them"),
        (PARALLEL, "sure", "is not a JSON object or a list of them"),
        (ToolCall(schema=TIMERS.schema, calls="ordered"), f'[{LIGHT}, {{"intent": "b", "minutes": 61}}]',
         'does not fit task.call_schema at $.minutes: "maximum": 60'),
    ],
)  # fmt: skip
def test_what_a_call_or_a_list_of_calls_lacks_is_said(form: ToolCall, answer: str, fault: str | None) -> None:
    assert form.fault(answer) == fault
    assert form.well_formed(answer) == (fault is None)


def test_parallel_calls_have_no_order_unless_it_counts() -> None:
    both, turned = f"[{TIMER}, {LIGHT}]", f"[{LIGHT},{TIMER}]"
    assert PARALLEL.agreement(turned, both) == (True, 1.0)
    assert IN_TURN.agreement(turned, both) == (False, 0.0)
    assert PARALLEL.agreement(LIGHT, both) == (False, 0.5)
    assert PARALLEL.agreement(f"[{LIGHT}]", LIGHT) == (True, 1.0)  # one call, as a list or not
    assert PARALLEL.agreement('[{"intent": "StartTimer", "minutes": 6}, {"intent": "Light"}]', both) == (False, 0.75)
    assert PARALLEL.agreement("[]", "[]") == (True, 1.0)
    assert (PARALLEL.label(turned), IN_TURN.label(turned)) == ("Light + StartTimer", "Light + StartTimer")
    assert (PARALLEL.label(both), IN_TURN.label(both)) == ("Light + StartTimer", "StartTimer + Light")
    assert PARALLEL.label("[]") == PARALLEL.label("sure") == ToolCall().label(both) == NO_LABEL
    assert PARALLEL.canonical(turned) == PARALLEL.canonical(both) != IN_TURN.canonical(both)
    assert IN_TURN.canonical(turned) != IN_TURN.canonical(both)
    assert PARALLEL.canonical(f"[{LIGHT}]") == PARALLEL.canonical(LIGHT)
    assert PARALLEL.from_json(json.loads(both)) == both
    assert PARALLEL.from_json(json.loads(f"[{LIGHT}]")) == LIGHT
    assert PARALLEL.row_fault('[{"intent": "\\ud800"}]') == "holds half of a surrogate pair"


def test_a_text_of_a_model_is_whole_and_does_not_repeat_itself() -> None:
    assert not Text().well_formed("the light is", truncated=True)
    assert not Text().well_formed("the light is " * 20)
    assert Text().fault("no " * 20) is None, "a person may write a refrain"
    assert ToolCall().well_formed(TIMER, truncated=True)


def test_the_class_of_an_answer() -> None:
    assert ToolCall().label(TIMER) == "StartTimer"
    assert ToolCall("minutes").label(TIMER) == "5"
    assert ToolCall("area").label(TIMER) == ToolCall().label("no call") == NO_LABEL
    assert QUEUES.label(" billing\n") == "billing"
    assert QUEUES.label("one\ntwo") == QUEUES.label("") == NO_LABEL
    with pytest.raises(ValueError, match="a text task has no classes"):
        Text().label("hello")
    with pytest.raises(ValueError, match="a text task has no classes"):
        _ = Text().with_class


def test_answers_without_a_class_are_told_from_a_task_without_classes() -> None:
    assert Text().no_classes(["hello"]) == "does not apply: a text task has no classes"
    assert (
        ToolCall("queue").no_classes([TIMER]) == 'no answer names a class: each must be a JSON object whose field "queue" names the class'
    )
    assert ToolCall().no_classes(["{}", TIMER]) is ToolCall().no_classes([]) is None
    assert QUEUES.no_classes(["one\ntwo"]) == "no answer names a class: each must be the label of the class, alone"


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_agrees_with_itself_but_for_white_space_around_it(form: AnswerForm) -> None:
    assert form.agreement(f" {TIMER}\n", TIMER) == (True, 1.0)
    assert form.agreement("{}", TIMER) == (False, 0.0)
    assert form.canonical(TIMER) == form.canonical(TIMER)


def test_case_counts_in_answers_and_not_in_what_people_write() -> None:
    assert QUEUES.agreement("Billing", "billing") == (False, 0.0)
    assert QUEUES.spelled(" BILLING") == "billing"
    assert QUEUES.spelled("account  access") == "Account Access"
    assert QUEUES.spelled("Account access please") == "Account access please"
    assert Classification(frozenset({"a", "A"})).spelled("a ") == "a"
    assert ToolCall().spelled(" {} ") == Text().spelled(" {} ") == " {} "


def test_labels_that_are_not_listed_are_learned_from_right_answers() -> None:
    assert Classification().knowing(["b", " a", "a", "one\ntwo", ""]) == Classification(frozenset("ab"))
    assert QUEUES.knowing(["refund"]) is QUEUES
    assert Text().knowing(["refund"]) == Text()
    assert QUEUES.unknown_label("refund") == "refund"
    assert Classification().unknown_label("refund") is None


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_survives_a_json_document(form: AnswerForm) -> None:
    answer = TIMER if isinstance(form, ToolCall) else "billing"
    assert form.from_json(json.loads(json.dumps(form.as_json(answer)))) == answer
    with pytest.raises(ValueError, match="the completion is"):
        form.from_json(None)


def test_only_a_known_label_is_taken_from_a_json_document() -> None:
    with pytest.raises(ValueError, match="the completion is an unknown label: 'refund'"):
        QUEUES.from_json("refund")
    with pytest.raises(ValueError, match="the completion is not a label of the task"):
        QUEUES.from_json({"intent": "billing"})


@given(st.text(max_size=2 * LONGEST_LABEL))
def test_a_label_is_its_own_class_and_any_other_text_has_none(text: str) -> None:
    label = Classification().label(text)
    assert (label == text.strip() and is_label(label)) if Classification().well_formed(text) else label == NO_LABEL


@pytest.mark.parametrize(
    ("answer", "expected", "outcome"),
    [
        ('{"on": 1}', '{"on": true}', (False, 0.0)),
        ('{"on": 0, "n": 2}', '{"on": false, "n": 2.0}', (False, 0.5)),
        ('{"n": 1.0, "m": [1e2]}', '{"m": [100], "n": 1}', (True, 1.0)),
        ('{"n": NaN}', '{"n": 1}', (False, 0.0)),
        ('{"n": 1, "n": 1}', '{"n": 1}', (False, 0.0)),
        ('{"cafe\u0301": "e\u0301"}', '{"caf\u00e9": "\u00e9"}', (True, 1.0)),
        ('{"n": "1"}', '{"n": 1}', (False, 0.0)),
    ],
)
def test_json_answers_are_read_in_one_way(answer: str, expected: str, outcome: tuple[bool, float]) -> None:
    form = ToolCall("n")
    assert form.agreement(answer, expected) == outcome
    assert (form.canonical(answer) == form.canonical(expected)) == outcome[0]


def test_numbers_and_truth_values_are_classes_of_their_own() -> None:
    form = ToolCall("on")
    assert [form.label(f'{{"on": {value}}}') for value in ("1", "1.0", "true", "null", '"e\u0301"')] == [
        "1", "1", "true", "null", "\u00e9",
    ]  # fmt: skip
    assert form.from_json({"on": 1.0}) == '{"on": 1}'
    with pytest.raises(ValueError, match="NaN is not JSON"):
        form.from_json({"on": float("nan")})


def test_a_text_is_the_same_however_its_letters_are_composed() -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    assert Text().agreement(composed, apart) == (True, 1.0)
    labels = form_of("classification", labels=[apart])
    assert (labels.label(composed), labels.fault(composed), labels.fault(apart)) == (composed, None, None)
