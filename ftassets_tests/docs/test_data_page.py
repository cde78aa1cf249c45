"""Each format a person writes or imports has an example in docs/data.md, and its reader takes every row of it."""

from pathlib import Path

import pytest

from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.commands.import_traffic import import_traffic
from ftassets.config.loop import EvaluationSet
from ftassets.domain.dataset import labelling
from ftassets.domain.dataset.labelling.label import to_examples
from ftassets.domain.dataset.rows import parse_jsonl
from ftassets.domain.evaluation.answer_form import AnswerForm, Classification, ToolCall
from ftassets.domain.evaluation.sets import answer_fits
from ftassets.domain.file_formats import LABELS, TRAFFIC
from ftassets.domain.traffic import imports
from ftassets.testing.releases import loop_config
from ftassets_tests import ROOT
from ftassets_tests.docs.pages import snippets

FILES = {each.file: each.text for each in snippets(ROOT / "docs" / "data.md") if each.file}
LABELLED = {"jsonl": "labelled.jsonl", "argilla": "argilla.json", "label_studio": "label_studio.json"}


@pytest.mark.parametrize(
    ("name", "form"),
    [("seed.jsonl", ToolCall()), ("golden.jsonl", ToolCall()), ("queues.jsonl", Classification(frozenset({"account", "billing"})))],
)
def test_examples_are_rows(name: str, form: AnswerForm) -> None:
    rows, bad = parse_jsonl(FILES[name], name)
    assert len(rows) >= 2
    assert not bad
    assert all(form.well_formed(row.completion) for row in rows)


def test_a_refusal_set_expects_what_it_can_score() -> None:
    rows, bad = parse_jsonl(FILES["harmful.jsonl"], "harmful")
    assert not bad
    assert all(answer_fits(EvaluationSet(name="harmful", file="harmful.jsonl", scoring="refusal"), row, ToolCall()) for row in rows)


@pytest.mark.parametrize("format", TRAFFIC)
def test_a_log_of_each_format_is_imported_whole(format: str) -> None:
    found = list(imports.read(FILES[f"{format}.jsonl"].encode().splitlines(), format, "loop"))
    assert found
    for each in found:
        assert isinstance(each, imports.Row), each
        assert each.exchange.prompt == "Where is my parcel?"
        assert each.exchange.at > 1.7e9
    assert imports.fitting(FILES[f"{format}.jsonl"].encode().splitlines())[0] == format


def test_scores_in_a_file_of_their_own_are_feedback_on_the_observations(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("observations.jsonl", "scores.jsonl")]
    for path in paths:
        path.write_text(FILES[path.name])
    log = SqliteTrafficLog(tmp_path / "traffic.db")
    report = import_traffic(log, loop_config("loop"), paths, secret="s")
    assert (report.stored, report.assessed, report.quarantined) == (1, 2, [])
    said = log.feedback_on(["langfuse:o7"])["langfuse:o7"]
    assert (said.rating, said.correction, said.comment) == ("down", '{"queue": "delivery"}', "wrong queue")


@pytest.mark.parametrize("format", LABELS)
def test_a_batch_of_each_format_gives_labels(format: str) -> None:
    labels, bad = labelling.parse(FILES[LABELLED[format]], format)
    rows, more, _ = to_examples(labels, "batch", ToolCall())
    assert not bad + more
    assert [row.request_id for row in rows] == ["req-1"]
