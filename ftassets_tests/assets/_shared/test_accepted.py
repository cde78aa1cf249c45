"""Which version of its inputs an asset takes, whatever Dagster's events say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ftassets.assets._shared.accepted import (
    ALIGNMENT,
    Input,
    accepted_adapter,
    accepted_candidate,
    accepted_dataset,
    adapter_refusals,
    dataset_refusals,
    golden_commit,
    seed_commit,
)
from ftassets.assets._shared.dataset_files import (
    dataset_objects,
    golden_path,
    index_path,
    read_index,
    refused_branch,
    seed_path,
    set_path,
    to_parquet,
)
from ftassets.assets._shared.events import DATA_VERSION, node
from ftassets.backends.artifacts.reports import store_report
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts
from ftassets.domain.acceptance import Check
from ftassets.domain.canonical import canonical_json, parse_json
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.gates.alignment import Alignment, Measured
from ftassets.domain.release.version import ADAPTER, wanted_parts
from ftassets.testing.doubles.lakefs import on_double
from ftassets.testing.releases import ACCEPTED, loop_config, make_version

LOOP = "support"
FEW = {**ACCEPTED, "enough_rows": Check(passed=False, sentence="40 rows are too few")}


@dataclass
class World:
    """A loop's stores and events."""

    home: Home
    store: DatasetStore
    instance: dg.DagsterInstance

    def event(self, name: str, version: str, **metadata: str) -> None:
        """A materialization as anybody can report it."""
        made = dg.AssetMaterialization(node(LOOP, name), tags={DATA_VERSION: version}, metadata=metadata)
        self.instance.report_runless_asset_event(made)

    def curated(self, name: str, checks: Mapping[str, Check] = ACCEPTED) -> str:
        """A dataset as the asset leaves one: published if it is accepted, set aside if not, and materialized."""
        rows = {"train": [Example(id=name, messages=question(f"request {name}"), completion="{}")]}
        files = dataset_objects(self.store, LOOP, rows, [], {}, {}, name, checks=checks)
        if all(check.passed for check in checks.values()):
            commit = self.store.publish(name, files, name, {}).commit
        else:
            commit = self.store.set_aside(refused_branch(LOOP, name), name, files, name, {})
        self.event("curated_dataset", commit)
        return commit

    def trained(self, name: str, dataset: str, last: float = 1.0, **stated: Any) -> str:
        """A version with its losses and dataset, materialized."""
        stated = {"loop": LOOP, "dataset_commit": dataset, "metrics": {"first_loss": 2.0, "last_loss": last}, **stated}
        digest = make_version(self.home, name, parts=wanted_parts(ADAPTER), **stated)
        self.event("adapter", digest)
        return digest

    def dataset(self) -> Input:
        return accepted_dataset(self.instance, self.store, LOOP)

    def adapter(self) -> Input:
        return accepted_adapter(self.instance, artifacts(self.home), self.store, LOOP)


@pytest.fixture(params=["git", "lakefs"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    home = Home(tmp_path / "home")
    store = GitDatasetStore(home.datasets) if request.param == "git" else on_double(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(home, store, instance)


def test_the_newest_dataset_is_taken_if_it_is_accepted(world: World) -> None:
    first, second = world.curated("a"), world.curated("b")
    assert first != second
    assert world.dataset() == Input(second)


def test_a_newer_dataset_that_was_refused_is_passed_over_and_named(world: World) -> None:
    good, bad = world.curated("a"), world.curated("b", FEW)
    assert world.dataset() == Input(
        good, f"dataset {bad[:12]} is newer and was refused: enough_rows: 40 rows are too few. {good[:12]} is used"
    )
    better = world.curated("c")
    assert world.dataset() == Input(better)


def test_a_refused_dataset_is_not_on_main_and_can_be_looked_at(world: World) -> None:
    bad = world.curated("a", FEW)
    assert index_path(LOOP) not in world.store.list("main")
    assert read_index(world.store, refused_branch(LOOP, "a"), LOOP).checks == FEW
    assert world.store.resolve(refused_branch(LOOP, "a")) == bad


def test_without_an_accepted_dataset_the_refusal_says_why_and_what_to_do(world: World) -> None:
    with pytest.raises(dg.Failure, match="support/curated_dataset has never been materialized: materialize it first"):
        world.dataset()
    bad = world.curated("a", FEW)
    with pytest.raises(dg.Failure, match="is accepted") as refused:
        world.dataset()
    assert refused.value.description == (
        f"no dataset of support is accepted. The newest, {bad[:12]}, was refused: enough_rows: 40 rows are too few. "
        "Mend what it names and materialize curated_dataset again"
    )
    assert not refused.value.allow_retries


def test_a_pass_reported_by_hand_accepts_no_dataset(world: World) -> None:
    world.curated("a", FEW)
    world.instance.report_runless_asset_event(dg.AssetCheckEvaluation(node(LOOP, "curated_dataset"), "enough_rows", passed=True))
    with pytest.raises(dg.Failure, match="enough_rows: 40 rows are too few"):
        world.dataset()


def test_an_event_by_hand_brings_no_other_dataset_in(world: World) -> None:
    older, newer = world.curated("a"), world.curated("b")
    world.event("curated_dataset", older)
    assert world.dataset() == Input(newer)
    world.event("curated_dataset", "f" * 40)
    assert world.dataset().id == newer


def test_a_dataset_on_main_is_refused_by_the_verdicts_in_its_index(world: World) -> None:
    files = dataset_objects(world.store, LOOP, {"train": []}, [], {}, {}, "x", checks=FEW)
    commit = world.store.publish("x", files, "by hand", {}).commit
    with pytest.raises(dg.Failure, match=f"The newest, {commit[:12]}, was refused: enough_rows"):
        world.dataset()


def test_a_dataset_of_a_release_that_stored_no_verdicts_is_not_accepted_until_it_is_curated_again(world: World) -> None:
    world.curated("a")
    index = parse_json(world.store.read("main", index_path(LOOP)))
    old = {name: value for name, value in index.items() if name not in ("format", "checks")}
    commit = world.store.publish("old", {index_path(LOOP): canonical_json(old)}, "as release 1 wrote it", {}).commit
    assert dataset_refusals(world.store, commit, LOOP) == {"checks": "an earlier release published it without its verdicts"}
    with pytest.raises(dg.Failure, match=r"without its verdicts\. Mend what it names and materialize curated_dataset again"):
        world.dataset()
    again = world.curated("b")
    assert world.dataset() == Input(again)


def test_the_newest_adapter_is_taken_if_it_is_accepted(world: World) -> None:
    dataset = world.curated("a")
    world.trained("v", dataset)
    newest = world.trained("w", dataset)
    assert world.adapter() == Input(newest)


def test_a_newer_adapter_that_was_refused_is_passed_over_and_named(world: World) -> None:
    dataset = world.curated("a")
    good, bad = world.trained("v", dataset), world.trained("w", dataset, last=3.0)
    world.event("adapter", bad)  # once more: it is named once
    why = f"adapter {bad[:12]} is newer and was refused: loss_fell: loss 2.000 at the start, 3.000 at the end. {good[:12]} is used"
    assert world.adapter() == Input(good, why)


def test_without_an_accepted_adapter_the_refusal_says_why_and_what_to_do(world: World) -> None:
    with pytest.raises(dg.Failure, match="support/adapter has never been materialized"):
        world.adapter()
    bad = world.trained("v", world.curated("a"), last=3.0)
    with pytest.raises(dg.Failure, match=f"no adapter of support is accepted. The newest, {bad[:12]}, was refused: loss_fell") as refused:
        world.adapter()
    assert not refused.value.allow_retries


def test_an_adapter_is_refused_with_its_dataset(world: World) -> None:
    refused = world.curated("a", FEW)
    digest = world.trained("v", refused)
    why = adapter_refusals(artifacts(world.home), world.store, digest, LOOP)
    assert why == {f"dataset {refused[:12]}": "enough_rows: 40 rows are too few"}


@pytest.mark.parametrize(
    ("stated", "check", "why"),
    [
        ({"loop": "other"}, "manifest", "it was not trained for support"),
        ({"loop": None}, "manifest", "it was not trained for support"),
        ({"dataset_commit": None}, "dataset", "the manifest names no dataset"),
        ({"metrics": {}}, "loss_fell", "the manifest has no losses"),
    ],
)
def test_an_event_by_hand_makes_no_other_version_a_candidate(world: World, stated: dict[str, Any], check: str, why: str) -> None:
    digest = world.trained("v", world.curated("a"), **stated)
    assert adapter_refusals(artifacts(world.home), world.store, digest, LOOP) == {check: why}


def test_a_version_that_is_gone_or_trained_on_other_rows_is_refused(world: World) -> None:
    dataset = world.curated("a")
    digest = world.trained("v", dataset, dataset_hash="0" * 64)
    here = artifacts(world.home), world.store
    assert adapter_refusals(*here, digest, LOOP) == {f"dataset {dataset[:12]}": "its rows are not those that the manifest names"}
    assert "has no readable manifest" in adapter_refusals(*here, "f" * 64, LOOP)["manifest"]
    hashed = read_index(world.store, dataset, LOOP).content_hash
    assert adapter_refusals(*here, world.trained("w", dataset, dataset_hash=hashed), LOOP) == {}


def test_what_people_wrote_is_taken_from_main_whatever_events_say(world: World) -> None:
    loop = loop_config()
    for read, name, path in ((seed_commit, "seed_examples", seed_path(LOOP)), (golden_commit, "golden_set", golden_path(LOOP))):
        with pytest.raises(dg.Failure, match=f"support/{name} has never been materialized: materialize it first"):
            read(world.instance, world.store, loop)
        first, second = (world.store.publish(f"{name}{n}", {path: b"%d" % n}, "m", {}).commit for n in (1, 2))
        for commit in (second, first):  # the last event names the older commit
            world.event(name, commit)
        assert read(world.instance, world.store, loop) == second


def test_the_golden_set_has_all_sets_of_the_loop_file(world: World, tmp_path: Path) -> None:
    loop = loop_config(sets=[{"name": "safety", "file": str(tmp_path / "safety.jsonl")}])
    first = world.store.publish("1", {golden_path(LOOP): to_parquet([])}, "m", {}).commit
    world.event("golden_set", first)
    with pytest.raises(dg.Failure, match="on main, which the loop file asks for: materialize golden_set again"):
        golden_commit(world.instance, world.store, loop)
    second = world.store.publish("2", {set_path(LOOP, "safety"): to_parquet([])}, "m", {}).commit
    assert golden_commit(world.instance, world.store, loop) == second


def measured(world: World, tuned: str, aligned: str, won: int = 40, **changes: str) -> str:
    """What was measured of a version trained on preferences, which won so many of 40 held-out pairs; the report's digest."""
    scores = [Measured(unit=f"row-{n}", tuned=1.0, aligned=1.0) for n in range(200)]
    pairs = [Measured(unit=f"pair-{n}", tuned=0.0, aligned=1.0 if n < won else -1.0) for n in range(40)]
    names = {"method": "dpo", "tuned": tuned, "aligned": aligned, "dataset_commit": "d", "preferences_commit": "p", **changes}
    made = Alignment(loop=LOOP, run_id="r", metric="exact_match", scores=scores, preferences=pairs, **names)
    return store_report(artifacts(world.home), LOOP, "alignment", made.document())


def aligned_version(world: World, name: str, tuned: str, dataset: str, report: str | None = None) -> str:
    """A version trained on preferences, materialized with the measurements it names."""
    recipe = {"method": "lora", "start_from": tuned, "align": {"method": "dpo", "beta": 0.1, "preferences_commit": "p"}}
    metrics = {"first_loss": 0.69, "last_loss": 0.5}
    stated = {"loop": LOOP, "dataset_commit": dataset, "metrics": metrics, "recipe": recipe}
    digest = make_version(world.home, name, parts=wanted_parts(ADAPTER), **stated)
    world.event("aligned_adapter", digest, **({} if report is None else {ALIGNMENT: report[:12]}))
    return digest


def candidate(world: World) -> Input:
    loop = loop_config(name=LOOP, align={"method": "dpo"})
    return accepted_candidate(world.instance, artifacts(world.home), world.store, loop)


def test_without_align_the_adapter_is_the_candidate(world: World) -> None:
    tuned = world.trained("v", world.curated("a"))
    assert accepted_candidate(world.instance, artifacts(world.home), world.store, loop_config(name=LOOP)) == Input(tuned)


def test_a_version_trained_on_preferences_is_the_candidate_by_its_stored_measurements_alone(world: World) -> None:
    dataset = world.curated("a")
    tuned = world.trained("v", dataset)
    with pytest.raises(dg.Failure, match="aligned_adapter has never been materialized"):
        candidate(world)
    world.event("aligned_adapter", tuned)
    assert candidate(world) == Input(tuned), "the fine-tuned version needs none"
    aligned = aligned_version(world, "w", tuned, dataset)
    found = candidate(world)
    assert found.id == tuned
    assert f"aligned_adapter {aligned[:12]} is newer and was refused: alignment: " in str(found.passed_over)
    assert "names no alignment report of support; nothing is stored" in str(found.passed_over)
    world.event("aligned_adapter", aligned, **{ALIGNMENT: measured(world, tuned, aligned)[:12]})
    assert candidate(world) == Input(aligned)


@pytest.mark.parametrize(("won", "said"), [(2, "alignment: FAIL: the chosen answer gained"), (22, "alignment: NOT ENOUGH DATA: ")])
def test_a_version_that_did_not_prove_to_be_better_is_passed_over_though_its_event_names_it(world: World, won: int, said: str) -> None:
    dataset = world.curated("a")
    tuned = world.trained("v", dataset)
    world.event("aligned_adapter", tuned)
    aligned = aligned_version(world, "w", tuned, dataset)
    world.event("aligned_adapter", aligned, **{ALIGNMENT: measured(world, tuned, aligned, won)[:12]})
    found = candidate(world)
    assert found.id == tuned
    assert said in str(found.passed_over)


@pytest.mark.parametrize("changes", [{"aligned": "e" * 64}, {"tuned": "e" * 64}, {"method": "kto"}])
def test_measurements_of_another_version_or_by_another_method_prove_nothing(world: World, changes: dict[str, str]) -> None:
    dataset = world.curated("a")
    tuned = world.trained("v", dataset)
    world.event("aligned_adapter", tuned)
    aligned = aligned_version(world, "w", tuned, dataset)
    world.event("aligned_adapter", aligned, **{ALIGNMENT: measured(world, **{"tuned": tuned, "aligned": aligned, **changes})[:12]})
    found = candidate(world)
    assert found.id == tuned
    assert "are of another version" in str(found.passed_over)
