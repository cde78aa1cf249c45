"""A fine-tuned version, LoRA unless the loop says otherwise, trained in a process of its own on the newest accepted dataset."""

import shutil
from collections.abc import Sequence

import dagster as dg

from ftassets.assets._shared.accepted import accepted_dataset
from ftassets.assets._shared.dataset_files import read_index, read_splits
from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.stored_reports import place
from ftassets.assets._shared.tracking import tracked
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import keep, load_manifest, verify, version_folder, version_key, workshop
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.registry.base import Registry
from ftassets.backends.serving.base import Serving
from ftassets.backends.trainer.attempts import train_through
from ftassets.backends.trainer.base import Trainer, TrainingFailed
from ftassets.backends.trainer.stored_checkpoints import forget_checkpoints, reached_step
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import run_mirror
from ftassets.domain.acceptance import Check
from ftassets.domain.dataset.rows import Quarantined, left_out, to_jsonl
from ftassets.domain.release.version import ADAPTER, VersionManifest
from ftassets.domain.training.acceptance import BLOCKING, COMPLETE, version_checks
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.domain.training.method import continued_folder
from ftassets.domain.training.overfit import overfit_note
from ftassets.domain.training.rows import training_rows
from ftassets.reporting.plots import loss_curve
from ftassets.reporting.tables import shortened
from ftassets.wording import amount


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset; its data version is the digest that names the version everywhere else."""
    key = node(loop.name, "adapter")

    @asset(
        loop,
        __doc__,
        {"huggingface", "pytorch"},
        deps=["curated_dataset"],
        check_specs=[dg.AssetCheckSpec(name, asset=key, blocking=True, description=text) for name, text in BLOCKING.items()],
        pool="trainer",
    )
    def adapter(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        artifacts: dg.ResourceParam[Artifacts],
        dataset_store: dg.ResourceParam[DatasetStore],
        serving: dg.ResourceParam[Serving],
        trainer: dg.ResourceParam[Trainer],
        registry: dg.ResourceParam[Registry],
    ) -> dg.MaterializeResult:
        dataset = accepted_dataset(context.instance, dataset_store, loop.name)
        if dataset.passed_over:
            context.log.warning(dataset.passed_over)
        commit = dataset.id
        unreadable: list[Quarantined] = []
        splits = read_splits(dataset_store, commit, loop.name, unreadable)
        if unreadable:
            context.log.warning(f"{left_out(unreadable, f'the dataset {commit[:12]}')}. The next dataset is without them")
        production = serving.state(loop.name).production
        before = load_manifest(artifacts, production) if production else None
        known: set[str] = set()
        if before and before.dataset_commit:
            known = {row.id for row in read_splits(dataset_store, before.dataset_commit, loop.name, bad=[])["train"]}
        folder, not_continued = continued_folder(loop.train.method, before)
        start_from = version_folder(artifacts, before.digest) / folder if before and folder else None
        index = read_index(dataset_store, commit, loop.name)
        rows, cold = (
            training_rows(splits["train"], seen, loop.train.replay, loop.train.seed, index.balance, loop.task.form)
            for seen in (known if start_from else set(), set())
        )
        work = home.work / context.run_id
        shutil.rmtree(work, ignore_errors=True)  # an earlier attempt of this run died here
        work.mkdir(parents=True)
        (work / "train.jsonl").write_text(to_jsonl(rows))
        (work / "cold.jsonl").write_text(to_jsonl(cold))
        (work / "validation.jsonl").write_text(to_jsonl(splits["validation"]))
        job = TrainingJob(
            loop=loop.name,
            base_model=loop.base_model,
            task=loop.task,
            train=loop.train,
            dataset_commit=commit,
            dataset_hash=index.content_hash,
            train_file=work / "train.jsonl",
            cold_file=work / "cold.jsonl",
            validation_file=work / "validation.jsonl",
            start_from=start_from,
            not_continued=not_continued,
            work=work,
            home=home.root,
            checkpoints=home.checkpoints / loop.name,
            versions=workshop(artifacts),
        )
        context.log.info(f"{amount(len(cold), 'row')}, {sum(row.id not in known for row in cold)} of them new to production")
        try:
            goes_on = reached_step(artifacts, loop.name, job.checkpoints) > 0
            with tracked(registry, run_mirror(loop.tracking, home), job, context, goes_on) as run:
                result = train_through(trainer, job, artifacts, context)
                for digest in (result.base_digest, result.digest):
                    keep(artifacts, digest)
                manifest = load_manifest(artifacts, result.digest)
                adapter_folder = version_folder(artifacts, result.digest) / ADAPTER if manifest.kind == ADAPTER else None
                run.finish(manifest, adapter_folder, _numbers(result))
        except TrainingFailed as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(job.checkpoints, ignore_errors=True)
        forget_checkpoints(artifacts, loop.name)
        checks = _check_results(artifacts, manifest)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(result.digest),
            metadata={
                "verdict": _verdict(checks),
                "digest": result.digest[:12],
                "start_from": shortened(result.start_from or "the untuned base"),
                "lineage": shortened(result.lineage),
                "dataset_commit": commit[:12],
                **({"passed_over": dataset.passed_over} if dataset.passed_over else {}),
                **_numbers(result),
                "mlflow_run": run.page,
                "folder": place(version_key(result.digest), result.digest),
                **({"left_out": dict(result.left_out)} if result.left_out else {}),
                **({"overfit": note} if (note := overfit_note(result.validation_losses)) else {}),
                **({"resumed_at_steps": ", ".join(map(str, result.resumed_at))} if result.resumed_at else {}),
                "loss": dg.MetadataValue.md(loss_curve(result.losses, result.validation_losses)),
            },
            check_results=checks,
        )

    return adapter


def _numbers(result: TrainingResult) -> dict[str, float]:
    numbers = {
        "rows": result.rows,
        "steps": result.steps,
        "train_seconds": result.train_seconds,
        "tokens_per_second": result.tokens_per_second,
        "trainable_parameters": result.trainable_parameters,
        "first_loss": result.first_loss,
        "last_loss": result.last_loss,
        "validation_loss": result.validation_loss,
        "merged_agreement": result.merged_agreement,
    }
    return {name: value for name, value in numbers.items() if value is not None}


def _verdict(checks: Sequence[dg.AssetCheckResult]) -> str:
    """The first check that failed, else the first that passed, in words."""
    told = next((each for each in checks if not each.passed), checks[0])
    return f"{'PASS' if told.passed else 'FAIL'}: {told.description}"


def _check_results(artifacts: Artifacts, manifest: VersionManifest) -> list[dg.AssetCheckResult]:
    """What the manifest decides, and whether every byte is as it says."""
    checks = version_checks(manifest)
    try:
        verify(artifacts, manifest.digest)
    except VersionDamaged as error:
        checks[COMPLETE] = Check(passed=False, sentence=str(error))
    return [dg.AssetCheckResult(check_name=name, passed=check.passed, description=check.sentence) for name, check in checks.items()]
