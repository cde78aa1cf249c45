"""One evaluation: the answers and gates of the eval report for a version that somebody else trained. Only the decision is recorded."""

from collections.abc import Sequence
from typing import Any

from ftassets.assets.eval_report.answering import NotComparable
from ftassets.assets.eval_report.measuring import measure
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import verify
from ftassets.backends.control.base import Control
from ftassets.backends.control.error_budget import BudgetDamaged
from ftassets.backends.control.journal import read_state
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.evaluator.base import EvaluationFailed, Evaluator
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.config.home import Home
from ftassets.domain.gates.policy import evaluate_gates, passed
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.errors import StateDamaged
from ftassets.gate_service.condition import evaluate_caller
from ftassets.gate_service.contract import BadRequest, EvaluationJob, GateAnswer


def evaluate(
    job: EvaluationJob,
    home: Home,
    artifacts: Artifacts,
    control: Control,
    store: DatasetStore,
    evaluator: Evaluator,
    serving: Serving,
    context: Any,
) -> GateAnswer:
    """Measure as the eval report does, and evaluate the gates. `context` is passed to the evaluator.

    Answers of an earlier report or evaluation are reused. Raises BadRequest when the version's files are not those of its
    manifest or its rows cannot be compared, EvaluationFailed when answers are missing.
    """
    loop = job.loop
    try:
        verify(artifacts, job.version)
    except VersionDamaged as error:
        raise BadRequest(f"model_path: {error}") from error
    production, not_served = _production(control, loop.name, serving)

    def made(by: Serving | None) -> EvalReport:
        try:
            return measure(
                loop, job.version, job.golden_commit, production, home, artifacts, control, store, evaluator, by, context, twice=False
            ).report
        except NotComparable as error:
            raise BadRequest(str(error)) from error
        except BudgetDamaged as error:
            raise EvaluationFailed(str(error)) from error

    if not_served is None:
        try:
            running = serving.state(loop.name).running
            report = made(serving)
            if job.version not in running:
                serving.unstage(loop.name, job.version)
        except (ServingError, OSError) as error:  # requests' errors are OSErrors
            not_served = f"the model servers could not be asked: {error}"
    if not_served is not None:
        report = made(None)
    results = evaluate_gates(loop.gates, report)
    caller, looser = evaluate_caller(job.wanted_f1, loop.gates, report)
    results.append(caller)
    notes = [looser] if looser else []
    if any(gate.metric == "human_review" for gate in loop.gates):
        notes.append("human_review: people review the loop's own eval_report, so that no loop with such a gate passes here")
    if not job.newest_golden:
        notes.append(f"the golden set of commit {job.golden_commit[:12]} is not the loop's newest")
    if not_served is not None:
        notes.append(f"response times were not measured: {not_served}")
    elif not report.latency_ms:
        notes.append("response times were not measured: the loop has no gate on latency_p95")
    return GateAnswer(
        passed=passed(results),
        f1_score=caller.value,
        latency_ms_p99=_p99(report.latency_ms["candidate"]) if report.latency_ms else None,
        message=message(results, notes),
        verdicts=results,
        loop=loop.name,
        version=job.version,
        golden_commit=job.golden_commit,
        compared_with=report.production,
    )


def message(results: Sequence[GateResult], notes: Sequence[str]) -> str:
    """The outcome in a few sentences: the gates that do not hold, then what limits the verdict."""
    failing = [result for result in results if result.verdict is not Verdict.PASS]
    first = f"{len(failing)} of {len(results)} conditions do not hold" if failing else f"all {len(results)} conditions hold"
    parts = [first, *(f"{r.name}: {r.verdict.value}, {r.sentence}" for r in failing), *notes]
    return ". ".join(part[:1].upper() + part[1:] for part in parts) + "."


def _production(control: Control, loop: str, serving: Serving) -> tuple[str | None, str | None]:
    """The version in production, and why the endpoint does not answer if so: then what it last wrote down counts."""
    try:
        return serving.state(loop).production, None
    except ServingError as error:
        try:
            state = read_state(control, loop)
        except (StateDamaged, OSError) as unreadable:
            raise EvaluationFailed(f"production is unknown: {error}, and its last state cannot be read: {unreadable}") from unreadable
        return (state.production if state else None), str(error)  # without a state this loop never served


def _p99(milliseconds: Sequence[float]) -> float:
    import numpy as np

    return float(np.quantile(milliseconds, 0.99))
