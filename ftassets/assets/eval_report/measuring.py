"""What an eval report rests on: every version's answers to the same rows, their scores, and what the real server shows."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from ftassets.assets._shared.accepted import trained_on_refusals
from ftassets.assets._shared.stored_reports import policy_digest
from ftassets.assets.eval_report.answering import (
    API,
    Answers,
    NotComparable,
    answer_all,
    answer_file,
    api_sentence,
    ask_api,
    external,
    likelihoods_of,
)
from ftassets.assets.eval_report.forgetting import read_forgetting
from ftassets.assets.eval_report.llm_judge import ask_judge
from ftassets.assets.eval_report.parity import measure_parity
from ftassets.assets.eval_report.row_metrics import measure_metrics
from ftassets.assets.eval_report.rows import Rows, read_answers, read_rows, scores_of, unmeasured, without_unasked
from ftassets.assets.eval_report.sampled_answers import add_sampled, sample_answers, stored_files
from ftassets.assets.eval_report.second_answers import answer_twice
from ftassets.backends.artifacts.answers import answers_file
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import load_manifest, version_key
from ftassets.backends.control.base import Control
from ftassets.backends.control.error_budget import within_budget
from ftassets.backends.control.journal import staging_lock
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.evaluator.base import Evaluator
from ftassets.backends.model_client.latency import ResponseTime, interleaved_latency
from ftassets.backends.serving.base import Serving
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.acceptance import in_words
from ftassets.domain.canonical import composed
from ftassets.domain.chat import Asked
from ftassets.domain.dataset.rows import Example, left_out
from ftassets.domain.evaluation.metrics import CATALOGUE
from ftassets.domain.evaluation.parity import Parity
from ftassets.domain.evaluation.probes import choose
from ftassets.domain.gates.inputs import input_objections
from ftassets.domain.gates.policy import RULE
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.version import MERGED
from ftassets.durable import file_digest
from ftassets.wording import amount

STAGED = 900.0  # seconds a version may be staged for what only its server can show
ROLES = ("base", "production", "candidate")


@dataclass(frozen=True)
class Evaluation:
    """A report, the rows it is about, and the files with each role's answers to them."""

    report: EvalReport
    rows: Rows
    answers: Answers


def measure(
    loop: LoopConfig,
    candidate: str,
    golden_commit: str,
    production: str | None,
    home: Home,
    artifacts: Artifacts,
    control: Control,
    store: DatasetStore,
    evaluator: Evaluator,
    serving: Serving | None,
    context: Any,
    golden_uses: int = 1,
    twice: bool = True,
) -> Evaluation:
    """Have candidate, production and untuned base answer all rows, score them, and compare candidate and production as they serve.

    Without `production` the base takes its place; without `serving` the report has no response times and no parity. `context` is that
    of the run, `golden_uses` counts the candidates evaluated on this golden commit. Answers of an earlier report are reused, but for a
    sample that production answers `twice`. Whoever asks, it is a decision that counts against the loop's error budget.
    Raises NotComparable, EvaluationFailed, ServingError, BudgetDamaged.
    """
    began = time.monotonic()
    manifest = load_manifest(artifacts, candidate)
    base, commit = manifest.base_digest, manifest.dataset_commit
    if base is None or commit is None:
        raise NotComparable(f"version {candidate[:12]} names no base model or dataset: train it again")
    if refused := trained_on_refusals(store, manifest, loop.name):  # also for a version that is no `adapter` of this loop's graph
        raise NotComparable(
            f"version {candidate[:12]} was trained on what was refused: {in_words(refused)}. Train it on an accepted dataset"
        )
    versions = {"base": base, "production": production or base, "candidate": candidate}
    here = {role: artifacts.exists(version_key(digest, MERGED)) or external(artifacts, digest) for role, digest in versions.items()}
    if gone := [role for role, found in here.items() if not found]:
        lost = versions[gone[0]]
        raise NotComparable(
            f"{gone[0]} is version {lost[:12]}, whose folder {artifacts.uri(version_key(lost))} is gone: restore it, "
            "or roll back to a version that is there"
        )
    rows = read_rows(store, loop, golden_commit, commit)
    if rows.unreadable:
        context.log.warning(left_out(rows.unreadable, f"the dataset {commit[:12]}"))
    if why := input_objections(rows.golden and rows.judged, rows.train):
        raise NotComparable(f"no report: {'; '.join(why)}")

    answers = {role: [answer_file(artifacts, loop, digest, each, base) for each in rows.sets] for role, digest in versions.items()}
    general = answer_all(context, home, artifacts, loop, evaluator, rows, answers, versions)
    forgetting = read_forgetting(answers_file(artifacts, general.output.name), manifest, general.others) if general else None
    of_likelihoods = any(CATALOGUE[name].of_likelihoods for name in loop.metrics if name in CATALOGUE)
    likelihoods = likelihoods_of(context, home, artifacts, loop, evaluator, rows, versions) if of_likelihoods else {}
    metrics, row_scores = (
        measure_metrics(context, home, artifacts, loop, evaluator, loop.metrics, rows.sets, answers, likelihoods)
        if loop.metrics
        else ({}, {})
    )
    sampled = sample_answers(context, home, artifacts, loop, evaluator, rows, versions)
    scores = {
        role: add_sampled(artifacts, loop, rows, sampled, role, scores_of(loop, rows, answers[role], row_scores.get(role, [])))
        for role in ROLES
    }
    asked = without_unasked(loop, scores)
    if unasked := len(scores["candidate"]) - len(asked["candidate"]):
        context.log.warning(f"left out: {unasked} held-out rows whose conversation no model's chat template takes")
    scores = asked
    if api := ask_api(context, artifacts, loop, rows.sets[0]):
        answers[API] = [api]
        scores[API] = scores_of(loop, rows, [api], [])
        context.log.info(api_sentence(loop, scores, answers))
    if lacking := unmeasured(loop, scores["candidate"]):
        metric, without = next(iter(lacking.items()))
        raise NotComparable(
            f"{metric} has no value for each row, so no gate can compare it; "
            f"{amount(len(without), 'row has', 'rows have')} none, the first is {without[0]}. "
            + (
                "A model's chat template does not take their conversation: change these rows, or change the gate"
                if getattr(CATALOGUE.get(metric.partition(".")[0]), "of_likelihoods", False)
                else "Give its class a method `rows`, or change the gate"
            )
        )
    said = {role: read_answers(files[:1]) for role, files in answers.items()}
    pairwise_scores, calibration = ask_judge(control, loop, rows.golden, said["candidate"], said["production"], context.log.info)
    times, parity = (
        _as_served(context, loop, home, artifacts, control, evaluator, serving, rows.golden, said["candidate"], versions)
        if serving
        else ({}, None)
    )
    second = answer_twice(context, home, artifacts, loop, evaluator, rows, said["production"], versions, began) if twice else None
    stored = {path for each in (answers, row_scores) for paths in each.values() for path in paths if path.exists()}
    stored |= stored_files(artifacts, sampled)
    if second:
        stored |= {answers_file(artifacts, name) for name in (second.answers, *second.row_scores)}
    if forgetting:
        stored.add(answers_file(artifacts, forgetting.file))
    report = EvalReport(
        loop=loop.name,
        run_id=context.run_id,
        candidate=candidate,
        production=versions["production"],
        production_is_base=production is None,
        base=base,
        dataset_commit=commit,
        golden_commit=golden_commit,
        policy_digest=policy_digest(loop),
        generation={"temperature": loop.task.temperature, "max_tokens": loop.task.max_tokens},
        scores=scores,
        latency_ms={role: [each.whole_ms for each in found] for role, found in times.items()},
        ttft_ms={role: [each.first_ms for each in found] for role, found in times.items()},
        answers={role: [path.name for path in paths] for role, paths in answers.items()},
        row_scores={role: [path.name for path in paths] for role, paths in row_scores.items()},
        answers_digests={path.name: file_digest(path) for path in sorted(stored)},
        metrics=metrics,
        other_sets=tuple(each.name for each in loop.sets),
        gate_rule=RULE,
        classes=tuple(_classes(loop, rows.golden)),
        costs=composed(loop.task.costs or {}),
        golden_uses=golden_uses,
        parity=parity,
        pairwise_scores=pairwise_scores,
        llm_judge_calibration=calibration,
        forgetting=forgetting,
        second_answers=second,
        sampled=sampled,
        probes=choose({row.id: Asked(messages=row.messages, tools=row.tools) for row in rows.golden}, said["candidate"], said["base"]),
    )
    return Evaluation(within_budget(artifacts, control, loop, report, time.time()), rows, answers)


def _classes(loop: LoopConfig, golden: Sequence[Example]) -> list[str]:
    """Labels that macro F1 and recall count, whether or not a row has them: those of the task, else those of the golden rows."""
    form = loop.task.form
    if "classes" in form.lacks:
        return []
    return sorted({form.label(answer) for answer in loop.task.labels or [row.completion for row in golden]})


def _as_served(
    context: Any,
    loop: LoopConfig,
    home: Home,
    artifacts: Artifacts,
    control: Control,
    evaluator: Evaluator,
    serving: Serving,
    golden: Sequence[Example],
    merged_answers: Mapping[str, str],
    versions: Mapping[str, str],
) -> tuple[dict[str, list[ResponseTime]], Parity | None]:
    """Response times of candidate and production in turns, and the candidate's parity, as far as a gate asks for them."""
    gates = single_gates(loop.gates)
    pairs = max((gate.pairs for gate in gates if gate.kind.counts == "pairs"), default=0)
    parity = any(gate.metric == "parity" for gate in gates)
    roles = ["candidate", *(["production"] if pairs else [])] if pairs or parity else []
    if not roles:
        return {}, None
    context.log.info("asking the real server")
    # staging is shared: two measurements at once would end each other's servers, and slow them down
    with control.lock(staging_lock(loop.name)):
        with ThreadPoolExecutor() as pool:  # both servers start at the same time
            urls = dict(zip(roles, pool.map(lambda role: serving.stage(loop.name, versions[role], STAGED), roles), strict=True))
        try:
            stride = max(1, len(golden) // pairs) if pairs else 1
            prompts = list(islice(cycle(golden[::stride]), pairs))
            latency = interleaved_latency(urls, prompts, loop.task) if pairs else {}
            manifest = load_manifest(artifacts, versions["candidate"])
            found = (
                measure_parity(loop, home, artifacts, evaluator, urls["candidate"], manifest, golden, merged_answers, context)
                if parity
                else None
            )
            return latency, found
        finally:
            if pairs:
                serving.unstage(loop.name, versions["production"])  # the candidate stays staged: its rollout is near, and the lease ends it
