"""Training a version again from its manifest, in a place that is thrown away, and comparing what comes out."""

import shutil
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftassets.assets._shared.alignment_job import prepare_alignment, read_preferences
from ftassets.assets._shared.dataset_files import golden_path, read_splits
from ftassets.assets._shared.failures import OVER_BUDGET
from ftassets.assets._shared.metered import measured
from ftassets.assets._shared.run_in_memory import in_a_run
from ftassets.assets._shared.training_job import Prepared, prepare
from ftassets.assets.eval_report.answering import answer_all, answer_file
from ftassets.assets.eval_report.rows import Rows, read_rows, scores_of
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import report_digests, report_key
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import keep, load_manifest, verify, workshop
from ftassets.backends.control.base import Control
from ftassets.backends.control.spending import budget_now
from ftassets.backends.dataset_store.base import DatasetError, DatasetStore
from ftassets.backends.evaluator.base import Evaluator
from ftassets.backends.trainer.attempts import train_through
from ftassets.backends.trainer.base import Trainer, TrainingFailed
from ftassets.backends.trainer.stored_checkpoints import forget_checkpoints
from ftassets.config import profiles
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.preference_split import split_preferences
from ftassets.domain.dataset.rows import left_out
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.reproduction import (
    Compared,
    NotRepeatable,
    Outcome,
    as_trained,
    changes,
    first_stage,
    same_bytes,
    same_scores,
)

NODE = "reproduce"  # under which name it is recorded what a repeated training used
EXIT_CODES = {Outcome.REPRODUCED: 0, Outcome.DIFFERENT: 1, Outcome.NOT_ENOUGH_DATA: 2}


@dataclass(frozen=True)
class Reproduction:
    """What a repeated training showed. `changed` are differences of the environment, None if the version's was not recorded.

    `fine_tuning` is of a version that was trained on preferences: what came of the training before that one.
    """

    version: str
    again: str
    compared: Compared
    changed: list[str] | None
    base_changed: bool
    dataset_commit: str
    code_commit: str | None
    fine_tuning: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As plain JSON, the outcome first."""
        found = asdict(self)
        compared = found.pop("compared")
        return {"verdict": self.compared.outcome.value, "sentence": compared["sentence"], "interval": compared["interval"], **found}


def run(
    home: Home,
    artifacts: Artifacts,
    control: Control,
    store: DatasetStore,
    trainer: Trainer,
    evaluator: Evaluator,
    loop: LoopConfig,
    digest: str,
    margin: float,
) -> Reproduction:
    """Train a version of the loop again and compare; nothing of the loop changes but what its runs used.

    Raises NotRepeatable with what is gone, VersionDamaged, TrainingFailed (also if the loop's budget does not allow it),
    EvaluationFailed.
    """
    manifest = verify(artifacts, digest)
    trained = as_trained(loop, manifest)
    tuned = _fine_tuned(artifacts, manifest) if trained.align else None
    run_id = str(uuid.uuid4())
    away = Home(home.work / f"{NODE}-{run_id[:8]}")
    away_artifacts = profiles.artifacts(away)

    def train(job: TrainingJob, context: Any) -> VersionManifest:
        result = train_through(trainer, job, away_artifacts, context)
        for each in (result.base_digest, result.digest):
            keep(away_artifacts, each)
        shutil.rmtree(job.work)
        shutil.rmtree(job.checkpoints, ignore_errors=True)
        forget_checkpoints(away_artifacts, loop.name)
        return load_manifest(away_artifacts, result.digest)

    def fine_tune(of: VersionManifest, settings: LoopConfig, context: Any) -> VersionManifest:
        made = _prepared(artifacts, store, settings, of, away, workshop(away_artifacts))
        if made.unreadable:
            context.log.warning(left_out(made.unreadable, f"the dataset {made.job.dataset_commit[:12]}"))
        return train(made.job, context)

    def trained_again(context: Any) -> Reproduction:
        said = None
        if tuned is None:
            again = fine_tune(manifest, trained, context)
        else:
            first = fine_tune(tuned, as_trained(loop, tuned), context)
            said = first_stage(tuned, first)
            context.log.info(said)
            again = train(_alignment(away_artifacts, store, trained, manifest, first, away, workshop(away_artifacts)), context)
        compared = same_bytes(manifest, again)
        if compared is None:
            rows, base = _rows(artifacts, store, trained, manifest), manifest.base_digest or ""
            before = _scores(context, home, artifacts, evaluator, trained, rows, manifest.digest, base)
            compared = same_scores(before, _scores(context, away, away_artifacts, evaluator, trained, rows, again.digest, base), margin)
        return Reproduction(
            version=digest,
            again=again.digest,
            compared=compared,
            changed=changes(manifest.environment, again.environment) if manifest.environment else None,
            base_changed=manifest.base_digest != again.base_digest,
            dataset_commit=manifest.dataset_commit or "",
            code_commit=manifest.code_commit,
            fine_tuning=said,
        )

    def within_budget(context: Any) -> Reproduction:
        with measured(control, loop.name, NODE, context):
            if (found := budget_now(control, loop, (NODE,), time.time())) and found.why:
                raise TrainingFailed(f"{OVER_BUDGET}: {found.why}")
            return trained_again(context)

    try:
        return in_a_run(run_id, within_budget)
    finally:
        shutil.rmtree(away.root, ignore_errors=True)


def _fine_tuned(artifacts: Artifacts, manifest: VersionManifest) -> VersionManifest:
    """The version that a training on preferences started from. Raises NotRepeatable."""
    try:
        return load_manifest(artifacts, manifest.parent or "")
    except VersionDamaged as error:
        raise NotRepeatable(
            f"version {manifest.digest[:12]} was trained on preferences from version {(manifest.parent or '')[:12]}, which is not here: "
            f"{error}"
        ) from error


def _alignment(
    artifacts: Artifacts,
    store: DatasetStore,
    loop: LoopConfig,
    manifest: VersionManifest,
    tuned: VersionManifest,
    work: Home,
    versions: Path,
) -> TrainingJob:
    """The job of a version that was trained on preferences, from a fine-tuned version of `artifacts`. Raises NotRepeatable."""
    assert loop.align is not None
    commit, name = str(manifest.recipe["align"]["preferences_commit"]), manifest.digest[:12]
    try:
        rows = read_preferences(store, loop.name, loop.align, commit)
        splits = read_splits(store, tuned.dataset_commit or "", loop.name, bad=[])
    except DatasetError as error:
        raise NotRepeatable(
            f"the preferences of version {name} (commit {commit[:12]}) are not there any more, as after `ftassets forget`: {error}"
        ) from error
    split = split_preferences(rows, splits, loop.align.held_out, loop)
    job = prepare_alignment(artifacts, loop, loop.align, tuned, commit, split, work.work / "alignment", work, versions)
    if manifest.recipe["align"].get("preferences_hash") not in (None, job.preferences_hash):
        raise NotRepeatable(
            f"of the preferences at commit {commit[:12]} others are trained on now than for version {name}: the loop's settings of near "
            "copies (dataset.near_duplicate, dataset.jaccard, dataset.skip) changed; set them as they were"
        )
    return job


def _prepared(
    artifacts: Artifacts, store: DatasetStore, loop: LoopConfig, manifest: VersionManifest, work: Home, versions: Path
) -> Prepared:
    """The job of the version. Raises NotRepeatable with what of it is not there any more."""
    name, commit = manifest.digest[:12], manifest.dataset_commit or ""
    try:
        before = load_manifest(artifacts, manifest.parent) if manifest.parent else None
        made = prepare(artifacts, store, loop, commit, before, work.work / "training", work, versions)
    except VersionDamaged as error:
        raise NotRepeatable(f"version {name} continued version {(manifest.parent or '')[:12]}, which is not here: {error}") from error
    except DatasetError as error:
        raise NotRepeatable(
            f"the rows of version {name} (dataset commit {commit[:12]}) or of the version that it continued are not there any more, as "
            f"after `ftassets forget`: {error}"
        ) from error
    if manifest.dataset_hash not in (None, made.job.dataset_hash):
        raise NotRepeatable(f"the rows at dataset commit {commit[:12]} are not those that version {name} was trained on")
    return made


def _rows(artifacts: Artifacts, store: DatasetStore, loop: LoopConfig, manifest: VersionManifest) -> Rows:
    """Golden and held-out rows: those of the newest eval report of the version, else the newest golden set."""
    golden = None
    for name in report_digests(artifacts, loop.name, "eval"):
        content = artifacts.get(report_key(loop.name, "eval", name))
        if manifest.digest.encode() in content and (report := EvalReport.parse(content)).candidate == manifest.digest:
            golden = report.golden_commit
            break
    loop = loop.model_copy(update={"sets": []})
    return read_rows(store, loop, golden or store.last_change("main", golden_path(loop.name)), manifest.dataset_commit or "")


def _scores(
    context: Any, home: Home, artifacts: Artifacts, evaluator: Evaluator, loop: LoopConfig, rows: Rows, digest: str, base: str
) -> list[Score]:
    """Scores of a version's answers; what it answered for an eval report is read again."""
    files = [answer_file(artifacts, loop, digest, each, base) for each in rows.sets]
    answer_all(context, home, artifacts, loop, evaluator, rows, {"version": files}, {"version": digest, "base": base})
    return scores_of(loop, rows, files, [])


def describe(found: Reproduction) -> str:
    """A verdict line and what explains it, for a terminal."""
    lines = [f"{found.compared.outcome.value}: {found.compared.sentence}"]
    if found.fine_tuning:
        lines.append(found.fine_tuning)
    if found.base_changed:
        lines.append("the base model is not the one that the version was trained on: its files changed under the same name")
    if found.changed is None:
        lines.append("the environment of the first training was not recorded, so differences cannot be told")
    elif found.changed:
        lines += ["the environment differs:", *(f"  {each}" for each in found.changed)]
    else:
        lines.append("code, libraries and machine are the same")
    return "\n".join(lines)
