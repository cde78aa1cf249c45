"""Candidate, production and untuned base on the same rows: what the promotion gates decide on."""

import time

import dagster as dg

from ftassets.assets._shared.accepted import accepted_candidate, golden_commit
from ftassets.assets._shared.events import history, metadata_value, names, node, required
from ftassets.assets._shared.failures import failing
from ftassets.assets._shared.metered import measured
from ftassets.assets._shared.node import asset, with_signature
from ftassets.assets._shared.stored_reports import keep_decision
from ftassets.assets._shared.tracking import track_scores
from ftassets.assets.eval_report.answering import NotComparable
from ftassets.assets.eval_report.measuring import measure
from ftassets.assets.eval_report.page import page
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import read_eval_report, store_eval_report
from ftassets.backends.control.base import Control
from ftassets.backends.control.error_budget import BudgetDamaged
from ftassets.backends.control.reviews import read_review
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.evaluator.base import EvaluationFailed, EvaluationKilled, Evaluator
from ftassets.backends.registry.base import Registry
from ftassets.backends.serving.base import Serving
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import run_mirror
from ftassets.domain.gates.error_budget import Spending
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.result import GateResult, Verdict

GATES = "promotion_gates"
PAST = 1000  # reports looked back on to count how often a golden set was used


def build(loop: LoopConfig) -> tuple[dg.AssetsDefinition, dg.AssetChecksDefinition]:
    """The asset and the one blocking check set that holds all gates."""
    key = node(loop.name, "eval_report")

    @asset(loop, __doc__, {"python"}, deps=["aligned_adapter" if loop.align else "adapter", "golden_set", "curated_dataset"])
    def eval_report(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        artifacts: dg.ResourceParam[Artifacts],
        control: dg.ResourceParam[Control],
        dataset_store: dg.ResourceParam[DatasetStore],
        evaluator: dg.ResourceParam[Evaluator],
        serving: dg.ResourceParam[Serving],
        registry: dg.ResourceParam[Registry],
    ) -> dg.MaterializeResult:
        candidate = accepted_candidate(context.instance, artifacts, dataset_store, loop)
        if candidate.passed_over:
            context.log.warning(candidate.passed_over)
        commit = golden_commit(context.instance, dataset_store, loop)
        production = serving.state(loop.name).production
        uses = golden_uses(context.instance, key, commit, candidate.id)
        try:
            evaluation = measure(
                loop, candidate.id, commit, production, home, artifacts, control, dataset_store, evaluator, serving, context, uses
            )
        except (NotComparable, BudgetDamaged) as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        except EvaluationKilled as error:
            raise dg.RetryRequested(max_retries=1, seconds_to_wait=1) from error
        except EvaluationFailed as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        digest = store_eval_report(artifacts, evaluation.report)
        metadata = page(loop, control, evaluation, digest)
        metadata |= track_scores(registry, run_mirror(loop.tracking, home), evaluation.report, digest, str(metadata["verdict"]), context)
        if candidate.passed_over:
            metadata["passed_over"] = candidate.passed_over
        return dg.MaterializeResult(data_version=dg.DataVersion(digest), metadata=metadata)

    @dg.multi_asset_check(
        name=f"{loop.name}__{GATES}",
        specs=[dg.AssetCheckSpec(gate.name, asset=key, blocking=True, description=gate.sentence) for gate in loop.gates],
        can_subset=True,
    )
    @with_signature
    def promotion_gates(  # noqa: ANN202 - dagster inspects it
        context: dg.AssetCheckExecutionContext, artifacts: dg.ResourceParam[Artifacts], control: dg.ResourceParam[Control]
    ):
        digest = required(context.instance, key)
        with measured(control, loop.name, GATES, context) as work, failing():
            report = read_eval_report(artifacts, loop.name, digest)
            review = read_review(control, loop.name, digest)
            results = evaluate_gates(loop.gates, report, review)
            keep_decision(artifacts, loop, report, digest, review, results, time.time())
            work.made, work.refused = digest, any(result.verdict is not Verdict.PASS for result in results)
        for result in results:
            if dg.AssetCheckKey(key, result.name) in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=result.name,
                    passed=result.verdict is Verdict.PASS,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description=f"{result.verdict.value}: {result.sentence}",
                    metadata=_evidence(result, report.error_budget),
                )

    return eval_report, promotion_gates


def golden_uses(instance: dg.DagsterInstance, key: dg.AssetKey, golden_commit: str, candidate: str) -> int:
    """Candidates evaluated on this commit of the golden set, this one included: each use makes selection fit the set a little more."""
    reports = (event for _, event in history(instance, key, limit=PAST))
    evaluated = {str(metadata_value(event, "candidate"))[:12] for event in reports if names(event, "golden_commit", golden_commit)}
    return len(evaluated | {candidate[:12]})


def _evidence(result: GateResult, budget: Spending | None) -> dict[str, float | int | str]:
    values = {
        "verdict": result.verdict.value,
        "estimate": result.value,
        "bound": result.bound,
        "fail_bound": result.fail_bound,
        "threshold": result.threshold,
        "p_value": result.p_value,
        "rows": result.n,
        "rows_needed": result.rows_needed,
        "level_of_the_decision": budget.level if budget else None,
        "error_budget_left": budget.left if budget else None,
    }
    return {name: value for name, value in values.items() if value is not None}
