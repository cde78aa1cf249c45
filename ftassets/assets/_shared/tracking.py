"""A training in MLflow, in W&B where the loop asks for it, and on its page in Dagster: from its start on, while it runs."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from ftassets.backends.registry.base import Registry
from ftassets.backends.run_mirror.base import RunMirror
from ftassets.backends.trainer.base import TrainingKilled
from ftassets.domain.gates.report import EvalReport, mean_scores
from ftassets.domain.release.version import VersionManifest, version_tags
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.points import LOSS, VALIDATION_LOSS, Curves, Point, from_line, shown_again, unrecorded
from ftassets.domain.training.recipe import recipe, training_key
from ftassets.errors import in_one_line
from ftassets.reporting.plots import loss_curve
from ftassets.workers.training.points import whole_lines

EVERY = 5.0  # seconds between two looks at what the training noted
GIT_COMMIT = "mlflow.source.git.commit"  # MLflow shows the tag of this name beside a run
RUN_TAG = "ftassets/mlflow_run"  # tag of a Dagster run: its training in MLflow
ALIGNED_RUN_TAG = "ftassets/mlflow_run_aligned"  # and the one on preferences, which follows in the same run
DAGSTER_URL = "FTASSETS_DAGSTER_URL"
_KILLS = (TrainingKilled, DagsterExecutionInterruptedError, KeyboardInterrupt)
_ELSEWHERE = ("dataset_commit", "dagster_run_id", "dagster_run_url", "digest", "lineage", "code_commit")  # tags that a mirror gets


def run_url(run_id: str) -> str | None:
    """The page of a Dagster run, None if it is not known how people open Dagster."""
    url = os.environ.get(DAGSTER_URL)
    return f"{url.rstrip('/')}/runs/{run_id}" if url else None


class TrackedRun:
    """The run of one training. A thread fills it with what the training notes in its file, until `finish` or `ended`."""

    def __init__(
        self, registry: Registry, mirror: RunMirror | None, job: TrainingJob, context: dg.AssetExecutionContext, goes_on: bool
    ) -> None:
        self._registry, self._mirror, self._job, self._context = registry, mirror, job, context
        url = run_url(context.run_id)
        tags = {"loop": job.loop, "dagster_run_id": context.run_id, **({"dagster_run_url": url} if url else {})}
        tags |= {"dataset_commit": job.dataset_commit, "checkpoints": str(job.checkpoints)}
        settings = {name: value for name, value in recipe(job.task, job.train, job.parent).items() if name != "system_prompt"}
        settings |= {f"align.{name}": value for name, value in (job.alignment or {}).items()}
        params = {**settings, "start_from": job.parent or "base", "base_model": job.base_model, "dataset_commit": job.dataset_commit}
        name = f"training {job.dataset_commit[:12]}" if job.align is None else f"{job.align.method} {str(job.preferences_commit)[:12]}"
        training = registry.begin_training(job.loop, name, training_key(job), params, tags, goes_on)
        self.run_id, self._recorded = training.run_id, training.recorded
        context.instance.add_run_tags(context.run_id, {ALIGNED_RUN_TAG if job.align else RUN_TAG: self.run_id})
        self._mirrored(lambda mirror: context.log.info(f"also shown in {mirror.begin(self.run_id, name, params | tags)}"))
        self._curves, self._unsent, self._read = Curves(), list[Point](), 0
        self._began, self._warned = time.monotonic(), False
        self._shown: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="training-tracking", daemon=True)
        self._thread.start()

    @property
    def page(self) -> str | dg.MetadataValue:
        """Where the training is in MLflow: its page, or the run's id where there are no pages."""
        page = self._registry.link(self._job.loop, self.run_id)
        return self.run_id if page is None else dg.MetadataValue.url(page)

    def finish(self, manifest: VersionManifest, adapter: Path | None, numbers: Mapping[str, float]) -> None:
        """Record the version that was made. Raises what the registry raises."""
        self._stop()
        self._send()
        tags = {**version_tags(manifest), "digest": manifest.digest, "checkpoints": "removed: the training is complete"}
        if manifest.code_commit:
            tags[GIT_COMMIT] = manifest.code_commit
        self._registry.finish_training(self._job.loop, self.run_id, f"adapter-{manifest.digest[:12]}", numbers, tags, adapter)
        told = {name: value for name, value in tags.items() if name in _ELSEWHERE}
        self._mirrored(lambda mirror: mirror.end({**numbers, **told}, failed=False))

    def ended(self, error: BaseException) -> None:
        """Record that there is no version. Raises nothing: the training's own error is to be seen."""
        self._stop()
        status: Literal["FAILED", "KILLED"] = "KILLED" if isinstance(error, _KILLS) else "FAILED"
        why = in_one_line(error) or type(error).__name__
        try:
            self._send()
            self._registry.end_training(self.run_id, status, why)
        except Exception as failed:
            self._context.log.warning(f"the registry may still show this training as running: {in_one_line(failed)}")
        self._mirrored(lambda mirror: mirror.end({"ended_because": why}, failed=True))

    def _follow(self) -> None:
        while not self._over.wait(EVERY):
            try:
                self._send()
                self._show()
            except Exception as error:
                if not self._warned:
                    self._warned = True
                    self._context.log.warning(f"what is not shown of the training now is recorded once it is over: {in_one_line(error)}")

    def _stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _send(self) -> None:
        """Send what is new in the file, and what could not be sent before."""
        lines, self._read = whole_lines(self._job.points_file, self._read)
        new = unrecorded(self._curves.add(map(from_line, lines)), self._recorded)
        self._mirrored(lambda mirror: mirror.log_points(new))
        self._unsent += new
        if self._unsent:
            self._registry.log_points(self.run_id, self._unsent)
            self._unsent = []

    def _show(self) -> None:
        """Put the numbers and the curves so far on the asset's page."""
        now = time.monotonic()
        if not self._curves.of[LOSS] or not shown_again(now - self._began, None if self._shown is None else now - self._shown):
            return
        self._shown = now
        step = self._curves.last[LOSS]
        numbers = {name: value for name, value in self._curves.now.items() if name != LOSS and math.isfinite(value)}
        metadata = {
            **numbers,
            "step": step,
            "last_loss": self._curves.of[LOSS][-1][1],
            "mlflow_run": self.page,
            "loss": dg.MetadataValue.md(loss_curve(self._curves.of[LOSS], self._curves.of[VALIDATION_LOSS])),
        }
        self._context.log_event(dg.AssetObservation(self._context.asset_key, description=f"training, after step {step}", metadata=metadata))

    def _mirrored(self, do: Callable[[RunMirror], None]) -> None:
        """Have the second place show something; after its first failure the training continues without it."""
        if self._mirror is not None:
            try:
                do(self._mirror)
            except Exception as error:
                self._mirror = None
                self._context.log.warning(f"the training continues without tracking.wandb, which failed: {in_one_line(error)}")


@contextmanager
def tracked(
    registry: Registry, mirror: RunMirror | None, job: TrainingJob, context: dg.AssetExecutionContext, goes_on: bool
) -> Iterator[TrackedRun]:
    """The run of a training for as long as the block lasts; `goes_on` says that there is a checkpoint to resume from.

    The block calls `finish`, or what it raises ends the run."""
    run = TrackedRun(registry, mirror, job, context, goes_on)
    try:
        yield run
    except BaseException as error:
        run.ended(error)
        raise


def track_scores(
    registry: Registry,
    mirror: RunMirror | None,
    report: EvalReport,
    digest: str,
    verdict: str,
    context: dg.AssetExecutionContext,
) -> dict[str, str | dg.MetadataValue]:
    """Add a report's scores to the run of the training that made its candidate; metadata that leads there.

    The report is stored already, and a release takes its scores from it: an error is a warning.
    """
    scores, told = mean_scores(report), {"report": digest, "gates": verdict}
    try:
        run_id = registry.log_scores(report.loop, report.candidate, scores, told)
        page = registry.link(report.loop, run_id) if run_id else None
    except Exception as error:
        context.log.warning(f"the scores are in the report, and could not be added to the training's run: {in_one_line(error)}")
        return {}
    if run_id is None:
        context.log.warning(f"the registry has no training of {report.candidate[:12]}: its scores are in the report alone")
        return {}
    if mirror is not None:
        try:
            mirror.begin(run_id, f"adapter-{report.candidate[:12]}", {})
            mirror.end({**scores, **told}, failed=False)
        except Exception as error:
            context.log.warning(f"the scores are not in tracking.wandb, which failed: {in_one_line(error)}")
    return {"mlflow_run": run_id if page is None else dg.MetadataValue.url(page)}
