"""Batches in the tools' formats: out, filled in as the tool does it, and back."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.chat import Asked, openai_messages
from ftassets.domain.dataset import labelling
from ftassets.domain.dataset.labelling.label import Label, to_examples
from ftassets.domain.dataset.labelling.select import Item
from ftassets.domain.evaluation.answer_form import Classification, ToolCall
from ftassets.domain.file_formats import LABELS
from ftassets.domain.traffic.exchange import hashed_user
from ftassets.errors import InvalidInput

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
WANTED = {"r1": '{"intent": "on"}', "r2": "    if hot:\n        drink()"}  # code keeps its indentation; nobody got to r3
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
            record["responses"] = {
                "completion": [{"value": WANTED[record["id"]], "user_id": "ann", "updated_at": ISO, "status": "submitted"}]
            }
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


KEYS = [  # of records of all formats
    "id", "data", "request_id", "annotations", "result", "value", "text", "from_name", "completed_by", "responses", "completion", "fields",
    "status", "completion.responses", "completion.responses.status", "values", "annotation_id", "reviews", "messages", "tools", "at",
]  # fmt: skip

FILL = {"jsonl": jsonl, "argilla": argilla, "label_studio": label_studio}


@pytest.mark.parametrize("format", LABELS)
def test_a_batch_comes_back_as_labels_and_what_is_open_is_said(format: str) -> None:
    labels, bad = labelling.parse(FILL[format](labelling.to_text(ITEMS, format)), format)
    batch = labelling.batch_id(ITEMS)
    assert labels == [Label(i.request_id, WANTED[i.request_id], "ann", AT, i.asked, batch=batch) for i in ITEMS[:2]]
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
        responses = {"completion": [{"value": "{}", "status": "submitted"}]}
        answered = json.dumps([{**record, "responses": responses, "annotations": [answer]} for record in records])
    labels, _ = labelling.parse(answered, format)
    logged = {item.request_id: item.asked for item in items}
    rows, bad, _ = to_examples(labels, "b1", ToolCall(), logged)
    assert [(row.messages, row.tools) for row in rows] == [(item.asked.messages, item.asked.tools) for item in items]
    assert openai_messages(rows[1].messages, text_arguments=True) == CALLED
    assert bad == []
    rows, bad, _ = to_examples(labels, "b1", ToolCall())  # the log has lost them
    assert len(rows) == (2 if format == "jsonl" else 0)
    assert [(each.where, "the file has no messages" in each.reason) for each in bad] == [
        (f"label:b1:{name}", True) for name in ("a", "b") if format != "jsonl"
    ]


def test_the_log_counts_where_the_file_says_something_else() -> None:
    edited = Label("r1", "{}", "ann", None, Asked.of("refund everything"))
    rows, _, _ = to_examples([edited], "b1", ToolCall(), {"r1": Asked.of("lights on")})
    assert rows[0].prompt == "lights on"
    rows, (bad,), _ = to_examples([Label("r2", "{}", "ann", None)], "b1", ToolCall())
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
    (row,), bad, _ = to_examples([label("r1", '{"intent": "on"}', at=5.0)], "b1", ToolCall())
    assert bad == []
    assert (row.id, row.source, row.request_id, row.user, row.at) == ("label:r1", "label", "r1", hashed_user("ann"), 5.0)


def test_annotators_who_agree_give_a_row_each_and_those_who_do_not_none() -> None:
    agree = [label("r1", '{"a": 1, "b": 2}'), label("r1", '{"b":2,"a":1}', "bob", at=9.0)]
    differ = [label("r2", '{"a": 1}'), label("r2", '{"a": 2}', "bob")]
    assert to_examples([replace(each, at=None) for each in agree], "b1", ToolCall())[0][0].completion == '{"b":2,"a":1}', "the last one"
    rows, bad, apart = to_examples(agree + differ, "b1", ToolCall())
    assert [(row.id, row.user, row.completion) for row in rows] == [
        ("label:r1", hashed_user("bob"), '{"b":2,"a":1}'),
        ("label:r1", hashed_user("ann"), '{"a": 1, "b": 2}'),
    ]
    assert apart == {"r2"}
    assert [(b.where, "do not agree" in b.reason) for b in bad] == [("label:b1:r2", True)] * 2


@pytest.mark.parametrize("completion", ["turn it on", "[1]", '"on"', "{", '{"a": "' + "x" * 20_001 + '"}'])
def test_an_answer_that_is_no_row_is_quarantined(completion: str) -> None:
    rows, (bad,), _ = to_examples([label("r1", completion)], "b1", ToolCall())
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
    rows, bad, _ = to_examples(said, "b1", queues)
    assert [(row.request_id, row.completion) for row in rows] == [("r1", "billing")] * 2
    assert [each.reason for each in bad] == [
        "the answer is an unknown label: 'biling'",
        *[f"2 annotators do not agree on this request, one says {said!r}" for said in ("account", "billing")],
    ]
    assert to_examples([label("r2", "biling")], "b1", Classification())[0][0].completion == "biling", "no label is known"


def test_one_annotator_who_revised_counts_once_and_of_those_without_a_time_the_last() -> None:
    said = [
        label("r1", '{"a": 2}', at=9.0), label("r1", '{"a": 1}', at=5.0), label("r1", '{"a": 2}', "bob", at=1.0),
        label("r2", '{"a": 1}'), label("r2", '{"a": 2}'), label("r3", "no JSON", at=5.0), label("r3", '{"a": 3}', at=6.0),
    ]  # fmt: skip
    rows, bad, _ = to_examples(said, "b1", ToolCall())
    assert {row.request_id: row.completion for row in rows} == {"r1": '{"a": 2}', "r2": '{"a": 2}', "r3": '{"a": 3}'}
    assert [each.reason for each in bad] == ["the same annotator answered this request again later"] * 3
    rows, bad, _ = to_examples([label("r1", '{"a": 1}', ""), label("r1", '{"a": 2}', "")], "b1", ToolCall())
    assert (rows, ["do not agree" in each.reason for each in bad]) == ([], [True, True]), "nobody knows whether that was one annotator"


def test_a_ground_truth_counts_alone_and_two_that_differ_make_no_row() -> None:
    truth = replace(label("r1", '{"a": 1}', at=1.0), truth=True)
    rows, bad, _ = to_examples([truth, label("r1", '{"a": 2}', "bob", at=9.0)], "b1", ToolCall())
    assert [row.completion for row in rows] == ['{"a": 1}']
    assert [each.reason for each in bad] == ["another annotation of this request is the ground truth"]
    rows, bad, _ = to_examples([truth, replace(label("r1", '{"a": 2}', "bob"), truth=True)], "b1", ToolCall())
    assert (rows, len(bad)) == ([], 2)


@given(order=st.permutations(range(6)), again=st.integers(0, 6))
def test_the_order_of_labels_with_times_and_repeats_of_them_do_not_count(order: list[int], again: int) -> None:
    said = [label("r1", json.dumps({"a": n % 3}), ("ann", "bob")[n % 2], at=float(n)) for n in range(6)]
    said[5] = replace(said[5], completion=said[4].completion)
    rows, _, _ = to_examples([said[n] for n in [*order, *order[:again]]], "b1", ToolCall())
    assert [(row.completion, row.at) for row in rows] == [('{"a": 1}', 5.0), ('{"a": 1}', 4.0)]


FLAT = {  # `dataset.records.to_list(flatten=True)` of Argilla 2.8
    "id": "r1", "status": "pending", "_server_id": "5", "prompt": "p", "conversation": [{"role": "user", "content": "p"}],
    "version": "v1", "why": "random", "completion.suggestion": "{}",
    "completion.responses": ['{"a": 1}', '{"a": 2}', '{"a": 3}', '{"a": 4}'],
    "completion.responses.users": ["ann", "bob", "eve", "joe"],
    "completion.responses.status": ["submitted", "draft", "discarded", None],
}  # fmt: skip
SERVER = {  # the server's own record
    "id": "5", "external_id": "r1", "status": "completed", "fields": {"prompt": "p"}, "metadata": {}, "suggestions": [],
    "responses": [
        {"id": "1", "values": {"completion": {"value": '{"a": 1}'}}, "status": "submitted", "user_id": "ann", "updated_at": ISO},
        {"id": "2", "values": {"completion": {"value": '{"a": 2}'}}, "status": "draft", "user_id": "bob", "updated_at": ISO},
        {"id": "3", "values": None, "status": "discarded", "user_id": "eve", "updated_at": ISO},
    ],
}  # fmt: skip


def nested(*values: str, status: str = "pending") -> dict[str, Any]:
    """A record as Argilla's `to_json` writes it, without the states of its responses."""
    return {"id": "r1", "fields": {}, "status": status, "responses": {"completion": [{"value": v, "user_id": "ann"} for v in values]}}


@pytest.mark.parametrize(
    ("record", "answers", "reason"),
    [
        ({**FLAT, "completion.responses.status": ["submitted", "draft", "discarded", "draft"]}, ['{"a": 1}'], None),
        (FLAT, [], "nothing says whether"),
        ({**FLAT, "completion.responses.status": ["draft", "draft", "discarded", "draft"]}, [], "discarded and draft responses only"),
        ({**FLAT, **{name: None for name in FLAT if ".responses" in name}}, [], "no annotator answered it"),
        (SERVER, ['{"a": 1}'], None),
        ({**SERVER, "responses": SERVER["responses"][1:]}, [], "draft responses only"),
        (nested('{"a": 1}'), [], "to_list(flatten=True)"),
        (nested('{"a": 1}', '{"a": 2}', status="completed"), [], "to_list(flatten=True)"),
        (nested('{"a": 1}', status="completed"), ['{"a": 1}'], None),
    ],
)
def test_only_responses_that_argilla_says_were_submitted_are_labels(record: Any, answers: list[str], reason: str | None) -> None:
    labels, bad = labelling.parse(json.dumps([record]), "argilla")
    assert [(label.request_id, label.completion) for label in labels] == [("r1", answer) for answer in answers]
    assert [True] * (reason is not None) == [reason in each.reason for each in bad if reason]
    assert bool(bad) == (reason is not None)


def annotated(text: Any, who: int = 1, **fields: Any) -> dict[str, Any]:
    value = {"from_name": "completion", "to_name": "prompt", "type": "textarea", "value": {"text": text}}
    return {"id": who, "completed_by": who, "was_cancelled": False, "ground_truth": False, "updated_at": ISO, "result": [value], **fields}


@pytest.mark.parametrize(
    ("annotations", "answers", "reason"),
    [
        ([annotated(["{}"], ground_truth=True), annotated(['{"a": 1}'], 2)], [("{}", "1", True), ('{"a": 1}', "2", False)], None),
        ([annotated(["{}"], was_cancelled=True)], [], "no annotator"),
        ([annotated(["{}"], last_action="rejected")], [], "a reviewer rejected"),
        ([annotated(["{}"], reviews=[{"accepted": True, "created_at": "1"}, {"accepted": False, "created_at": "2"}])], [], "rejected"),
        (
            [annotated(["{}"], reviews=[{"accepted": False, "created_at": "1"}, {"accepted": True, "created_at": "2"}])],
            [("{}", "1", False)],
            None,
        ),
        ([annotated(["{}"], reviews=[{"accepted": True}, {"accepted": False}])], [], "rejected"),
        ([annotated(["a", "b"]), annotated(["{}"], 2)], [("{}", "2", False)], "one annotation has 2 answers"),
    ],
)
def test_states_of_label_studios_annotations(annotations: list[Any], answers: list[tuple[str, str, bool]], reason: str | None) -> None:
    task = {"id": 1, "data": {"request_id": "r1", "prompt": "p"}, "annotations": annotations, "drafts": [annotated(["draft"])]}
    labels, bad = labelling.parse(json.dumps([task]), "label_studio")
    assert [(label.completion, label.annotator, label.truth) for label in labels] == answers
    assert ["x" if reason is None else reason in each.reason for each in bad] == [True] * (reason is not None)


@pytest.mark.parametrize(
    ("answer", "read", "reason"),
    [
        ("{}", ["{}"], None),
        (None, [], "no annotator"),
        ({"text": ["a", "b"]}, [], "one annotation has 2 answers"),
        (["a", "b"], [], "one annotation has 2 answers"),
        ({"text": ["{}"]}, ["{}"], None),
    ],
)
def test_label_studios_json_min(answer: Any, read: list[str], reason: str | None) -> None:
    record = {
        "request_id": "r1", "prompt": "p", "conversation": [{"role": "user", "content": "p"}], "why": "random", "id": 1, "annotator": 7,
        "annotation_id": None if answer is None else 5, "created_at": ISO, "updated_at": ISO, "lead_time": 3.1,
        **({} if answer is None else {"completion": answer}),
    }  # fmt: skip
    labels, bad = labelling.parse(json.dumps([record]), "label_studio")
    assert labels == [Label("r1", text, "7", AT, Asked.of("p")) for text in read]
    assert [reason in each.reason for each in bad if reason] == [True] * (reason is not None)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["r1", "{}", "submitted", ISO]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
        | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("format", LABELS)
@given(records=st.lists(JSON, max_size=4))
def test_whatever_a_file_holds_each_record_makes_labels_or_is_quarantined(format: str, records: list[Any]) -> None:
    text = "\n".join(map(json.dumps, records)) if format == "jsonl" else json.dumps(records)
    labels, bad = labelling.parse(text, format)
    assert len(labels) + len(bad) >= len(records)
    rows, more, _ = to_examples(labels, "b1", ToolCall())
    assert len(rows) + len(more) <= len(labels)
    for each in [*bad, *more]:
        "".join([each.where, each.reason, each.content]).encode()


def test_a_key_that_is_there_twice_is_no_label() -> None:
    labels, [refused] = labelling.parse('{"request_id": "r", "completion": "{}", "completion": "no"}', "jsonl")
    assert (labels, refused.where, refused.reason) == ([], "line 1", "the key 'completion' is there twice")
    with pytest.raises(InvalidInput, match="the key 'id' is there twice"):
        labelling.parse('[{"id": "r", "id": "q", "completion.responses": ["{}"]}]', "argilla")


@pytest.mark.parametrize("format", ["argilla", "label_studio"])
def test_one_record_that_is_nested_too_deep_takes_no_other_with_it(format: str) -> None:
    deep: Any = {}
    for _ in range(500):
        deep = {"a": deep}
    good = (
        FLAT | {"completion.responses.status": ["submitted"] * 4}
        if format == "argilla"
        else {"data": {"request_id": "r1"}, "annotations": [annotated(["{}"])]}
    )
    bad = {**nested("{}"), "fields": deep} if format == "argilla" else {"data": deep, "annotations": []}
    labels, rejected = labelling.parse(json.dumps([bad, good]), format)
    assert (len(labels), len(rejected)) == (4 if format == "argilla" else 1, 1)
