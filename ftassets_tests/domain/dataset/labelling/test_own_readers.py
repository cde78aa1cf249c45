"""Batches in the tools' own hands: read, answered and written by Argilla's and Label Studio's classes, then read back.

Label Studio's SDK brings computer vision libraries, so it is not among the packages for development: `pip install label-studio-sdk`
runs its test.
"""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest

from ftassets.domain.dataset import labelling
from ftassets.domain.dataset.labelling import label_studio
from ftassets_tests.domain.dataset.labelling.test_formats import ITEMS, WANTED


def test_argilla_reads_our_export_and_we_read_what_it_writes(tmp_path: Path) -> None:
    rg = pytest.importorskip("argilla")
    from argilla.records._io import GenericIO, JsonIO

    path = tmp_path / "batch.json"
    path.write_text(labelling.to_text(ITEMS, "argilla"), encoding="utf-8")
    records = JsonIO._records_from_json(path)
    assert [record.id for record in records] == [item.request_id for item in ITEMS]
    for record, item in zip(records, ITEMS, strict=True):
        assert record.fields["prompt"] == item.asked.last_text
        assert [entry["content"] for entry in record.fields["conversation"]] == [message.content for message in item.asked.messages]
        assert dict(record.metadata) == {"version": item.version, "why": item.why, "batch": labelling.batch_id(ITEMS)}
        assert [suggestion.value for suggestion in record.suggestions] == ([item.answer] if item.answer else [])
        if item.request_id in WANTED:
            record.responses.add(rg.Response("completion", WANTED[item.request_id], user_id=UUID(int=7), status="submitted"))
        else:
            record.responses.add(rg.Response("completion", "half an ans", user_id=UUID(int=7), status="draft"))
    labels, bad = labelling.parse(json.dumps(GenericIO.to_list(records, flatten=True), default=str), "argilla")
    assert {label.request_id: label.completion for label in labels} == WANTED
    assert {(label.annotator, label.batch) for label in labels} == {(str(UUID(int=7)), labelling.batch_id(ITEMS))}
    assert [label.asked for label in labels] == [item.asked for item in ITEMS[:2]]
    assert [each.reason for each in bad] == ["no annotator answered it: draft responses only"]


def test_label_studio_takes_our_tasks_with_the_interface_of_the_docs() -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    config = " ".join(re.search(r"`(<View>.*</View>)`", str(label_studio.__doc__), re.DOTALL).group(1).split("\n"))  # type: ignore[union-attr]
    view = interface.LabelInterface(config)
    view.validate()
    tasks = json.loads(labelling.to_text(ITEMS, "label_studio"))
    assert [task["data"]["request_id"] for task in tasks] == [item.request_id for item in ITEMS]
    for task in tasks:
        assert all(name in task["data"] for name in re.findall(r"\$(\w+)", config))
        assert all(view.validate_prediction(each) for each in task["predictions"])
        name = task["data"]["request_id"]
        region = view.get_control("completion").label(text=[WANTED.get(name, "x")])
        task["annotations"] = [{"completed_by": 7, "was_cancelled": name not in WANTED, "result": [region._dict()]}]
        assert view.validate_annotation(task["annotations"][0])
    labels, bad = labelling.parse(json.dumps(tasks), "label_studio")
    assert {label.request_id: label.completion for label in labels} == WANTED
    assert {label.batch for label in labels} == {labelling.batch_id(ITEMS)}
    assert len(bad) == 1
