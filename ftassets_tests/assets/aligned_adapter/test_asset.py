"""A training on preferences in a whole loop: its version is the candidate only if it proved to be better."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ftassets.assets._shared.events import data_version, history, metadata_value, newest, node
from ftassets.assets._shared.tracking import ALIGNED_RUN_TAG, RUN_TAG
from ftassets.backends.artifacts.reports import find_report, read_report
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.evaluator.base import EvaluationKilled
from ftassets.backends.trainer.base import TrainingTerminated
from ftassets.config.profiles import artifacts
from ftassets.domain.evaluation.jobs import PerplexityJob
from ftassets.domain.gates.alignment import Alignment, decide
from ftassets.domain.gates.result import Verdict
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.testing.tiny_loop import LOOP, EvaluatorHere, TinyLoop, TrainerHere
from ftassets.workers.process import Terminated
from ftassets.workers.training.sft import train
from ftassets_tests.assets.aligned_adapter.loops import aligned_loop, correct

pytestmark = [pytest.mark.slow, pytest.mark.models, pytest.mark.timeout(600)]


def event(tiny: TinyLoop, name: str) -> Any:
    found = newest(tiny.instance, node(LOOP, name))
    assert found is not None
    return found


def event_of(tiny: TinyLoop, name: str, version: str) -> Any:
    return next(made for _, made in history(tiny.instance, node(LOOP, name)) if data_version(made) == version)


def trainings(tiny: TinyLoop) -> dict[str, Any]:
    """What MLflow has of the loop's trainings on preferences, by run id."""
    registry = tiny.resources["registry"].resource_fn(dg.build_init_resource_context())
    runs = registry._client().search_runs([registry.experiment(LOOP)])
    return {run.info.run_id: run for run in runs if run.data.params.get("align.method")}


def losses(tiny: TinyLoop, run_id: str) -> list[int]:
    registry = tiny.resources["registry"].resource_fn(dg.build_init_resource_context())
    return [each.step for each in registry._client().get_metric_history(run_id, "loss")]


class AskedToEnd(TrainerHere):
    """Trains on preferences for some steps, is asked to end, and cannot be started again; others it trains as always."""

    def __init__(self, after: int) -> None:
        self.left = after

    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        if job.align is None:
            return super().train(job, context)
        if self.left < 0:
            raise TrainingTerminated("the machine is gone")

        def stop_asked() -> bool:
            self.left -= 1
            return self.left < 0

        try:
            return train(job, context.log.info, 1, stop_asked)
        except Terminated as error:
            raise TrainingTerminated(str(error)) from error


def test_a_version_that_proved_to_be_better_is_the_candidate_and_the_next_cycle_continues_from_it(tmp_path: Path) -> None:
    with aligned_loop(tmp_path) as tiny:
        correct(tiny)
        assert tiny.run("retrain").success
        made = event(tiny, "aligned_adapter")
        verdict, tuned, aligned = str(metadata_value(made, "verdict")), data_version(event(tiny, "adapter")), data_version(made)
        assert verdict.startswith("PASS: the chosen answer gained on the rejected one in"), verdict
        assert aligned != tuned
        manifest = load_manifest(artifacts(tiny.home), aligned)
        assert manifest.parent == tuned
        assert manifest.recipe["align"]["preferences_commit"].startswith(str(metadata_value(made, "preferences_commit")))
        assert metadata_value(event(tiny, "eval_report"), "candidate") == aligned[:12]
        assert data_version(event(tiny, "release")) == aligned, "released and signed like any other"

        report = find_report(artifacts(tiny.home), LOOP, "alignment", str(metadata_value(made, "alignment")))
        stored = Alignment.parse(read_report(artifacts(tiny.home), LOOP, "alignment", report))
        assert tiny.loop.align is not None
        assert f"PASS: {decide(stored, tiny.loop.align).sentence}" == verdict, "the decision is computed again from what is stored"
        assert "kindly" not in json.dumps(stored.document()), "no words of users"

        assert tiny.move("start").success
        assert tiny.serving.state(LOOP).production == aligned
        correct(tiny, "light")
        assert tiny.materialize("curated_dataset", "adapter").success
        again = load_manifest(artifacts(tiny.home), data_version(event(tiny, "adapter")))
        assert again.parent == aligned, "fine-tuning continues from what production serves"
        assert "align" not in again.recipe

        [(run_id, run)] = trainings(tiny).items()
        assert (run.info.status, run.info.run_name) == ("FINISHED", f"adapter-{aligned[:12]}")
        assert run_id == metadata_value(made, "mlflow_run")
        assert (run.data.params["align.method"], run.data.params["start_from"]) == ("dpo", tuned)
        assert run.data.params["align.preferences_commit"] == manifest.recipe["align"]["preferences_commit"]
        assert losses(tiny, run_id) == list(range(1, int(run.data.metrics["steps"]) + 1))
        assert run.data.tags["gates"].startswith("PASS"), "its eval report is with it"
        dagster_run = tiny.instance.get_run_by_id(run.data.tags["dagster_run_id"])
        assert dagster_run is not None
        assert dagster_run.tags[ALIGNED_RUN_TAG] == run_id
        assert dagster_run.tags[RUN_TAG] == metadata_value(event_of(tiny, "adapter", tuned), "mlflow_run")


def test_a_training_on_preferences_that_is_killed_is_resumed_in_its_run_of_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with aligned_loop(tmp_path, tracking={"wandb": "loops"}) as tiny:
        correct(tiny)
        tiny.resources["trainer"] = AskedToEnd(after=3)
        assert not tiny.materialize(
            "seed_examples", "golden_set", "curated_dataset", "preference_pairs", "adapter", "aligned_adapter"
        ).success
        [(run_id, run)] = trainings(tiny).items()
        assert run.info.status == "KILLED"
        assert run.data.tags["ended_because"] == "the machine is gone"
        reached = losses(tiny, run_id)
        assert reached == list(range(1, len(reached) + 1))
        tiny.resources["trainer"] = TrainerHere()
        assert tiny.materialize("aligned_adapter").success
        [(again, run)] = trainings(tiny).items()
        assert (again, run.info.status) == (run_id, "FINISHED")
        steps = losses(tiny, run_id)
        assert steps == list(range(1, int(run.data.metrics["steps"]) + 1))
        assert len(steps) > len(reached)
        assert run.data.tags["dagster_run_id"] == tiny.instance.get_runs(limit=1)[0].run_id
        assert list(tiny.home.root.rglob(f"run-{run_id}.wandb")), "the mirror has it under the same name"


@pytest.mark.parametrize(("method", "what"), [("dpo", "preference pairs"), ("kto", "rated answers")])
def test_with_few_preferences_nothing_is_trained_and_the_fine_tuned_version_is_the_candidate(
    tmp_path: Path, method: str, what: str
) -> None:
    with aligned_loop(tmp_path, method=method, min_rows=1000) as tiny:
        correct(tiny)
        assert tiny.run("retrain").success
        made, tuned = event(tiny, "aligned_adapter"), data_version(event(tiny, "adapter"))
        assert data_version(made) == tuned
        verdict = str(metadata_value(made, "verdict"))
        assert verdict.startswith("NOT ENOUGH DATA: ")
        assert f"{what} that can be used, align.min_rows is 1000" in verdict
        assert data_version(event(tiny, "release")) == tuned
        versions = {load_manifest(artifacts(tiny.home), path.name).kind for path in tiny.home.versions.glob("*") if len(path.name) == 64}
        assert versions == {"base", "adapter"}


class KilledWhileItMeasures(EvaluatorHere):
    """Its process is killed the first time that it measures likelihoods."""

    killed = False

    def perplexity(self, job: PerplexityJob, context: Any) -> None:
        if not self.killed:
            self.killed = True
            raise EvaluationKilled("the evaluation process was killed")
        super().perplexity(job, context)


def test_an_evaluation_that_is_killed_costs_no_second_training(tmp_path: Path) -> None:
    with aligned_loop(tmp_path) as tiny:
        correct(tiny)
        tiny.resources["evaluator"] = KilledWhileItMeasures()
        assert tiny.materialize("seed_examples", "golden_set", "curated_dataset", "preference_pairs", "adapter", "aligned_adapter").success
        assert tiny.resources["evaluator"].killed
        assert metadata_value(event(tiny, "aligned_adapter"), "alignment")
        [run] = trainings(tiny).values()
        assert run.info.status == "FINISHED"


def test_a_training_on_preferences_that_diverges_leaves_the_fine_tuned_version(tmp_path: Path) -> None:
    with aligned_loop(tmp_path, learning_rate=0.9, epochs=10, beta=5) as tiny:
        tiny.loop = tiny.loop.model_copy(update={"train": tiny.loop.train.model_copy(update={"loss_limit": 1.01, "max_grad_norm": 1000})})
        correct(tiny)
        assert tiny.materialize("seed_examples", "golden_set", "curated_dataset", "preference_pairs", "adapter", "aligned_adapter").success
        made = event(tiny, "aligned_adapter")
        assert data_version(made) == data_version(event(tiny, "adapter"))
        assert str(metadata_value(made, "verdict")).startswith("FAIL: ")
        [run] = trainings(tiny).values()
        assert run.info.status == "FAILED"
        assert run.data.tags["ended_because"] in str(metadata_value(made, "verdict"))


def test_thumbs_without_a_pair_are_trained_on_by_kto_and_what_is_measured_decides(tmp_path: Path) -> None:
    with aligned_loop(tmp_path, method="kto") as tiny:
        correct(tiny)
        assert tiny.run("retrain").success
        made = event(tiny, "aligned_adapter")
        verdict = str(metadata_value(made, "verdict"))
        assert "answers rated up gained on those rated down in" in verdict
        wanted = "aligned" if verdict.startswith(Verdict.PASS.value) else "tuned"
        assert data_version(made)[:12] == metadata_value(made, wanted)
