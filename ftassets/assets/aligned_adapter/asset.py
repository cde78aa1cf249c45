"""The fine-tuned version, trained further on what users preferred (DPO or KTO): the candidate only if it proved to be better."""

import shutil
from collections.abc import Sequence
from typing import Any

import dagster as dg

from ftassets.assets._shared.accepted import ALIGNMENT, accepted_adapter
from ftassets.assets._shared.alignment_job import newest_preferences, prepare_alignment, read_preferences
from ftassets.assets._shared.dataset_files import read_splits
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.stored_reports import place
from ftassets.assets._shared.tracked_training import train_tracked
from ftassets.assets.aligned_adapter.measuring import measure_preferences, measure_scores, unit_of
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import report_key, store_report
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest, verify, version_key, workshop
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.evaluator.base import EvaluationFailed, EvaluationKilled, Evaluator
from ftassets.backends.registry.base import Registry
from ftassets.backends.trainer.base import Trainer, TrainingFailed, TrainingKilled
from ftassets.config.home import Home
from ftassets.config.loop import Align, LoopConfig
from ftassets.domain.acceptance import in_words, refusals
from ftassets.domain.dataset.preference_split import PreferenceSplit, split_preferences
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.conversations import linked
from ftassets.domain.evaluation.scored_turns import conversation_of
from ftassets.domain.gates.alignment import Alignment, Decision, Measured, decide, rating_comparisons, too_few
from ftassets.domain.gates.result import Verdict
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.training.acceptance import BLOCKING, version_checks
from ftassets.reporting.plots import loss_curve
from ftassets.wording import amount


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset of a loop that has `align`; its data version is the version that becomes the candidate, the fine-tuned one or its own."""
    assert loop.align is not None
    align = loop.align

    @asset(loop, __doc__, {"huggingface", "pytorch"}, deps=["adapter", "preference_pairs"], pool="trainer")
    def aligned_adapter(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        artifacts: dg.ResourceParam[Artifacts],
        dataset_store: dg.ResourceParam[DatasetStore],
        trainer: dg.ResourceParam[Trainer],
        evaluator: dg.ResourceParam[Evaluator],
        registry: dg.ResourceParam[Registry],
    ) -> dg.MaterializeResult:
        accepted = accepted_adapter(context.instance, artifacts, dataset_store, loop.name)
        if accepted.passed_over:
            context.log.warning(accepted.passed_over)
        tuned = load_manifest(artifacts, accepted.id)
        assert tuned.dataset_commit is not None  # an accepted adapter names its dataset
        splits = read_splits(dataset_store, tuned.dataset_commit, loop.name, bad=[])
        commit = newest_preferences(dataset_store, loop.name, align)
        rows = read_preferences(dataset_store, loop.name, align, commit) if commit else []
        split = split_preferences(rows, splits, align.held_out, loop)
        metadata: dict[str, Any] = {
            "tuned": tuned.digest[:12],
            "preferences": len(rows),
            "trained_on": len(split.train),
            "held_out": len(split.held_out),
            **({"preferences_commit": commit[:12]} if commit else {}),
            **({"left_out": dict(split.left_out)} if split.left_out else {}),
        }
        why = _not_enough(split, splits["validation"], align) if commit else "no preferences are committed: materialize preference_pairs"
        if why:
            return _result(context, tuned.digest, Decision(Verdict.NOT_ENOUGH_DATA, why), metadata)
        assert commit is not None
        work = home.work / context.run_id
        shutil.rmtree(work, ignore_errors=True)  # an earlier attempt of this run died here
        job = prepare_alignment(artifacts, loop, align, tuned, commit, split, work, home, workshop(artifacts))
        try:
            trained = train_tracked(loop, job, trainer, artifacts, registry, home, context)
        except TrainingKilled as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        except TrainingFailed as error:  # the fine-tuned version is as good as it was
            return _result(context, tuned.digest, Decision(Verdict.FAIL, f"the training on preferences ended: {error}"), metadata)
        result, aligned = trained.result, trained.manifest
        metadata |= {
            "aligned": aligned.digest[:12],
            **result.numbers,
            "mlflow_run": trained.page,
            "folder": place(version_key(aligned.digest), aligned.digest),
            "loss": dg.MetadataValue.md(loss_curve(result.losses, result.validation_losses)),
        }
        if refused := _refusals(artifacts, aligned):
            return _result(context, tuned.digest, Decision(Verdict.FAIL, in_words(refused)), metadata)
        versions = {"tuned": tuned.digest, "aligned": aligned.digest, "base": result.base_digest}

        def measured() -> tuple[str, list[Measured], list[Measured]]:
            metric, scores = measure_scores(context, home, artifacts, loop, evaluator, splits["validation"], versions)
            return metric, scores, measure_preferences(context, home, artifacts, loop, evaluator, split.held_out, versions)

        try:
            try:
                metric, scores, preferences = measured()
            except EvaluationKilled as error:  # a retry of the asset would train again
                context.log.warning(f"{error}. Now measuring once more")
                metric, scores, preferences = measured()
        except EvaluationFailed as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        report = Alignment(
            loop=loop.name,
            run_id=context.run_id,
            method=align.method,
            tuned=tuned.digest,
            aligned=aligned.digest,
            dataset_commit=tuned.dataset_commit,
            preferences_commit=commit,
            metric=metric,
            scores=scores,
            preferences=preferences,
        )
        digest = store_report(artifacts, loop.name, "alignment", report.document())
        decision = decide(report, align)
        metadata |= {ALIGNMENT: digest[:12], "report": place(report_key(loop.name, "alignment", digest), digest)}
        candidate = aligned.digest if decision.verdict is Verdict.PASS else tuned.digest
        return _result(context, candidate, decision, metadata)

    return aligned_adapter


def _not_enough(split: PreferenceSplit[Any], validation: Sequence[Example], align: Align) -> str | None:
    """Why nothing is trained; None if a training could prove something."""
    usable = len(split.train) + len(split.held_out)
    if usable < align.min_rows:
        what = "preference pair" if align.method == "dpo" else "rated answer"
        return f"{amount(usable, what)} that can be used, align.min_rows is {align.min_rows}"
    if align.method == "dpo":
        compared = len({unit_of(row) for row in split.held_out})
    else:
        compared = rating_comparisons((unit_of(row), row.rating == "up") for row in split.held_out)
    return too_few(len({conversation_of(row) or row.id for row in linked(list(validation))}), compared, align)


def _refusals(artifacts: Artifacts, manifest: VersionManifest) -> dict[str, str]:
    refused = refusals(version_checks(manifest), BLOCKING)
    try:
        verify(artifacts, manifest.digest)
    except VersionDamaged as error:
        refused["artefact_complete"] = str(error)
    return refused


def _result(context: Any, candidate: str, decision: Decision, metadata: dict[str, Any]) -> dg.MaterializeResult:
    which = "the version trained on preferences" if decision.verdict is Verdict.PASS else "the fine-tuned version"
    context.log.info(f"{which} becomes the candidate: {decision.verdict.value}: {decision.sentence}")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(candidate),
        metadata={
            "verdict": f"{decision.verdict.value}: {decision.sentence}",
            "candidate": f"{candidate[:12]}, {which}",
            **metadata,
        },
    )
