"""One evaluation: the answers and gates of the eval report for a version that somebody else trained, and nothing recorded."""

import json
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from ftassets.domain.endpoint import EndpointState
from ftassets.domain.gates.inputs import input_objections
from ftassets.domain.gates.policy import judge, passed
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.loop import LoopConfig
from ftassets.domain.presets import single_gates
from ftassets.domain.rows import Example
from ftassets.gate_service.condition import judge_caller
from ftassets.gate_service.contract import BadRequest, EvaluationJob, GateAnswer
from ftassets.home import Home
from ftassets.lineage import eval_report
from ftassets.resources.dataset_store.base import DatasetStore
from ftassets.resources.evaluator.base import EvaluationFailed, Evaluator
from ftassets.resources.latency import interleaved_latency
from ftassets.resources.serving.base import Serving, ServingError
from ftassets.resources.versions import MERGED, VersionDamaged, verify

STAGED = 600.0  # seconds after which a server started for its response times ends even if this process does not
REPORT_ONLY = {"parity", "judge", "human_review"}  # what a gate may ask for and this service does not measure
REQUESTS = 150  # for response times, where no gate of the loop says how many


def evaluate(job: EvaluationJob, home: Home, store: DatasetStore, evaluator: Evaluator, serving: Serving, context: Any) -> GateAnswer:
    """Have candidate, production and base answer the held-out and golden rows, and judge. `context` is the evaluator's.

    Answers of an earlier report or evaluation are used again. Raises BadRequest when the version's files are not those of its
    manifest, EvaluationFailed when the answers cannot be had.
    """
    loop = job.loop
    try:
        manifest = verify(home.versions, job.version)
    except VersionDamaged as error:
        raise BadRequest(f"model_path: {error}") from error
    base, commit = manifest.base_digest, manifest.dataset_commit
    if base is None or commit is None:
        raise BadRequest(f"model_path: version {job.version[:12]} names no base model or dataset: train it again")
    now_serving, gateway_down = _production(home, loop.name, serving)
    production = now_serving or base
    versions = {"base": base, "production": production, "candidate": job.version}
    if gone := [role for role, digest in versions.items() if not (home.versions / digest / MERGED).is_dir()]:
        raise EvaluationFailed(f"{gone[0]} is version {versions[gone[0]][:12]}, whose folder is gone: restore it or roll back")
    golden, held_out, train = eval_report._rows(store, loop, job.golden_commit, commit)
    if why := input_objections(golden, train):
        raise BadRequest(f"golden_set_id: {'; '.join(why)}")
    sets = [golden, held_out]

    answers = {role: eval_report._answer_files(home, loop, digest, sets) for role, digest in versions.items()}
    eval_report._answer(context, home, loop, evaluator, sets, answers, versions)
    metrics, row_scores = eval_report._measure(context, home, loop, evaluator, sets, answers) if loop.metrics else ({}, {})
    scores = {role: eval_report._scores(loop, golden, held_out, answers[role], row_scores.get(role, [])) for role in versions}
    if lacking := eval_report.unmeasured(loop, scores["candidate"]):
        raise EvaluationFailed(f"{lacking[0]} has no value for each row, so no gate can compare it: change the gate")
    latency: dict[str, list[float]] = {}
    not_timed = gateway_down
    if gateway_down is None:
        try:
            latency = _latency(loop, serving, golden, job.version, production)
        except (ServingError, OSError) as error:  # requests' errors are OSErrors
            not_timed = f"the model servers could not be asked: {error}"
    report = EvalReport(
        loop=loop.name,
        run_id=job.id,
        candidate=job.version,
        production=production,
        production_is_base=now_serving is None,
        base=base,
        dataset_commit=commit,
        golden_commit=job.golden_commit,
        policy_digest=eval_report.policy_digest(loop),
        generation={"temperature": loop.task.temperature, "max_tokens": loop.task.max_tokens},
        scores=scores,
        latency_ms=latency,
        answers={role: [path.name for path in paths] for role, paths in answers.items()},
        row_scores={role: [path.name for path in paths] for role, paths in row_scores.items()},
        metrics=metrics,
    )
    results = judge(loop.gates, report)
    caller, looser = judge_caller(job.wanted_f1, loop.gates, report)
    results.append(caller)
    notes = [looser] if looser else []
    if elsewhere := sorted({gate.metric for gate in single_gates(loop.gates)} & REPORT_ONLY):
        notes.append(f"{', '.join(elsewhere)}: only the loop's own eval_report measures this, so that no loop with such a gate passes here")
    if not job.newest_golden:
        notes.append(f"the golden set of commit {job.golden_commit[:12]} is not the loop's newest")
    if not_timed:
        notes.append(f"response times were not measured: {not_timed}")
    return GateAnswer(
        passed=passed(results),
        f1_score=caller.value,
        latency_ms_p99=_p99(latency["candidate"]) if latency else None,
        message=message(results, notes),
        verdicts=results,
        loop=loop.name,
        version=job.version,
        golden_commit=job.golden_commit,
        compared_with=production,
    )


def message(results: Sequence[GateResult], notes: Sequence[str]) -> str:
    """The outcome in a few sentences: the gates that do not hold, then what limits the verdict."""
    failing = [result for result in results if result.verdict is not Verdict.PASS]
    first = f"{len(failing)} of {len(results)} conditions do not hold" if failing else f"all {len(results)} conditions hold"
    parts = [first, *(f"{r.name}: {r.verdict.value}, {r.sentence}" for r in failing), *notes]
    return ". ".join(part[:1].upper() + part[1:] for part in parts) + "."


def _production(home: Home, loop: str, serving: Serving) -> tuple[str | None, str | None]:
    """The version in production, and why the endpoint does not answer if so: then what it last wrote down counts."""
    try:
        return serving.state(loop).production, None
    except ServingError as error:
        path = home.gateway / f"{loop}.state.json"
        try:
            return EndpointState.model_validate(json.loads(path.read_bytes())["state"]).production, str(error)
        except FileNotFoundError:
            return None, str(error)  # this loop never served
        except (OSError, ValueError, KeyError, TypeError) as unreadable:
            raise EvaluationFailed(f"production is unknown: {error}, and {path.name} cannot be read: {unreadable}") from unreadable


def _latency(loop: LoopConfig, serving: Serving, golden: Sequence[Example], candidate: str, production: str) -> dict[str, list[float]]:
    requests = max((gate.pairs for gate in single_gates(loop.gates) if gate.metric == "latency_p95"), default=REQUESTS)
    running = serving.state(loop.name).running
    versions = {"candidate": candidate, "production": production}
    try:
        urls = {role: serving.stage(loop.name, digest, STAGED) for role, digest in versions.items()}
        stride = max(1, len(golden) // requests)
        return interleaved_latency(urls, list(islice(cycle(row.prompt for row in golden[::stride]), requests)), loop.task)
    finally:
        for digest in set(versions.values()) - running:  # a server that was up before is somebody else's
            serving.unstage(loop.name, digest)


def _p99(milliseconds: Sequence[float]) -> float:
    import numpy as np

    return float(np.quantile(milliseconds, 0.99))
