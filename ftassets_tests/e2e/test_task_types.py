"""A classification and a text loop once round: traffic, feedback, dataset, adapter, eval report, release, live reports."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests

from ftassets.assets._shared.events import data_version, metadata_value, newest, node
from ftassets.backends.artifacts.reports import read_eval_report
from ftassets.config.profiles import artifacts
from ftassets.domain.evaluation.answer_form import TaskType
from ftassets.domain.gates.report import EvalReport
from ftassets.testing.tiny_loop import LOOP, ROOMS, TinyLoop, right_answer, tiny_loop

pytestmark = [pytest.mark.slow, pytest.mark.models]

LIVE = ("live_golden_report", "quality_report", "behaviour_report")
GATE = {"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.5}


@contextmanager
def served(folder: Path, task_type: TaskType, **changes: Any) -> Iterator[TinyLoop]:
    """A loop whose first version, tuned on the seed, answers."""
    with tiny_loop(folder, task_type=task_type, monitors={"sample": 20}, **changes) as tiny:
        assert tiny.run("retrain").success
        assert tiny.move("start").success
        yield tiny


def correct(tiny: TinyLoop, user: str, text: str, correction: str) -> None:
    """Ask as a user, and say what the answer should have been."""
    body = {"model": LOOP, "messages": [{"role": "user", "content": text}], "user": user}
    response = requests.post(f"{tiny.url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 200, response.text
    feedback = {"id": response.json()["id"], "correction": correction}
    assert requests.post(f"{tiny.url}/v1/feedback", json=feedback, timeout=10).ok


def trained_again(tiny: TinyLoop) -> dict[str, dg.AssetCheckEvaluation]:
    """The checks of a retrain that ends with a release of another version, which is put into production."""
    first = data_version(newest(tiny.instance, node(LOOP, "release")))
    result = tiny.run("retrain")
    assert result.success
    assert value(tiny, "adapter", "start_from") == first[:12]
    assert data_version(newest(tiny.instance, node(LOOP, "release"))) != first
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def value(tiny: TinyLoop, name: str, field: str) -> Any:
    event = newest(tiny.instance, node(LOOP, name))
    assert event is not None
    return metadata_value(event, field)


def rows_of(tiny: TinyLoop, field: str) -> list[dict[str, Any]]:
    """The rows of a table of the curated dataset."""
    return [dict(record.data) for record in value(tiny, "curated_dataset", field).records]


def report_of(tiny: TinyLoop) -> EvalReport:
    return read_eval_report(artifacts(tiny.home), LOOP, data_version(newest(tiny.instance, node(LOOP, "eval_report"))))


@pytest.mark.timeout(300)
def test_a_classification_closes_its_loop_and_sees_through_wrong_labels(tmp_path: Path) -> None:
    gates = [GATE, {"metric": "f1", "no_worse_than": "production", "margin": 0.9}]
    with served(tmp_path, "classification", gates=gates, metrics=["f1", "validity"]) as tiny:
        curtains = [f"open curtain number {n} facing the {room} window" for n, room in enumerate(ROOMS * 6)]
        for n, text in enumerate(curtains):
            correct(tiny, f"user{n % 9}", text, " OPEN" if n % 2 else "open")
        for n, room in enumerate(ROOMS):
            correct(tiny, "flooder", f"open curtain number {100 + n} facing the {room} window", "dim")
            correct(tiny, "typist", f"open window number {n} of the {room}", "opne")
        checks = trained_again(tiny)
        dropped = rows_of(tiny, "dropped")
        assert "the answer is an unknown label: '...'" in [row["reason"] for row in dropped]
        assert any("labelled dim, but" in str(row["reason"]) for row in dropped)
        counted = " ".join(str(row["counted"]) for row in rows_of(tiny, "steps"))
        assert "unknown labels of fewer than 3 users 8" in counted
        assert "class open" in counted
        assert value(tiny, "curated_dataset", "sources")["correction"] <= len(curtains), "nothing of the flooder is left"
        assert checks["balanced"].description.startswith("3 classes, the largest, "), checks["balanced"].description
        assert checks["schema"].passed
        report = report_of(tiny)
        assert {score.expected for score in report.scores["candidate"]} == {"dim", "light", "open"}
        assert all(score.valid for score in report.scores["candidate"]), "each answer is one short line"
        assert set(report.metrics["f1"]["candidate"]["drifted"]) == {"micro", "macro", "class:open"}
        assert tiny.materialize(*LIVE).success
        assert json.loads(json.dumps(value(tiny, "quality_report", "measures")))["well_formed"]["value"] == 1.0
        assert value(tiny, "live_golden_report", "rows") > 0
        assert value(tiny, "live_golden_report", "unanswered") == 0


@pytest.mark.timeout(300)
def test_a_text_task_closes_its_loop_and_says_what_does_not_apply(tmp_path: Path) -> None:
    gates = [GATE, {"metric": "validity.validity", "at_least": 0.01, "confidence": 0.6}]
    with served(tmp_path, "text", gates=gates, metrics=["rouge", "validity"]) as tiny:
        for n, room in enumerate(ROOMS * 4):
            correct(tiny, f"user{n % 7}", f"open curtain number {n} facing the {room} window", right_answer("open", room, "text"))
        question = "what is the number of the house"
        for n, text in enumerate((question, question.upper(), question.title())):
            correct(tiny, f"caller{n}", text, f"The number of the house is twenty four{'!' * n}")
        correct(tiny, "joker", question.capitalize(), "I will not tell you that, ever.")  # the newest: the copies before it go
        checks = trained_again(tiny)
        none = "does not apply: a text task has no classes"
        assert checks["balanced"].passed
        assert checks["balanced"].description == none
        assert value(tiny, "curated_dataset", "classes") == none
        steps = {row["step"]: row for row in rows_of(tiny, "steps")}
        balance = {"step": "balance", "rows left": steps["contamination"]["rows left"], "quarantined": 0, "changed": 0, "counted": none}
        assert steps["balance"] == balance
        assert not any("class (none)" in str(row["counted"]) for row in steps.values())
        reasons = [row["reason"] for row in rows_of(tiny, "dropped")]
        assert "3 others give near-identical requests one other answer, 0 this one" in reasons
        report = report_of(tiny)
        assert {score.expected for score in report.scores["candidate"]} == {None}
        assert report.scores["candidate"][0].valid != report.scores["candidate"][0].truncated
        assert tiny.materialize(*LIVE).success
        assert value(tiny, "quality_report", "measures")["without_error"]["n"] > 0
        assert value(tiny, "behaviour_report", "classes") == none
