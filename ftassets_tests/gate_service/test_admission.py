"""What a request may name, and what it may not."""

from dataclasses import replace
from pathlib import Path

import pytest

from ftassets.assets._shared.dataset_files import golden_path, to_parquet
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.config.profiles import artifacts
from ftassets.domain.evaluation.answer_form import TaskType
from ftassets.gate_service.admission import find_version
from ftassets.gate_service.contract import BadRequest
from ftassets.testing.tiny_loop import tiny_config
from ftassets_tests.gate_service.world import ADAPTER_FILES, LOOP, World, make_version, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("checks"))


def test_a_version_is_found_by_digest_beginning_and_folder(world: World) -> None:
    versions, digest = world.home.versions, world.candidate
    for name in (digest, digest[:12], digest[:40], str(versions / digest), f"{versions}/../versions/{digest}/", f"./{digest}"):
        assert find_version(artifacts(world.home), name) == digest


@pytest.mark.parametrize(
    "name",
    [
        "0" * 12, "f" * 64, "abc", "/etc/passwd", "../keys", "..", ".", "{versions}", "{versions}/{digest}/merged", "/tmp/{digest}",
        "{digest}\0", "x" * 4096,
    ],
)  # fmt: skip
def test_anything_else_is_refused(world: World, name: str) -> None:
    path = name.replace("{versions}", str(world.home.versions)).replace("{digest}", world.candidate)
    with pytest.raises(BadRequest, match="model_path"):
        find_version(artifacts(world.home), path)


def test_a_beginning_of_several_versions_is_refused(tmp_path: Path) -> None:
    for end in "ab":
        (tmp_path / "versions" / ("1" * 63 + end)).mkdir(parents=True)
    with pytest.raises(BadRequest, match="begins 2 names where one version is wanted"):
        find_version(FolderArtifacts(tmp_path), "1" * 12)


@pytest.mark.parametrize("missing", ADAPTER_FILES)
def test_a_version_without_its_adapter_is_refused(world: World, missing: str) -> None:
    made = make_version(world.home, None, f"without {missing[-12:]}", *(name for name in ADAPTER_FILES if name != missing))
    with pytest.raises(BadRequest, match=f"has no {missing}"):
        world.job(model_path=made)


def test_an_untuned_base_is_no_candidate(world: World) -> None:
    with pytest.raises(BadRequest, match="adapter_config.json"):
        world.job(model_path=world.base)


@pytest.mark.parametrize("pickle", ["adapter/optimizer.pt", "merged/pytorch_model.BIN", "adapter/deep/down/x.pkl"])
def test_a_pickle_is_refused_even_when_it_came_later(world: World, pickle: str) -> None:
    made = make_version(world.home, None, f"with {Path(pickle).name}", *ADAPTER_FILES)
    (world.home.versions / made / pickle).parent.mkdir(parents=True, exist_ok=True)
    (world.home.versions / made / pickle).write_bytes(b"\x80\x04.")
    with pytest.raises(BadRequest, match="a pickle can run code"):
        world.job(model_path=made)


def test_a_removed_weight_file_is_noticed_whatever_the_manifest_says(world: World) -> None:
    made = make_version(world.home, None, "cut", *ADAPTER_FILES)
    (world.home.versions / made / ADAPTER_FILES[1]).unlink()
    with pytest.raises(BadRequest, match="adapter_model.safetensors"):
        world.job(model_path=made)


def test_a_version_of_another_loop_is_refused(world: World) -> None:
    made = make_version(world.home, None, "foreign", *ADAPTER_FILES, loop="other")
    with pytest.raises(BadRequest, match="one of the loop other"):
        world.job(model_path=made)


def test_the_newest_golden_set_is_the_default_and_an_older_one_can_be_named(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    assert (world.job().golden_commit, world.job().newest_golden) == (world.golden_commit, True)
    newer = world.store.publish("again", {golden_path(LOOP): to_parquet(world.golden[:50])}, "shorter", {}).commit
    assert (world.job().golden_commit, world.job().newest_golden) == (newer, True)
    old = world.job(golden_set_id=f"{LOOP}@{world.golden_commit}")
    assert (old.golden_commit, old.newest_golden) == (world.golden_commit, False)


def test_a_golden_set_that_is_not_there_is_refused(world: World) -> None:
    empty = world.store.log("main")[-1].id
    for golden, why in (
        (f"{LOOP}@{'0' * 40}", "does not exist"),
        (f"{LOOP}@{empty}", "holds no golden set"),
        ("other", "there is no loop"),
    ):
        with pytest.raises(BadRequest, match=why):
            world.job(golden_set_id=golden)


def test_a_branch_that_looks_like_a_commit_is_refused(world: World) -> None:
    world.store.branch("a" * 40)
    with pytest.raises(BadRequest, match="name of a branch"):
        world.job(golden_set_id=f"{LOOP}@{'a' * 40}")


def test_loop_and_golden_set_must_agree(world: World) -> None:
    assert world.job(loop=LOOP).loop.name == LOOP
    with pytest.raises(BadRequest, match="not the loop of the golden set"):
        world.job(loop="other")


def test_the_callers_condition_is_the_sum_without_a_rounding_error(world: World) -> None:
    assert world.job(baseline_f1=0.8, threshold=0.05).wanted_f1 == 0.85


@pytest.mark.parametrize(("task", "wrong"), [("text", "F1 needs classes, and a text task has no classes"), ("classification", None)])
def test_f1_is_asked_for_only_where_answers_have_classes(world: World, tmp_path: Path, task: TaskType, wrong: str | None) -> None:
    other = replace(world, loop=tiny_config(tmp_path, tmp_path, task))
    if wrong is None:
        assert other.job().loop.task.type == task
    else:
        with pytest.raises(BadRequest, match=wrong):
            other.job()
