"""What a teacher is asked, and which of its rows are taken."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import LoopConfig, Task
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.dataset.synthesis import Request, is_edge_case, parse_reply, prompt_for, rare_classes, requests
from ftassets.domain.evaluation.answer_form import ToolCall


def loop(**teacher: Any) -> LoopConfig:
    settings = {"url": "https://teacher.example/v1", "model": "large", "rare_below": 5, "rows_per_class": 10, **teacher}
    return LoopConfig.model_validate(
        {
            "name": "voice",
            "base_model": "base",
            "task": {"system_prompt": "Answer with the tool call as JSON."},
            "dataset": {"seed": Path("seed.jsonl"), "teacher": settings},
            "golden_set": Path("golden.jsonl"),
            "gates": [{"metric": "exact_match", "better_than": "production"}],
        }
    )


def row(number: int, prompt: str, intent: str, source: str = "seed", **fields: Any) -> Example:
    return Example(id=f"{intent}-{number}", messages=question(prompt), completion=json.dumps({"intent": intent, **fields}), source=source)


ROWS = [
    *(row(n, f"turn on lamp {n}", "on", area="hall") for n in range(8)),
    *(row(n, f"turn off lamp {n}", "off") for n in range(3)),
    *(row(n, f"play song {n}", "play", title="x") for n in range(6)),
    row(0, "set a timer", "timer", minutes=5),
    *(row(n, f"tea timer {n}", "timer", "synthetic", minutes=n) for n in range(9)),
    Example(id="odd", messages=question("hm"), completion="no call"),
]


def request_for(label: str, **teacher: Any) -> Request:
    return next(found for found in requests(ROWS, loop(**teacher)) if found.label == label)


def line(kind: str, prompt: str, **call: Any) -> str:
    return json.dumps({"kind": kind, "prompt": prompt, "completion": call})


def test_rare_is_what_people_wrote_too_little_of() -> None:
    assert rare_classes(ROWS, ToolCall(), 5) == {"timer": 1, "off": 3}
    assert rare_classes(ROWS, ToolCall(), 1) == {}


def test_a_request_splits_its_rows_over_the_kinds_and_finds_the_neighbour() -> None:
    found = request_for("off")
    assert found.counts == {"typical": 6, "hard_negative": 2, "edge_case": 2}
    assert list(found.neighbours)[0] == "on"  # said in the same words
    assert {example.id for example in found.shown} == {"off-0", "off-1", "off-2"}
    assert found.fields == {"intent", "area", "title", "minutes"}
    assert request_for("off", rows_per_class=3).counts == {"typical": 3, "hard_negative": 0, "edge_case": 0}


def test_a_loop_of_one_class_has_no_hard_negatives() -> None:
    (found,) = requests([row(0, "set a timer", "timer")], loop())
    assert found.counts == {"typical": 8, "hard_negative": 0, "edge_case": 2}


def test_a_loop_without_a_teacher_is_told_so() -> None:
    bare = loop().model_copy(update={"dataset": loop().dataset.model_copy(update={"teacher": None})})
    with pytest.raises(ValueError, match=r"dataset\.teacher"):
        requests(ROWS, bare)


def test_the_teacher_is_told_the_task_the_counts_and_examples_of_both_sides() -> None:
    text = prompt_for(request_for("off"), loop())
    for part in ("Answer with the tool call as JSON.", 'the class "off"', "6 with", "2 with", "longer than 500"):
        assert part in text
    for example in ("turn off lamp 1", "turn on lamp 0"):
        assert example in text
    assert "hard_negative" not in prompt_for(request_for("off", rows_per_class=3), loop())


def test_usable_rows_are_marked_and_stay_together() -> None:
    reply = "\n".join(
        [
            line("typical", "kill the lights", intent="off"),
            line("hard_negative", "do not turn off the lamp, turn it on", intent="on"),
            line("edge_case", "the lamp shows an error, switch it off", intent="off", area="hall"),
        ]
    )
    rows, bad = parse_reply(reply, request_for("off"), loop(), set())
    assert bad == []
    assert [json.loads(r.completion)["intent"] for r in rows] == ["off", "on", "off"]
    assert {r.source for r in rows} == {"synthetic"}
    (group,) = {r.group for r in rows}
    assert group is not None
    assert group.startswith("synthetic:off:")
    assert parse_reply(reply, request_for("off"), loop(), set())[0] == rows
    assert parse_reply(reply + "\n" + line("typical", "dark", intent="off"), request_for("off"), loop(), set())[0][0].group != group


@pytest.mark.parametrize(
    "reply",
    [
        line("typical", "dark please", intent="off"),
        "```json\n" + line("typical", "dark please", intent="off") + "\n```",
        "[" + line("typical", "dark please", intent="off") + "]",
        json.dumps({"kind": "typical", "prompt": "dark please", "completion": '{"intent": "off"}'}),
    ],
)
def test_the_usual_forms_of_a_reply_are_read(reply: str) -> None:
    rows, bad = parse_reply(reply, request_for("off"), loop(), set())
    assert ([r.prompt for r in rows], bad) == (["dark please"], [])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Sure, here you go:", "not a JSON object"),
        ('{"kind": "typical", "prompt": "cut of', "not a JSON object"),
        ("7", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        (json.dumps({"prompt": "p", "completion": {"intent": "off"}}), "kind"),
        (line("typical", " ", intent="off"), "no prompt"),
        (json.dumps({"kind": "typical", "prompt": "p", "completion": "off"}), "not a JSON object"),
        (line("typical", "dark please", intent="off", colour="blue"), "colour"),
        (line("typical", "dark please", intent="on"), "its class is on"),
        (line("hard_negative", "dark please", intent="off"), "not a neighbour"),
        (line("edge_case", "dark please", intent="off"), "no edge case"),
        (line("typical", "TURN OFF  lamp 1", intent="off"), "exists already"),
        (line("typical", "x" * 200_001, intent="off"), "200,000"),
        ('{"kind": "typical", "prompt": "a\\ud800", "completion": {"intent": "off"}}', "surrogate"),
    ],
)
def test_what_is_not_usable_is_quarantined_with_its_reason(reply: str, reason: str) -> None:
    rows, (bad,) = parse_reply(reply, request_for("off"), loop(), {"turn off lamp 1"})
    assert rows == []
    assert bad.where == "teacher:off:1"
    assert reason in bad.reason
    assert len(bad.content) <= 500


def test_no_more_rows_are_taken_than_asked_for_and_none_twice() -> None:
    reply = "\n".join([*(line("typical", f"dark {n}", intent="off") for n in range(12)), line("typical", "DARK 0", intent="off")])
    rows, bad = parse_reply(reply, request_for("off"), loop(), set())
    assert (len(rows), [b.reason for b in bad]) == (10, ["more than the 10 rows that were asked for"] * 2 + ["the request exists already"])


@pytest.mark.parametrize(
    ("prompt", "edge"),
    [("x" * 501, True), ("x" * 500, False), ("It says Error 5", True), ("the pump failed", True), ("terrors of the night", False)],
)
def test_an_edge_case_is_long_or_mentions_an_error(prompt: str, edge: bool) -> None:
    assert is_edge_case(prompt) is edge


@given(st.text(max_size=300))
def test_any_reply_is_sorted_into_rows_and_quarantine(reply: str) -> None:
    rows, bad = parse_reply(reply + "\nnot a row", request_for("off"), loop(), set())
    assert rows == []  # no random text is a row
    assert bad[-1] == Quarantined(f"teacher:off:{len(bad)}", "not a JSON object", "not a row")


def test_a_teacher_of_a_classification_writes_labels() -> None:
    queues = loop().model_copy(update={"task": Task.model_validate({"type": "classification", "system_prompt": "Name the class."})})
    rows = [one.model_copy(update={"completion": queues.task.form.label(json.loads(one.completion)["intent"])}) for one in ROWS[:-1]]
    asked = next(found for found in requests(rows, queues) if found.label == "off")
    assert (asked.fields, [*asked.neighbours][0]) == (frozenset(), "on")
    text = prompt_for(asked, queues)
    assert "the completion is the label of the class, alone." in text
    assert "fields" not in text
    assert '{"kind": "typical", "prompt": "...", "completion": "off"}' in text
    assert json.dumps({"prompt": "turn off lamp 1", "completion": "off"}) in text
    lines = [
        {"kind": "typical", "prompt": "dark please", "completion": " off"},
        {"kind": "hard_negative", "prompt": "light please", "completion": "on"},
        {"kind": "typical", "prompt": "darker please", "completion": "OFF"},
        {"kind": "typical", "prompt": "even darker please", "completion": {"intent": "off"}},
    ]
    taken, bad = parse_reply("\n".join(map(json.dumps, lines)), asked, queues, set())
    assert [(one.prompt, one.completion) for one in taken] == [("dark please", "off"), ("light please", "on")]
    assert [each.reason for each in bad] == ["its class is OFF, asked for was off", "the completion is not a label of the task"]
