"""Files people wrote: what is wrong with a line is said, and a file without a usable line stops the run."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ftassets.assets._shared.dataset_files import from_parquet, golden_path, read_rejected, read_sets, seed_path, set_path
from ftassets.assets._shared.events import data_version, node
from ftassets.backends.control.files import FilesControl
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.components.fine_tune_loop import build_loop
from ftassets.testing.tiny_loop import LOOP, tiny_config

GOOD = json.dumps({"messages": [{"role": "user", "content": "dim it"}, {"role": "assistant", "content": '{"intent": "dim"}'}]})


def materialize(tmp_path: Path, name: str, text: str, file: str, **changes: Any) -> tuple[dg.ExecuteInProcessResult, GitDatasetStore]:
    loop = tiny_config(tmp_path, tmp_path, **changes)
    (tmp_path / file).write_text(text)
    store = GitDatasetStore(tmp_path / "store.git")
    assets = [a for a in build_loop(loop).assets or [] if isinstance(a, dg.AssetsDefinition) and node(LOOP, name) in a.keys]
    resources = {"dataset_store": store, "control": FilesControl(tmp_path)}
    return dg.materialize(assets, resources=resources, raise_on_error=False), store


def test_a_bad_line_is_quarantined_with_its_number_and_the_rest_is_committed(tmp_path: Path) -> None:
    result, store = materialize(tmp_path, "seed_examples", f"{GOOD}\nnot json\n" + '{"messages": []}\n', "seed.jsonl")
    assert result.success
    assert [row.prompt for row in from_parquet(store.read("main", seed_path(LOOP)))] == ["dim it"]
    check = result.get_asset_check_evaluations()[0]
    assert not check.passed
    assert "seed:2" in str(check.metadata["quarantined"].value)
    assert "seed:3" in str(check.metadata["quarantined"].value)
    assert [(row.where, row.content) for row in read_rejected(store, "main", LOOP)] == [
        ("seed:2", "not json"),
        ("seed:3", '{"messages": []}'),
    ]


def test_of_many_bad_lines_the_check_says_how_many_it_shows(tmp_path: Path) -> None:
    result, store = materialize(tmp_path, "seed_examples", f"{GOOD}\n" + "write to ann@example.com\n" * 60, "seed.jsonl")
    assert result.get_asset_check_evaluations()[0].metadata["shown"].value == f"50 of 60; `ftassets check {LOOP}` lists all"
    rejected = read_rejected(store, "main", LOOP)
    assert len(rejected) == 60
    assert rejected[0].content == "write to <EMAIL>"


def test_a_copy_of_a_seed_row_is_quarantined_with_its_line_and_one_is_kept(tmp_path: Path) -> None:
    result, store = materialize(tmp_path, "seed_examples", f"{GOOD}\n{GOOD}\n", "seed.jsonl")
    assert result.success
    assert [row.prompt for row in from_parquet(store.read("main", seed_path(LOOP)))] == ["dim it"]
    quarantined = str(result.get_asset_check_evaluations()[0].metadata["quarantined"].value)
    assert "seed:2" in quarantined
    assert "is the same as line 1; curation keeps one" in quarantined


@pytest.mark.parametrize("text", ["", "\n\n", "not json\n", "[1, 2]\n"])
def test_a_file_without_a_usable_line_fails_and_says_what_a_line_looks_like(tmp_path: Path, text: str) -> None:
    result, store = materialize(tmp_path, "seed_examples", text, "seed.jsonl")
    assert not result.success
    assert '"role": "assistant"' in str(result.failure_data_for_node(f"{LOOP}__seed_examples"))
    assert store.list("main") == []


def test_a_golden_answer_that_is_no_call_is_refused(tmp_path: Path) -> None:
    bad = json.dumps({"id": "g1", "messages": [{"role": "user", "content": "dim"}, {"role": "assistant", "content": "sure"}]})
    result, store = materialize(tmp_path, "golden_set", f"{GOOD}\n{bad}\n", "golden.jsonl")
    assert not result.success
    assert "g1" in str(result.failure_data_for_node(f"{LOOP}__golden_set"))
    assert golden_path(LOOP) not in store.list("main")


def test_the_same_file_again_makes_no_new_commit(tmp_path: Path) -> None:
    _, store = materialize(tmp_path, "seed_examples", GOOD, "seed.jsonl")
    before = store.resolve("main")
    materialize(tmp_path, "seed_examples", GOOD, "seed.jsonl")
    assert store.resolve("main") == before


# Sets beside the golden one


def a_set(tmp_path: Path, name: str, scoring: str, *answers: str, more: str = "") -> dict[str, str]:
    lines = [
        json.dumps({"id": f"{name}{n}", "instruction": f"question {n}", "response": answer}) + "\n" for n, answer in enumerate(answers)
    ]
    (tmp_path / f"{name}.jsonl").write_text("".join(lines) + more)
    return {"name": name, "file": str(tmp_path / f"{name}.jsonl"), "scoring": scoring}


def test_sets_are_versioned_in_the_golden_set_s_commit(tmp_path: Path) -> None:
    sets = [a_set(tmp_path, "safety", "refusal", "refuse", "comply"), a_set(tmp_path, "general", "contains", "Paris", more="no json\n")]
    result, store = materialize(tmp_path, "golden_set", GOOD, "golden.jsonl", sets=sets)
    assert result.success
    [event] = result.get_asset_materialization_events()
    commit = data_version(event.materialization)
    assert event.materialization.metadata["commit"].value == commit[:12]
    found = read_sets(store, str(commit), LOOP, ["safety", "general"])
    assert {name: [row.completion for row in rows] for name, rows in found.items()} == {
        "safety": ["refuse", "comply"],
        "general": ["Paris"],
    }
    assert event.materialization.metadata["sets"].value == {"safety": 2, "general": 1}
    assert "general:2" in str(result.get_asset_check_evaluations()[0].metadata["quarantined"].value)

    # a set that changes is another golden commit, one that left the loop file leaves the store
    again, _ = materialize(tmp_path, "golden_set", GOOD, "golden.jsonl", sets=[a_set(tmp_path, "safety", "refusal", "refuse")])
    [event] = again.get_asset_materialization_events()
    assert data_version(event.materialization) != commit
    assert store.list("main") == [golden_path(LOOP), set_path(LOOP, "safety")]


def test_a_golden_slice_with_the_name_of_another_set_is_refused(tmp_path: Path) -> None:
    golden = json.dumps({"id": "g", "slice": "general", "instruction": "lamp on", "response": '{"intent": "on"}'}) + "\n"
    result, _ = materialize(tmp_path, "golden_set", golden, "golden.jsonl", sets=[a_set(tmp_path, "general", "contains", "Paris")])
    assert not result.success
    assert "slice general is the name of another set" in str(result.failure_data_for_node(f"{LOOP}__golden_set"))


@pytest.mark.parametrize(("scoring", "needed"), [("refusal", "refuse or comply"), ("exact", "a JSON object")])
def test_a_set_with_an_answer_it_cannot_score_is_refused_whole(tmp_path: Path, scoring: str, needed: str) -> None:
    sets = [a_set(tmp_path, "general", scoring, "Paris")]
    result, store = materialize(tmp_path, "golden_set", GOOD, "golden.jsonl", sets=sets)
    assert not result.success
    said = str(result.failure_data_for_node(f"{LOOP}__golden_set"))
    assert "general0" in said
    assert needed in said
    assert store.list("main") == []


def test_an_id_of_another_set_is_refused(tmp_path: Path) -> None:
    sets = [a_set(tmp_path, "safety", "refusal", "refuse"), a_set(tmp_path, "general", "contains", "Paris")]
    (tmp_path / "general.jsonl").write_text((tmp_path / "safety.jsonl").read_text())
    result, _ = materialize(tmp_path, "golden_set", GOOD, "golden.jsonl", sets=sets)
    assert not result.success
    assert "the same id: safety0" in str(result.failure_data_for_node(f"{LOOP}__golden_set"))
