"""A fine-tuned version, LoRA unless the loop says otherwise, trained in a process of its own on the newest accepted dataset."""

import shutil
from collections.abc import Sequence

import dagster as dg

from ftassets.assets._shared.accepted import accepted_dataset
from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.stored_reports import place
from ftassets.assets._shared.tracked_training import train_tracked
from ftassets.assets._shared.training_job import prepare
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest, verify, version_key, workshop
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.registry.base import Registry
from ftassets.backends.serving.base import Serving
from ftassets.backends.trainer.base import Trainer, TrainingFailed
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.acceptance import Check
from ftassets.domain.dataset.rows import left_out
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.training.acceptance import BLOCKING, COMPLETE, version_checks
from ftassets.domain.training.overfit import overfit_note
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
        production = serving.state(loop.name).production
        before = load_manifest(artifacts, production) if production else None
        work = home.work / context.run_id
        shutil.rmtree(work, ignore_errors=True)  # an earlier attempt of this run died here
        made = prepare(artifacts, dataset_store, loop, commit, before, work, home, workshop(artifacts))
        if made.unreadable:
            context.log.warning(f"{left_out(made.unreadable, f'the dataset {commit[:12]}')}. The next dataset is without them")
        context.log.info(f"{amount(made.rows, 'row')}, {made.new} of them new to production")
        try:
            trained = train_tracked(loop, made.job, trainer, artifacts, registry, home, context)
        except TrainingFailed as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        result, manifest = trained.result, trained.manifest
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
                **result.numbers,
                "mlflow_run": trained.page,
                "folder": place(version_key(result.digest), result.digest),
                **({"left_out": dict(result.left_out)} if result.left_out else {}),
                **({"overfit": note} if (note := overfit_note(result.validation_losses)) else {}),
                **({"resumed_at_steps": ", ".join(map(str, result.resumed_at))} if result.resumed_at else {}),
                "loss": dg.MetadataValue.md(loss_curve(result.losses, result.validation_losses)),
            },
            check_results=checks,
        )

    return adapter


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
