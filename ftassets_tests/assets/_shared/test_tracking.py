"""A training in MLflow, in W&B and on its page in Dagster while it runs, with the real registry and a trainer that notes as ours does."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ftassets.assets._shared import tracking
from ftassets.assets._shared.events import node
from ftassets.assets._shared.tracking import RUN_TAG, track_scores, tracked
from ftassets.backends.registry.mlflow import MlflowRegistry
from ftassets.backends.run_mirror.base import RunMirror
from ftassets.backends.trainer.base import TrainingFailed, TrainingKilled
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.training.points import Point, to_line
from ftassets.errors import FtassetsError
from ftassets.testing.made_once import mlflow_tables
from ftassets.testing.tiny_job import tiny_job
from ftassets_tests.domain.gates.reports import report as eval_report
from ftassets_tests.domain.gates.reports import rows

KEY = node("tiny", "adapter")
LOSSES = [3.0, 2.5, 2.0, 1.5]


@dataclass
class World:
    folder: Path
    registry: MlflowRegistry
    instance: dg.DagsterInstance
    mirror: RunMirror | None = None
    run_ids: list[str] = field(default_factory=list)
    goes_on: bool = False

    def train(self, *steps: Callable[[Any], None]) -> dg.ExecuteInProcessResult:
        """A run whose asset is tracked while it does these steps; each gets what the asset has."""

        @dg.multi_asset(name="adapter", specs=[dg.AssetSpec(KEY)])
        def adapter(context: dg.AssetExecutionContext) -> None:
            with tracked(self.registry, self.mirror, self.job, context, self.goes_on) as run:
                self.run_ids.append(run.run_id)
                for step in steps:
                    step(run)

        return dg.materialize([adapter], instance=self.instance, raise_on_error=False)

    @property
    def job(self) -> Any:
        return tiny_job(self.folder, self.folder / "base")

    def note(self, losses: Sequence[float], first: int = 1) -> None:
        """As the training's process does: a line a step, the last one perhaps not yet whole."""
        self.job.work.mkdir(exist_ok=True)
        with self.job.points_file.open("a") as out:
            out.writelines(to_line(Point(step, {"loss": loss, "epoch": step / 2}, 0.0)) for step, loss in enumerate(losses, first))

    @property
    def client(self) -> Any:
        return self.registry._client()

    def losses(self, run_id: str) -> list[tuple[int, float]]:
        return [(each.step, each.value) for each in self.client.get_metric_history(run_id, "loss")]

    def until(self, true: Callable[[], object]) -> None:
        limit = time.monotonic() + 20
        while not true():
            assert time.monotonic() < limit
            time.sleep(0.02)

    def observations(self) -> list[dg.AssetObservation]:
        records = self.instance.fetch_observations(KEY, limit=100).records[::-1]
        return [each.asset_observation for each in records if each.asset_observation]

    def warnings(self, result: dg.ExecuteInProcessResult) -> list[str]:
        records = self.instance.all_logs(result.run_id)
        return [each.user_message for each in records if each.level == 30]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(tracking, "EVERY", 0.02)
    monkeypatch.setattr(tracking, "shown_again", lambda since_start, since_shown: True)
    mlflow_tables(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(tmp_path / "job", MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts"), instance)


def manifest(**known: Any) -> VersionManifest:
    files = {"adapter/adapter_model.safetensors": "a" * 64}
    return VersionManifest(kind="adapter", base_model="base", files=files, tokenizer_digest=None, generation={}, **known)


def test_a_training_is_shown_while_it_runs_and_linked_both_ways(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_DAGSTER_URL", "http://dagster:3000/")
    made = manifest(code_commit="c0de", recipe={"lora_r": 4})
    adapter = world.folder / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    seen: dict[str, Any] = {}

    def grows(run: Any) -> None:
        seen["at the start"] = world.client.get_run(run.run_id)
        world.note(LOSSES[:2])
        world.until(lambda: world.losses(run.run_id) == [(1, 3.0), (2, 2.5)])
        world.until(world.observations)
        seen["tags"] = world.instance.get_runs()[0].tags
        world.note(LOSSES[2:], first=3)
        run.finish(made, adapter, {"rows": 8.0})

    result = world.train(grows)
    assert result.success, world.warnings(result)
    [run_id] = world.run_ids
    start, end = seen["at the start"], world.client.get_run(run_id)
    assert (start.info.status, end.info.status, end.info.run_name) == ("RUNNING", "FINISHED", f"adapter-{made.digest[:12]}")
    params = start.data.params
    assert (params["lora_r"], params["learning_rate"], params["seed"]) == ("4", "0.01", str(world.job.train.seed))
    assert (params["dataset_commit"], params["base_model"], params["start_from"]) == ("c" * 40, str(world.folder / "base"), "base")
    assert not any("Answer as JSON" in value for value in params.values())  # a prompt may be a secret
    assert start.data.tags["dagster_run_url"] == f"http://dagster:3000/runs/{result.run_id}"
    assert f"[{result.run_id}](http://dagster:3000/runs/{result.run_id})" in start.data.tags["mlflow.note.content"]
    assert start.data.tags["checkpoints"] == str(world.job.checkpoints)
    assert end.data.tags["mlflow.source.git.commit"] == "c0de"
    assert seen["tags"][RUN_TAG] == run_id
    assert world.losses(run_id) == list(enumerate(LOSSES, 1))
    assert end.data.metrics["rows"] == 8
    assert [each.path for each in world.client.list_artifacts(run_id, "adapter")] == ["adapter/adapter_config.json"]
    [first, *_] = world.observations()
    assert first.metadata["mlflow_run"].value == run_id
    assert (first.metadata["step"].value, first.metadata["last_loss"].value) == (2, 2.5)
    assert "data:image/png" in first.metadata["loss"].value


@pytest.mark.parametrize(
    ("error", "status"),
    [(TrainingFailed("the loss is NaN"), "FAILED"), (TrainingKilled("out of memory"), "KILLED"), (KeyboardInterrupt(), "KILLED")],
)
def test_a_training_that_fails_or_is_killed_says_so_with_its_last_numbers(world: World, error: BaseException, status: str) -> None:
    def fails(run: Any) -> None:
        world.note([3.0, float("nan")])
        raise error

    try:
        assert not world.train(fails).success
    except KeyboardInterrupt:
        assert isinstance(error, KeyboardInterrupt)
    run = world.client.get_run(world.run_ids[0])
    assert (run.info.status, len(world.losses(run.info.run_id))) == (status, 2)
    assert (str(error) or "KeyboardInterrupt") in run.data.tags["ended_because"]


def test_a_resumed_training_goes_on_in_its_run_and_no_step_is_there_twice(world: World) -> None:
    def dies(run: Any) -> None:
        world.note(LOSSES[:3])
        raise TrainingKilled("the node went away")

    world.train(dies)
    world.job.points_file.unlink()
    world.goes_on = True  # it left a checkpoint

    def resumes(run: Any) -> None:
        world.note(LOSSES[:2])  # what the checkpoint knows
        world.note(LOSSES[2:], first=3)
        world.until(lambda: len(world.observations()) and world.observations()[-1].metadata["step"].value == 4)
        run.finish(manifest(), None, {})

    assert world.train(resumes).success
    assert len(set(world.run_ids)) == 1
    assert world.losses(world.run_ids[0]) == list(enumerate(LOSSES, 1))
    world.job.points_file.unlink()
    world.train(lambda run: run.finish(manifest(), None, {}))
    assert len(set(world.run_ids)) == 2  # the same training once more is a run of its own


def test_nothing_is_lost_while_the_registry_does_not_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log, tries = MlflowRegistry.log_points, []

    def silent(self: MlflowRegistry, run_id: str, points: Sequence[Point]) -> None:
        if points[0].values.keys() >= {"loss"} and len(tries) < 3:
            tries.append(points)
            raise FtassetsError("no answer from MLflow")
        log(self, run_id, points)

    monkeypatch.setattr(MlflowRegistry, "log_points", silent)

    def outage(run: Any) -> None:
        world.note(LOSSES[:2])
        world.until(lambda: len(tries) == 1)
        world.note(LOSSES[2:], first=3)
        world.until(lambda: len(tries) == 3)
        run.finish(manifest(), None, {})

    result = world.train(outage)
    assert result.success
    assert world.losses(world.run_ids[0]) == list(enumerate(LOSSES, 1))
    assert [text for text in world.warnings(result) if "no answer from MLflow" in text] == [
        "what is not shown of the training now is recorded once it is over: no answer from MLflow"
    ]


class Broken(RunMirror):
    """Fails in one of its methods."""

    def __init__(self, where: str) -> None:
        self.where, self.calls = where, list[str]()

    def _do(self, name: str) -> None:
        self.calls.append(name)
        if name == self.where:
            raise OSError("no route to host")

    def begin(self, run_id: str, name: str, facts: Any) -> str:
        self._do("begin")
        return "elsewhere"

    def log_points(self, points: Any) -> None:
        self._do("log_points")

    def end(self, facts: Any, failed: bool) -> None:
        self._do("end")


@pytest.mark.parametrize("where", ["begin", "log_points", "end"])
def test_a_mirror_that_fails_is_a_warning_and_is_not_asked_again(world: World, where: str) -> None:
    world.mirror = mirror = Broken(where)

    def trains(run: Any) -> None:
        world.note(LOSSES)
        world.until(lambda: len(world.losses(run.run_id)) == 4)
        run.finish(manifest(), None, {})

    result = world.train(trains)
    assert result.success
    assert mirror.calls[-1] == where
    assert mirror.calls.count(where) == 1
    assert [text for text in world.warnings(result) if "no route to host" in text and "continues without tracking.wandb" in text]
    assert world.losses(world.run_ids[0]) == list(enumerate(LOSSES, 1))


def test_scores_are_added_to_the_run_of_the_training(world: World) -> None:
    made = manifest()
    world.train(lambda run: run.finish(made, None, {}))
    report = eval_report(rows([1, 0, 1, 1]), rows([0, 0, 1, 1])).model_copy(update={"loop": "tiny", "candidate": made.digest})
    context: Any = dg.build_asset_context()
    found = track_scores(world.registry, None, report, "r" * 64, "PASS: 1 of 1 gate", context)
    assert found == {"mlflow_run": world.run_ids[0]}
    run = world.client.get_run(world.run_ids[0])
    shares = {name: value for name, value in run.data.metrics.items() if name.endswith("/exact_match")}
    assert {name.split("/")[0]: value for name, value in shares.items()} == {"candidate": 0.75, "production": 0.5}
    assert (run.data.tags["report"], run.data.tags["gates"], run.info.status) == ("r" * 64, "PASS: 1 of 1 gate", "FINISHED")
    other = report.model_copy(update={"candidate": "f" * 64})
    assert track_scores(world.registry, None, other, "r" * 64, "PASS", context) == {}
    world.registry = MlflowRegistry("sqlite:////proc/nowhere.db", world.folder / "no")
    assert track_scores(world.registry, None, report, "r" * 64, "PASS", context) == {}
