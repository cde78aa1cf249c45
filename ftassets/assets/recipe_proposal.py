"""Training settings that do better on the validation rows than the loop's own, as a proposal: the loop file is changed by people only."""

import shutil

import dagster as dg

from ftassets.assets._shared.accepted import accepted_dataset
from ftassets.assets._shared.dataset_files import read_index, read_splits
from ftassets.assets._shared.node import asset
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import workshop
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import digest_of
from ftassets.domain.dataset.rows import to_jsonl
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.rows import training_rows
from ftassets.domain.training.sweep import Best, Tried, best_of, recipe_with
from ftassets.domain.training.sweep_job import SweepJob, SweepResult, Trial
from ftassets.reporting.plots import recipe_curves
from ftassets.reporting.tables import table
from ftassets.wording import amount
from ftassets.workers.process import run_child, write_job


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset of a loop with `sweep`; no job and no sensor materializes it."""

    @asset(loop, __doc__, {"pytorch"}, deps=["curated_dataset"], pool="trainer")
    def recipe_proposal(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        artifacts: dg.ResourceParam[Artifacts],
        dataset_store: dg.ResourceParam[DatasetStore],
    ) -> dg.MaterializeResult:
        assert loop.sweep is not None
        if loop.train.command:
            raise dg.Failure(
                "a sweep tries recipes of the trainer of ftassets, and train.command trains: leave sweep out, or command",
                allow_retries=False,
            )
        commit = accepted_dataset(context.instance, dataset_store, loop.name).id
        splits = read_splits(dataset_store, commit, loop.name, bad=[])
        balance = read_index(dataset_store, commit, loop.name).balance
        if len(splits["validation"]) < 2:
            raise dg.Failure(
                "a sweep compares recipes on validation rows, and the dataset has none: raise dataset.split", allow_retries=False
            )
        rows = training_rows(splits["train"], set(), loop.train.replay, loop.train.seed, balance, loop.task.form)
        work = home.work / context.run_id
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / "train.jsonl").write_text(to_jsonl(rows))
        (work / "validation.jsonl").write_text(to_jsonl(splits["validation"]))
        folder = home.sweeps / loop.name
        training = TrainingJob(
            loop=loop.name,
            base_model=loop.base_model,
            task=loop.task,
            train=loop.train,
            dataset_commit=commit,
            train_file=work / "train.jsonl",
            validation_file=work / "validation.jsonl",
            work=work,
            home=folder,
            checkpoints=folder / "checkpoints",
            versions=workshop(artifacts),
        )
        job = SweepJob(training=training, sweep=loop.sweep, folder=folder)
        try:
            ended = run_child(("-m", "ftassets.workers.training.sweep"), write_job(job, work / "sweep.json"), context)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if ended.code or not ended.messages:
            said = ended.said or "its process was killed"
            raise dg.Failure(f"the sweep ended early ({said}): materialize it again, and it resumes", allow_retries=False)
        result = SweepResult.model_validate(ended.messages[-1])
        return _materialized(loop, commit, result)

    return recipe_proposal


def _materialized(loop: LoopConfig, commit: str, result: SweepResult) -> dg.MaterializeResult:
    trained = [Tried(trial.number, trial.row_losses, trial.row_tokens) for trial in result.trials if trial.state == "trained"]
    own = next((trial.number for trial in result.trials if not trial.choice), -1)
    of_number = {trial.number: trial for trial in result.trials}
    names = {trial.number: str(place) for place, trial in enumerate(result.trials, start=1)}
    recipes = table(
        ["recipe", "learning_rate", "lora_r", "epochs", "state", "validation loss", "seconds"],
        [_row(loop, names[trial.number], trial) for trial in result.trials],
    )
    try:
        best = best_of(own, trained)
    except ValueError as error:
        advice = "change train to a recipe of the table that was trained" if trained else "no other was either: lower sweep.learning_rate"
        text = f"no recipe can be proposed: {error}; {advice}, and materialize again"
        raise dg.Failure(text, metadata={"recipes": recipes, "ended": result.ended}, allow_retries=False) from error
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest_of(result.model_dump(mode="json"))),
        metadata={
            "verdict": verdict(best, own),
            "proposal": _proposal(loop, of_number[best.number]) if best.better else "keep the settings of train",
            "dataset_commit": commit[:12],
            "validation_rows": len(trained[0].losses),
            "loss": best.loss,
            "optimism": best.optimism,
            "gain": best.gain,
            "gain_at_least": best.at_least,
            "train_seconds": sum(trial.seconds for trial in result.trials),
            "ended": result.ended,
            "recipes": recipes,
            "curves": dg.MetadataValue.md(
                recipe_curves([(names[trial.number], trial.curve, trial.number == best.number) for trial in result.trials])
            ),
        },
    )


def verdict(best: Best, own: int) -> str:
    """What the search has shown, in one sentence."""
    lowest = f"the lowest of {amount(best.of, 'validation loss', 'validation losses')} is {best.loss:.4f} nats a token"
    optimism = f"as the best of {best.of} it is about {best.optimism:.4f} lower than on new rows"
    if best.number == own:
        return f"PASS: the loop's own recipe is the best; {lowest}, and {optimism}"
    gain = f"{best.gain:.4f} less than the loop's own without that, at least {best.at_least:.4f} with 95 % confidence"
    return f"{'PASS' if best.better else 'NOT ENOUGH DATA'}: {lowest}; {optimism}, {gain}"


def _proposal(loop: LoopConfig, trial: Trial) -> str:
    """Lines for the loop file. The next training is evaluated and gated like any other."""
    train = recipe_with(loop.train, trial.choice)
    names = [name for name in ("learning_rate", "epochs", "lora_r", "lora_alpha") if getattr(train, name) != getattr(loop.train, name)]
    return "train: {" + ", ".join(f"{name}: {getattr(train, name):g}" for name in names) + "}"


def _row(loop: LoopConfig, name: str, trial: Trial) -> list[object]:
    train = recipe_with(loop.train, trial.choice)
    loss = trial.loss if trial.loss is not None else (trial.curve[-1][1] if trial.curve else float("nan"))
    state = f"failed: {trial.why}" if trial.why else trial.state
    return [name, f"{train.learning_rate:.3g}", train.lora_r, train.epochs, state, f"{loss:.4f}", round(trial.seconds)]
