"""A version trained again: the tiny loop's, with its real training."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ftassets.assets._shared.dataset_files import dataset_objects, pairs_path, read_splits
from ftassets.assets._shared.events import data_version, metadata_value, newest, node
from ftassets.backends.artifacts.version_folder import seal
from ftassets.backends.artifacts.versions import digests, load_manifest
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.cli.commands import reproduce
from ftassets.cli.commands.reproduce import EXIT_CODES, NODE, Reproduction, describe, run
from ftassets.cli.main import app
from ftassets.config.profiles import artifacts, control
from ftassets.domain.chat import question
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.training.reproduction import Compared, NotRepeatable, Outcome
from ftassets.testing.tiny_loop import LOOP, EvaluatorHere, TinyLoop, TrainerHere, tiny_loop
from ftassets_tests.assets.aligned_adapter.loops import aligned_loop, correct

pytestmark = [pytest.mark.slow, pytest.mark.models]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    with tiny_loop(tmp_path_factory.mktemp("tiny")) as loop:
        assert loop.run("retrain").success
        yield loop


def adapter(tiny: TinyLoop) -> str:
    event = newest(tiny.instance, node(LOOP, "adapter"))
    assert event is not None
    return data_version(event)


def again(tiny: TinyLoop, digest: str, margin: float = 0.05) -> Reproduction:
    home = tiny.home
    store = GitDatasetStore(home.datasets)
    return run(home, artifacts(home), control(home), store, TrainerHere(), EvaluatorHere(), tiny.loop, digest, margin)


def state(manifest: VersionManifest, tiny: TinyLoop, **known: Any) -> None:
    """Change what the manifest of a version states: its digest is of the files alone."""
    seal(tiny.home.versions / manifest.digest, manifest.model_copy(update=known))


def test_the_same_bytes_come_out_and_nothing_is_left_behind(tiny: TinyLoop) -> None:
    before = digests(artifacts(tiny.home))
    found = again(tiny, adapter(tiny))
    assert found.compared.outcome is Outcome.REPRODUCED
    assert (found.again, found.changed, found.base_changed) == (adapter(tiny), [], False)
    assert digests(artifacts(tiny.home)) == before
    assert not list(tiny.home.work.glob(f"{NODE}-*"))
    assert describe(found).splitlines()[0].startswith("REPRODUCED: the adapter has the same bytes, and so has every other file")
    assert json.loads(json.dumps(found.as_json()))["verdict"] == "REPRODUCED"
    lines = [json.loads(line) for file in (tiny.home.root / "usage" / LOOP).glob("*.jsonl") for line in file.read_text().splitlines()]
    assert [line["node"] for line in lines].count(NODE) == 1


def test_a_version_that_continued_production_is_made_from_production_again(tiny: TinyLoop) -> None:
    first = adapter(tiny)
    assert tiny.move("start").success
    assert tiny.materialize("adapter").success
    second = adapter(tiny)
    assert load_manifest(artifacts(tiny.home), second).parent == first
    assert again(tiny, second).again == second
    folder, hidden = tiny.home.versions / first, tiny.home.root / "hidden"
    folder.rename(hidden)
    try:
        with pytest.raises(NotRepeatable, match=f"version {second[:12]} continued version {first[:12]}, which is not here"):
            again(tiny, second)
    finally:
        hidden.rename(folder)


def test_a_version_trained_on_preferences_is_made_from_its_fine_tuning_again(tmp_path: Path) -> None:
    with aligned_loop(tmp_path) as tiny:
        correct(tiny)
        assert tiny.materialize("seed_examples", "golden_set", "curated_dataset", "preference_pairs", "adapter", "aligned_adapter").success
        tuned, store = adapter(tiny), GitDatasetStore(tiny.home.datasets)
        aligned = str(metadata_value(made := newest(tiny.instance, node(LOOP, "aligned_adapter")), "aligned"))
        [manifest] = [each for name in digests(artifacts(tiny.home)) if (each := load_manifest(artifacts(tiny.home), name)).parent == tuned]
        assert made is not None
        assert manifest.digest.startswith(aligned)
        before = digests(artifacts(tiny.home))
        without = TinyLoop(**{**vars(tiny), "loop": tiny.loop.model_copy(update={"align": None})})
        for loop in (tiny, without):  # the manifest says how it was trained, whatever the loop file has now
            found = again(loop, manifest.digest)
            assert (found.compared.outcome, found.again) == (Outcome.REPRODUCED, manifest.digest)
            assert found.compared.sentence.startswith("the adapter has the same bytes, and so has every other file")
            fine_tuning = f"the fine-tuning before it, version {tuned[:12]}, was trained again first: its adapter has the same bytes"
            assert found.fine_tuning == describe(found).splitlines()[1] == fine_tuning
        assert digests(artifacts(tiny.home)) == before

        first = load_manifest(artifacts(tiny.home), tuned)
        state(first, tiny, recipe={**first.recipe, "seed": first.recipe["seed"] + 1})
        found = again(tiny, manifest.digest, margin=1.0)
        assert found.again != manifest.digest
        assert found.compared.interval is not None
        assert "has other weights, from which the training on preferences started" in (found.fine_tuning or "")
        state(first, tiny)

        stated = manifest.recipe["align"]
        state(manifest, tiny, recipe={**manifest.recipe, "align": {**stated, "preferences_hash": "0" * 64}})
        with pytest.raises(NotRepeatable, match="of the preferences at commit .* others are trained on now"):
            again(tiny, manifest.digest)
        state(manifest, tiny, recipe={**manifest.recipe, "align": {**stated, "preferences_commit": "0" * 40}})
        with pytest.raises(NotRepeatable, match=r"\(commit 000000000000\) are not there any more, as after `ftassets forget`"):
            again(tiny, manifest.digest)
        state(manifest, tiny)
        shutil.rmtree(tiny.home.versions / tuned)
        with pytest.raises(NotRepeatable, match=f"from version {tuned[:12]}, which is not here"):
            again(tiny, manifest.digest)
        assert store.last_change("main", pairs_path(LOOP)) == stated["preferences_commit"]


def test_another_row_gives_other_bytes_and_then_answers_are_compared(tiny: TinyLoop) -> None:
    store, digest = GitDatasetStore(tiny.home.datasets), adapter(tiny)
    manifest = load_manifest(artifacts(tiny.home), digest)
    splits = read_splits(store, manifest.dataset_commit or "", LOOP)
    splits["train"][0] = splits["train"][0].model_copy(update={"messages": question("another question")})
    commit = store.publish("changed", dataset_objects(store, LOOP, splits, [], {}, {}, "changed"), "changed", {}).commit
    state(manifest, tiny, dataset_commit=commit)
    try:
        with pytest.raises(NotRepeatable, match="are not those that version"):
            again(tiny, digest)
        state(manifest, tiny, dataset_commit=commit, dataset_hash=None, environment={**manifest.environment, "torch": "1.0"})
        found = again(tiny, digest, margin=1.0)
        assert found.again != digest
        assert found.compared.outcome is Outcome.REPRODUCED  # every interval is within a margin of 1
        assert found.compared.interval is not None
        assert "the weights differ; exact match" in found.compared.sentence
        assert f"torch: 1.0, now {manifest.environment['torch']}" in describe(found)
        assert again(tiny, digest, margin=0.0).compared.outcome is not Outcome.REPRODUCED
    finally:
        state(manifest, tiny)


def test_a_dataset_that_was_erased_is_named(tiny: TinyLoop) -> None:
    manifest = load_manifest(artifacts(tiny.home), adapter(tiny))
    state(manifest, tiny, dataset_commit="0" * 40)
    try:
        with pytest.raises(NotRepeatable, match=r"\(dataset commit 000000000000\).*are not there any more, as after `ftassets forget`"):
            again(tiny, manifest.digest)
    finally:
        state(manifest, tiny)
    assert not list(tiny.home.work.glob(f"{NODE}-*"))


@pytest.mark.parametrize("outcome", Outcome)
def test_the_exit_code_is_the_outcome(tiny: TinyLoop, outcome: Outcome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    digest = adapter(tiny)
    found = Reproduction(digest, "a" * 64, Compared(outcome, "as it is", (-0.1, 0.1)), None, True, "c" * 40, None)
    monkeypatch.setattr(reproduce, "run", lambda *_: found)
    monkeypatch.setenv("FTASSETS_HOME", str(tiny.home.root))
    loops = tmp_path / "loops" / LOOP
    loops.mkdir(parents=True)
    attributes = json.loads(tiny.loop.model_dump_json(exclude_unset=True))
    (loops / "defs.yaml").write_text(json.dumps({"type": "ftassets.FineTuneLoop", "attributes": attributes}))
    for option in ([], ["--json"]):
        result = CliRunner().invoke(app, ["reproduce", digest[:10], "--loops", str(loops.parent), *option])
        assert result.exit_code == EXIT_CODES[outcome], result.output
        said = json.loads(result.stdout) if option else result.stdout
        if option:
            assert (said["verdict"], said["interval"], said["base_changed"]) == (outcome.value, [-0.1, 0.1], True)
        else:
            assert said.startswith(f"{outcome.value}: as it is\nthe base model is not the one")
            assert "was not recorded" in said
    assert sorted(EXIT_CODES.values()) == [0, 1, 2]
    assert replace(found, changed=["torch: 1, now 2"]) != found
    shutil.rmtree(loops)
