"""Batches in the tools' formats: out, filled in as the tool does it, and back."""

import json
from typing import Any

import pytest

from ftassets.domain.chat import Asked, openai_messages
from ftassets.domain.dataset import labelling
from ftassets.domain.dataset.labelling.label import Label, to_examples
from ftassets.domain.dataset.labelling.select import Item
from ftassets.domain.evaluation.answer_form import Classification, ToolCall
from ftassets.domain.file_formats import LABELS
from ftassets.domain.traffic.exchange import hashed_user

TOOLS = [{"type": "function", "function": {"name": "set_light"}}]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "lights"},
    {"role": "assistant", "content": "On?"},
    {"role": "user", "content": "lights on \u2028 h\u00e9"},
]
CALLED = [
    {"role": "user", "content": "which lamps are on"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "list", "arguments": "{}"}}],
    },
    {"role": "tool", "content": "the red one", "tool_call_id": "c1"},
]


def stored(messages: Any, tools: Any = None) -> str:
    return json.dumps({"messages": messages, "tools": tools} if tools else messages)


def user(text: str) -> str:
    return stored([{"role": "user", "content": text}])


ITEMS = [
    Item("r1", stored(TALK), '{"intent": "off"}', "v1", 1.0, "novel", 0.4),
    Item("r2", user("make\ncoffee"), "", "v1", 2.0, "failed"),
    Item("r3", user("stop"), '{"intent": "stop"}', "v1", 3.0),
]
WANTED = {"r1": '{"intent": "on"}', "r2": '{"intent": "coffee"}'}  # nobody got to r3
AT = 1_700_000_000.0
ISO = "2023-11-14T22:13:20Z"


def jsonl(text: str) -> str:
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    assert [line["answer"] for line in lines] == [item.answer for item in ITEMS]
    return "\n".join(
        json.dumps({**line, "completion": WANTED.get(line["request_id"], ""), "annotator": "ann", "at": ISO}) for line in lines
    )


def argilla(text: str) -> str:
    records = json.loads(text)
    assert [list(r["suggestions"].values()) for r in records] == [
        [{"value": i.answer, "score": None, "agent": "v1"}] if i.answer else [] for i in ITEMS
    ]
    for record in records:
        if record["id"] in WANTED:
            record["responses"] = {"completion": [{"value": WANTED[record["id"]], "user_id": "ann", "updated_at": ISO}]}
    return json.dumps(records)


def label_studio(text: str) -> str:
    tasks = json.loads(text)
    for number, task in enumerate(tasks, start=1):
        for prediction in task["predictions"]:  # what the annotator starts from
            (result,) = prediction["result"]
            assert (result["from_name"], result["to_name"], result["type"]) == ("completion", "prompt", "textarea")
        answers = [task["predictions"][0]["result"][0]["value"]["text"] if task["predictions"] else None]
        assert answers == [[ITEMS[number - 1].answer] if ITEMS[number - 1].answer else None]
        name = task["data"]["request_id"]
        value = {"text": [WANTED.get(name, "")]}
        task |= {
            "id": number,
            "annotations": [
                {
                    "id": 100 + number, "completed_by": {"id": 7, "email": "ann"}, "was_cancelled": name not in WANTED, "updated_at": ISO,
                    "result": [{"from_name": "completion", "to_name": "prompt", "type": "textarea", "value": value, "origin": "manual"}],
                }
            ],
        }  # fmt: skip
    return json.dumps(tasks)


FILL = {"jsonl": jsonl, "argilla": argilla, "label_studio": label_studio}


@pytest.mark.parametrize("format", LABELS)
def test_a_batch_comes_back_as_labels_and_what_is_open_is_said(format: str) -> None:
    labels, bad = labelling.parse(FILL[format](labelling.to_text(ITEMS, format)), format)
    assert labels == [Label(i.request_id, WANTED[i.request_id], "ann", AT, i.asked) for i in ITEMS[:2]]
    assert [row.reason for row in bad] == ["no annotator answered it"]
    assert bad[0].where.endswith(" 3")


@pytest.mark.parametrize("format", LABELS)
def test_annotators_see_the_conversation_and_what_a_file_cannot_carry_is_not_made_up(format: str) -> None:
    items = [Item("a", stored(TALK, TOOLS), "", "v1", 1.0), Item("b", stored(CALLED), "", "v1", 1.0)]
    text = labelling.to_text(items, format)
    if format == "jsonl":
        one, two = map(json.loads, text.rstrip("\n").split("\n"))
        assert one["prompt"] == TALK[-1]["content"]
        assert one["transcript"].startswith("system: Be brief.\nuser: lights\nassistant: On?\nuser: lights on")
        assert two["prompt"] == "the red one"
        answered = "\n".join(json.dumps({**line, "completion": "{}"}) for line in (one, two))
    else:
        records = json.loads(text)
        fields = [record["fields" if format == "argilla" else "data"] for record in records]
        assert [entry["role"] for entry in fields[0]["conversation"]] == ["tools", "system", "user", "assistant", "user"]
        assert "set_light" in fields[0]["conversation"][0]["content"]
        assert [entry["content"] for entry in fields[1]["conversation"]] == ["which lamps are on", "list({})", "the red one"]
        answer = {"result": [{"from_name": "completion", "value": {"text": ["{}"]}}]}
        answered = json.dumps([{**record, "responses": {"completion": [{"value": "{}"}]}, "annotations": [answer]} for record in records])
    labels, _ = labelling.parse(answered, format)
    logged = {item.request_id: item.asked for item in items}
    rows, bad = to_examples(labels, "b1", ToolCall(), logged)
    assert [(row.messages, row.tools) for row in rows] == [(item.asked.messages, item.asked.tools) for item in items]
    assert openai_messages(rows[1].messages, text_arguments=True) == CALLED
    assert bad == []
    rows, bad = to_examples(labels, "b1", ToolCall())  # the log has lost them
    assert len(rows) == (2 if format == "jsonl" else 0)
    assert [(each.where, "the file has no messages" in each.reason) for each in bad] == [
        (f"label:b1:{name}", True) for name in ("a", "b") if format != "jsonl"
    ]


def test_the_log_counts_where_the_file_says_something_else() -> None:
    edited = Label("r1", "{}", "ann", None, Asked.of("refund everything"))
    rows, _ = to_examples([edited], "b1", ToolCall(), {"r1": Asked.of("lights on")})
    assert rows[0].prompt == "lights on"
    rows, (bad,) = to_examples([Label("r2", "{}", "ann", None)], "b1", ToolCall())
    assert (rows, bad.where) == ([], "label:b1:r2")


@pytest.mark.parametrize("format", LABELS)
def test_an_untouched_batch_has_no_label(format: str) -> None:
    labels, bad = labelling.parse(labelling.to_text(ITEMS, format), format)
    assert (labels, len(bad)) == ([], 3)


@pytest.mark.parametrize(
    ("format", "row", "reason"),
    [
        ("jsonl", {"prompt": "p", "completion": "{}"}, "which request"),
        ("jsonl", {"request_id": "r", "prompt": "p", "completion": "{}", "at": "soon"}, "not a time"),
        ("jsonl", [], "another form"),
        (
            "argilla",
            {"id": "r", "fields": {"prompt": "p"}, "responses": {"completion": [{"value": "{}", "status": "draft"}]}},
            "no annotator",
        ),
        ("argilla", {"id": "r", "responses": []}, "annotator"),
        ("argilla", {"id": "r", "responses": {"completion": ["x"]}}, "another form"),
        ("label_studio", {"data": {}, "annotations": [{"result": [{"from_name": "other"}]}]}, "annotator"),
        (
            "label_studio",
            {
                "data": {"request_id": "r", "prompt": "p"},
                "annotations": [{"result": [{"from_name": "completion", "value": {"text": ["a", "b"]}}]}],
            },
            "2 answers",
        ),
        ("label_studio", 7, "another form"),
    ],
)
def test_what_is_no_label_is_quarantined(format: str, row: Any, reason: str) -> None:
    text = json.dumps(row) if format == "jsonl" else json.dumps([row])
    labels, (bad,) = labelling.parse(text, format)
    assert labels == []
    assert reason in bad.reason


@pytest.mark.parametrize("format", ["argilla", "label_studio"])
@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, "<html>"])
def test_a_file_of_another_kind_is_refused_whole(format: str, text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        labelling.parse(text, format)


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="jsonl, argilla, label_studio"):
        labelling.to_text([], "csv")


def label(request: str, completion: str, annotator: str = "ann", at: float | None = None) -> Label:
    return Label(request, completion, annotator, at, Asked.of(f"prompt of {request}"))


def test_labels_become_rows_that_keep_their_request_and_hide_the_annotator() -> None:
    (row,), bad = to_examples([label("r1", '{"intent": "on"}', at=5.0)], "b1", ToolCall())
    assert bad == []
    assert (row.id, row.source, row.request_id, row.user, row.at) == ("label:r1", "label", "r1", hashed_user("ann"), 5.0)


def test_annotators_who_agree_give_one_row_and_those_who_do_not_none() -> None:
    agree = [label("r1", '{"a": 1, "b": 2}'), label("r1", '{"b":2,"a":1}', "bob", at=9.0)]
    differ = [label("r2", '{"a": 1}'), label("r2", '{"a": 2}', "bob")]
    rows, bad = to_examples(agree + differ, "b1", ToolCall())
    assert [(row.request_id, row.completion) for row in rows] == [("r1", '{"b":2,"a":1}')]
    assert [(b.where, "do not agree" in b.reason) for b in bad] == [("label:b1:r2", True)] * 2


@pytest.mark.parametrize("completion", ["turn it on", "[1]", '"on"', "{", '{"a": "' + "x" * 20_001 + '"}'])
def test_an_answer_that_is_no_row_is_quarantined(completion: str) -> None:
    rows, (bad,) = to_examples([label("r1", completion)], "b1", ToolCall())
    assert rows == []
    assert bad.reason
    assert len(bad.content) <= 500


def test_labels_of_a_classification_are_known_ones_in_the_known_spelling() -> None:
    queues = Classification(frozenset({"billing", "account"}))
    said = [
        label("r1", "Billing"),
        label("r1", "billing ", "bob"),
        label("r2", "biling"),
        label("r3", "account"),
        label("r3", "billing", "bob"),
    ]
    rows, bad = to_examples(said, "b1", queues)
    assert [(row.request_id, row.completion) for row in rows] == [("r1", "billing")]
    assert [each.reason for each in bad] == [
        "the answer is an unknown label: 'biling'", *["2 annotators do not agree on this request"] * 2,
    ]  # fmt: skip
    assert to_examples([label("r2", "biling")], "b1", Classification())[0][0].completion == "biling", "no label is known"
