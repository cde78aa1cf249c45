"""One training of an asset, from its start to the version that is kept: shown while it runs, resumed after a kill."""

import shutil
from dataclasses import dataclass

import dagster as dg

from ftassets.assets._shared.tracking import tracked
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import keep, load_manifest, version_folder
from ftassets.backends.registry.base import Registry
from ftassets.backends.trainer.attempts import train_through
from ftassets.backends.trainer.base import Trainer
from ftassets.backends.trainer.stored_checkpoints import forget_checkpoints, reached_step
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import run_mirror
from ftassets.domain.release.version import ADAPTER, VersionManifest
from ftassets.domain.training.job import TrainingJob, TrainingResult


@dataclass(frozen=True)
class Trained:
    """What a training reported, the manifest of its version, and where the training is in MLflow."""

    result: TrainingResult
    manifest: VersionManifest
    page: str | dg.MetadataValue


def train_tracked(
    loop: LoopConfig,
    job: TrainingJob,
    trainer: Trainer,
    artifacts: Artifacts,
    registry: Registry,
    home: Home,
    context: dg.AssetExecutionContext,
) -> Trained:
    """Train, keep the version and its base, and remove the rows and, once the version is kept, the checkpoints.

    Raises TrainingFailed, and what artefact store and registry raise.
    """
    try:
        goes_on = reached_step(artifacts, loop.name, job.checkpoints) > 0
        with tracked(registry, run_mirror(loop.tracking, home), job, context, goes_on) as run:
            result = train_through(trainer, job, artifacts, context)
            for digest in (result.base_digest, result.digest):
                keep(artifacts, digest)
            manifest = load_manifest(artifacts, result.digest)
            adapter = version_folder(artifacts, result.digest) / ADAPTER if manifest.kind == ADAPTER else None
            run.finish(manifest, adapter, result.numbers)
    finally:
        shutil.rmtree(job.work, ignore_errors=True)
    shutil.rmtree(job.checkpoints, ignore_errors=True)
    forget_checkpoints(artifacts, loop.name)
    return Trained(result, manifest, run.page)
