"""What a dataset's verdicts decide: merged to main with them, or set aside on a branch."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from ftassets.assets._shared.dataset_export import export
from ftassets.assets._shared.dataset_files import (
    card_path,
    index_path,
    quarantine_from_parquet,
    quarantine_path,
    read_index,
    read_splits,
    refused_branch,
    refused_folder,
)
from ftassets.assets._shared.events import data_version, newest, node
from ftassets.backends.artifacts.versions import version_key
from ftassets.backends.dataset_store import base
from ftassets.backends.dataset_store.base import DatasetStore, Unreachable
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.embedder.base import EmbedderError
from ftassets.config.profiles import artifacts
from ftassets.domain.dataset.acceptance import BLOCKING
from ftassets.domain.dataset.feedback import from_feedback
from ftassets.domain.evaluation.answer_form import Text
from ftassets.domain.release.version import MERGED
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback, Reviewed
from ftassets.testing.doubles.lakefs import on_double
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.tiny_loop import LOOP, TinyLoop, right_answer, rows, tiny_loop

WRITTEN = ("seed_examples", "golden_set", "curated_dataset")


@pytest.fixture(params=["git", "lakefs"])
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TinyLoop]:
    with tiny_loop(tmp_path) as loop:
        loop.resources["dataset_store"] = GitDatasetStore(loop.home.datasets) if request.param == "git" else on_double(tmp_path)
        yield loop


def store(loop: TinyLoop) -> DatasetStore:
    found: DatasetStore = loop.resources["dataset_store"]
    return found


def asks_for(loop: TinyLoop, rows: int) -> None:
    loop.loop = loop.loop.model_copy(update={"dataset": loop.loop.dataset.model_copy(update={"min_rows": rows})})


def event(loop: TinyLoop) -> dg.AssetMaterialization:
    found = newest(loop.instance, node(LOOP, "curated_dataset"))
    assert found is not None
    return found


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations() if each.asset_key == node(LOOP, WRITTEN[-1])}


def test_an_accepted_dataset_is_on_main_with_its_verdicts(tiny: TinyLoop) -> None:
    result = tiny.materialize(*WRITTEN)
    assert result.success
    commit = data_version(event(tiny))
    checks = read_index(store(tiny), "main", LOOP).checks
    assert checks.keys() == BLOCKING.keys()
    assert {name: check.passed for name, check in checks.items()} == {name: verdicts(result)[name] for name in BLOCKING}
    assert checks["rows_add_up"].sentence == "96 collected, 96 kept, 0 quarantined"
    assert (store(tiny).resolve("main"), store(tiny).branches(refused_folder(LOOP))) == (commit, [])
    assert "refused" not in {*event(tiny).metadata, *store(tiny).get_commit(commit).metadata}


def test_a_dataset_has_a_card_that_opens_it_and_that_the_same_rows_do_not_change(tiny: TinyLoop, tmp_path: Path) -> None:
    import datasets
    from huggingface_hub import DatasetCard

    assert tiny.materialize(*WRITTEN).success
    first = data_version(event(tiny))
    export(store(tiny), first, LOOP, tmp_path / "out")
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    opened = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(opened[split]) for split in opened} == {
        split: len(members) for split, members in read_splits(store(tiny), first, LOOP).items() if members
    }
    seeded, golden = (data_version(found) for name in WRITTEN[:2] if (found := newest(tiny.instance, node(LOOP, name))))
    assert f"| seed rows | {seeded} |" in card.text
    assert f"| golden rows, kept out | {golden} |" in card.text
    assert "dataset before this one" not in card.text
    digests = {shard.path: shard.digest for shards in read_index(store(tiny), first, LOOP).shards.values() for shard in shards}
    croissant = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert {each["contentUrl"]: each["sha256"] for each in croissant["distribution"] if "sha256" in each} == digests
    with tiny.loop.golden_set.open("a") as more:
        more.write(rows(("shut",), "later", "drifted"))
    assert tiny.materialize(*WRITTEN).success
    assert data_version(event(tiny)) == first, "the same rows are no new version, though the golden set changed"
    with tiny.loop.dataset.seed.open("a") as seed:
        seed.write(rows(("dim",), "kindly"))
    assert tiny.materialize(*WRITTEN).success
    text = store(tiny).read(data_version(event(tiny)), card_path(LOOP)).decode()
    assert f"| dataset before this one | {first} |" in text


def test_a_refused_dataset_is_set_aside_and_the_next_one_starts_from_what_was_accepted(tiny: TinyLoop) -> None:
    assert tiny.materialize(*WRITTEN).success
    accepted = data_version(event(tiny))
    asks_for(tiny, 10_000)
    result = tiny.materialize("curated_dataset")
    assert not result.success
    assert [name for name, passed in verdicts(result).items() if not passed] == ["enough_rows"]
    commit, branch = data_version(event(tiny)), refused_branch(LOOP, result.run_id)
    assert str(event(tiny).metadata["verdict"].value).startswith("REFUSED: enough_rows: 96 rows are too few: the loop asks for 10,000")
    assert store(tiny).resolve("main") == accepted
    assert store(tiny).resolve(branch) == commit
    assert "**Refused**" in store(tiny).read(commit, card_path(LOOP)).decode()
    found = store(tiny).get_commit(commit)
    assert (found.parents, found.metadata["refused"], found.metadata["loop"]) == ((accepted,), "enough_rows", LOOP)
    assert read_splits(store(tiny), branch, LOOP) == read_splits(store(tiny), accepted, LOOP)
    assert not read_index(store(tiny), branch, LOOP).checks["enough_rows"].passed
    asks_for(tiny, 10)
    assert tiny.materialize("curated_dataset").success
    assert data_version(event(tiny)) == accepted, "the same rows again are no new dataset"


def test_a_publication_that_ended_before_its_merge_is_no_dataset(tiny: TinyLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tiny.materialize("seed_examples", "golden_set").success
    monkeypatch.setattr(base, "RETRY_PAUSES", ())

    def unreachable(*_: Any) -> str:
        raise Unreachable("the line went dead")

    with monkeypatch.context() as patch:
        patch.setattr(store(tiny), "merge", unreachable)
        assert not tiny.materialize("curated_dataset").success
    assert index_path(LOOP) not in store(tiny).list("main")
    result = tiny.materialize("adapter")
    [failed] = [each.step_failure_data.user_failure_data for each in result.all_events if each.is_step_failure]
    assert failed is not None
    assert failed.description == "tiny/curated_dataset has never been materialized: materialize it first"
    assert tiny.materialize("curated_dataset").success
    assert read_index(store(tiny), "main", LOOP).checks.keys() == BLOCKING.keys()


def test_lines_of_the_seed_file_that_are_no_rows_are_in_the_quarantine(tiny: TinyLoop) -> None:
    with tiny.loop.dataset.seed.open("a") as seed:
        seed.write("no JSON\n")
    assert tiny.materialize(*WRITTEN).success
    assert read_index(store(tiny), "main", LOOP).checks["rows_add_up"].sentence == "97 collected, 96 kept, 1 quarantined"
    [line] = quarantine_from_parquet(store(tiny).read("main", quarantine_path(LOOP)))
    assert (line.where, line.content) == ("schema:seed:97", "no JSON")


def test_control_tokens_of_the_bases_tokenizer_are_counted_in_requests_and_quarantined_in_answers(tiny: TinyLoop) -> None:
    with tiny.loop.dataset.seed.open("a") as seed:
        for name, asked, said in (
            ("asks", "dim it<|im_end|>", right_answer("dim", "hall")),
            ("answers", "dim it more", '{"a": "<|im_end|>"}'),
        ):
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
            seed.write(json.dumps({"id": name, "messages": messages}) + "\n")
    result = tiny.materialize(*WRITTEN)
    assert result.success
    assert read_index(store(tiny), "main", LOOP).checks["rows_add_up"].sentence == "98 collected, 97 kept, 1 quarantined"
    assert "the answer holds the control token '<|im_end|>'" in str(event(tiny).metadata["dropped"].value)
    assert "requests with <|im_end|>, read as text 1 (row asks)" in str(event(tiny).metadata["steps"].value)


def test_without_the_base_the_tokenizer_of_production_counts(tiny: TinyLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = "d" * 64
    with tiny.loop.dataset.seed.open("a") as seed:
        messages = [{"role": "user", "content": "dim it"}, {"role": "assistant", "content": '{"a": "<|im_end|>"}'}]
        seed.write(json.dumps({"id": "injected", "messages": messages}) + "\n")
    copy = tiny.home.root / "tokenizer.json"
    shutil.copy(Path(tiny.loop.base_model) / "tokenizer.json", copy)
    artifacts(tiny.home).put_file(version_key(digest, MERGED, "tokenizer.json"), copy)
    (Path(tiny.loop.base_model) / "tokenizer.json").unlink()
    monkeypatch.setattr(type(tiny.serving), "state", lambda self, loop: EndpointState(production=digest))
    result = tiny.materialize(*WRITTEN)
    assert result.success
    assert read_index(store(tiny), "main", LOOP).checks["rows_add_up"].sentence == "97 collected, 96 kept, 1 quarantined"
    assert "holds the control token '<|im_end|>'" in str(event(tiny).metadata["dropped"].value)


def test_an_answer_that_was_cut_is_not_learned_from() -> None:
    messages = json.dumps([{"role": "user", "content": "where is it?"}])
    exchange = Exchange("r", LOOP, "v", "u", "where is it?", messages, "It is on its", 200, 1.0, 1.0, None, None, None, 1.0)
    cut = exchange.judged(Text(), truncated=True)
    up, corrected = Feedback("r", 2.0, "up", None), Feedback("r", 2.0, "up", "It is on its way.")
    rows, (bad,) = from_feedback([Reviewed(cut, up)], Text())
    assert (rows, bad.where, bad.reason) == ([], "thumbs_up:r", "the answer was cut at the token limit")
    for item in (Reviewed(exchange.judged(Text()), up), Reviewed(cut, corrected)):
        (row,), bad_rows = from_feedback([item], Text())
        assert (row.source, bad_rows) == (item.feedback.verdict, [])


def test_a_row_that_the_embedder_refuses_is_quarantined(tiny: TinyLoop) -> None:
    class Refusing(HashEmbedder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            if any("unheard of" in text for text in texts):
                raise EmbedderError("the embedder answered 400")
            return super().encode(texts)

    with tiny.loop.dataset.seed.open("a") as seed:
        messages = [{"role": "user", "content": "unheard of"}, {"role": "assistant", "content": right_answer("dim", "hall")}]
        seed.write(json.dumps({"id": "odd", "messages": messages}) + "\n")
    tiny.resources["embedder_of"] = lambda settings: Refusing()
    result = tiny.materialize(*WRITTEN)
    assert result.success
    assert read_index(store(tiny), "main", LOOP).checks["rows_add_up"].sentence == "97 collected, 96 kept, 1 quarantined"
    assert "seed:odd" in str(event(tiny).metadata["dropped"].value)
