"""The demo's retrain for one seed without gateway, daemon or waiting: the same traffic, curation, training and evaluation."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import dagster as dg

from ftassets.assets._shared.events import data_version, metadata_value, newest, node
from ftassets.backends.artifacts.reports import read_report
from ftassets.backends.artifacts.versions import version_folder
from ftassets.backends.evaluator.base import Evaluator
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.traffic_log.base import Exchange, Feedback
from ftassets.components.fine_tune_loop import build_loop
from ftassets.components.resources import resources
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts, traffic_log
from ftassets.demo.traffic import CORRECTED, Sender, chapters
from ftassets.demo.voice_commands import Utterance
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import to_jsonl
from ftassets.domain.evaluation.jobs import AnswerJob, Ask, Prompt
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport, in_slice
from ftassets.domain.release.version import MERGED
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.traffic.exchange import hashed_user, keyed_user
from ftassets.errors import FtassetsError

NODES = ("seed_examples", "golden_set", "curated_dataset", "adapter", "eval_report")


class RehearsalFailed(FtassetsError):
    """A step of a rehearsal failed; the message names it and says what to do."""


@dataclass(frozen=True)
class Rehearsed:
    """What a seed's retrain came to: exact match by slice for each role, corrections, rows, verdicts, seconds of training and of all."""

    seed: int
    accuracy: dict[str, dict[str, float]]
    corrections: int
    wrong: int
    rows: int
    quarantined: int
    verdicts: dict[str, str]
    train_seconds: float
    seconds: float


class _Deployed(Serving):
    """An endpoint with a version in production and nothing behind it: enough for all that only asks what production is."""

    def __init__(self, production: str | None) -> None:
        self._production = production

    def state(self, loop: str) -> EndpointState:
        return EndpointState(production=self._production)

    def _none(self, *_: object, **__: object) -> NoReturn:
        raise ServingError("a rehearsal has no endpoint: run the demo")

    stage = unstage = start = ramp = renew = rollback = journal = newest = health = _none


def rehearsed(loop: LoopConfig) -> LoopConfig:
    """The loop without the gates that need a server."""
    return loop.model_copy(update={"gates": [gate for gate in loop.gates if gate.kind.counts != "pairs"]})


def first_version(home: Home, loop: LoopConfig, parts: dict[str, Any] | None = None) -> str:
    """Train and evaluate the version that is in production when the traffic changes; its digest. Raises RehearsalFailed."""
    home.root.mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.ephemeral() as instance:
        _materialize(instance, loop, _resources(home, None, parts))
        return data_version(_event(instance, loop, "adapter"))


def rehearse(seed: int, first: Home, production: str, home: Home, loop: LoopConfig, parts: dict[str, Any] | None = None) -> Rehearsed:
    """Send a seed's traffic to the version `production` of the home `first`, and retrain in a copy of that home.

    `parts` replaces backends. Raises RehearsalFailed.
    """
    begin = time.monotonic()
    shutil.copytree(first.root, home.root, copy_function=_link)
    made = _resources(home, production, parts)
    with dg.DagsterInstance.ephemeral() as instance:
        corrections, wrong = _talk(instance, seed, production, home, loop, made)
        _materialize(instance, loop, made)
        dataset, adapter = _event(instance, loop, "curated_dataset"), _event(instance, loop, "adapter")
        content = read_report(artifacts(home), loop.name, "eval", data_version(_event(instance, loop, "eval_report")))
    report = EvalReport.parse(content)
    return Rehearsed(
        seed=seed,
        accuracy={role: {name: _share(report, role, name) for name in ("established", "drifted")} for role in ("production", "candidate")},
        corrections=corrections,
        wrong=wrong,
        rows=_number(dataset, "rows"),
        quarantined=_number(dataset, "quarantined"),
        verdicts={result.name: result.verdict.value for result in evaluate_gates(loop.gates, report)},
        train_seconds=float(metadata_value(adapter, "train_seconds")),  # type: ignore[arg-type]
        seconds=time.monotonic() - begin,
    )


def _link(source: str, target: str) -> None:
    """Versions and answers are never changed, so that a copy of a home can share them; the rest is copied."""
    if {"versions", "answers"} & set(Path(source).parts):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _talk(instance: dg.DagsterInstance, seed: int, production: str, home: Home, loop: LoopConfig, made: dict[str, Any]) -> tuple[int, int]:
    """Write into the log what users say, what production answers and how they react; corrections sent, and how many are wrong."""
    said = chapters(loop.retrain_on.drift.reference_requests, seed)
    known = [*said.first, *(each for window in said.quiet for each in window), *said.mixed]
    talk = [*known, *said.drifted]
    answers = _answers(instance, production, home, loop, talk, made)
    ids, now = Random(f"ids:{seed}"), time.time() - len(talk)
    log, secret = traffic_log(home), home.user_secret()
    corrections = wrong = 0
    exchanges, feedback = [], []
    for number, (utterance, answer) in enumerate(zip(talk, answers, strict=True)):
        sender, at = Sender(seed, number), now + number
        drifted = number >= len(known)
        name = f"req-{uuid.UUID(int=ids.getrandbits(128), version=4).hex}"
        exchanges.append(
            Exchange(
                id=name, loop=loop.name, version=production, user=keyed_user(hashed_user(sender.user), secret), prompt=utterance.text,
                messages=json.dumps([{"role": "user", "content": utterance.text}]), answer=answer, status=200, at=at,
                latency_ms=0.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
            )
        )  # fmt: skip
        reaction = sender.react(utterance, answer, CORRECTED if drifted else 0.0, said.others if drifted else ())
        if reaction:
            corrections += reaction.correction is not None
            wrong += reaction.mistaken
            feedback.append(Feedback(name, at + 0.5, reaction.rating, reaction.correction))
    log.append(exchanges)
    for each in feedback:
        log.add_feedback(each)
    return corrections, wrong


def _answers(
    instance: dg.DagsterInstance, production: str, home: Home, loop: LoopConfig, talk: Sequence[Utterance], made: dict[str, Any]
) -> list[str]:
    """Production's greedy answers. Raises RehearsalFailed."""
    import pyarrow.parquet as pq

    work = home.work / "talk"
    work.mkdir(parents=True)
    prompts, output = work / "prompts.jsonl", work / "answers.parquet"
    prompts.write_text(to_jsonl(Prompt(id=str(n), messages=question(each.text)) for n, each in enumerate(talk)))
    ask = Ask(model=version_folder(artifacts(home), production) / MERGED, prompts_file=prompts, output=output)
    job = AnswerJob(system_prompt=loop.task.system_prompt, max_tokens=loop.task.max_tokens, asks=[ask], work=work)

    @dg.op
    def answer(context: dg.OpExecutionContext, evaluator: dg.ResourceParam[Evaluator]) -> None:
        evaluator.answer(job, context)

    @dg.job(resource_defs={"evaluator": made["evaluator"]}, executor_def=dg.in_process_executor)
    def talking() -> None:
        answer()

    if not talking.execute_in_process(instance=instance, raise_on_error=False).success:
        raise RehearsalFailed("production did not answer: its error is in the log above")
    return [row["answer"] for row in pq.read_table(output).to_pylist()]


def _resources(home: Home, production: str | None, parts: dict[str, Any] | None) -> dict[str, Any]:
    return {**resources(home), "serving": _Deployed(production), **(parts or {})}


def _materialize(instance: dg.DagsterInstance, loop: LoopConfig, made: dict[str, Any]) -> None:
    """Materialize dataset to report in this process. A refused gate ends the run after the report, which is what is asked for."""
    job = dg.define_asset_job("rehearsal", selection=dg.AssetSelection.assets(*(node(loop.name, name) for name in NODES)))
    definitions = dg.Definitions.merge(build_loop(loop), dg.Definitions(resources=made, executor=dg.in_process_executor, jobs=[job]))
    done = definitions.resolve_job_def("rehearsal").execute_in_process(instance=instance, raise_on_error=False)
    for name in NODES:
        if newest(instance, node(loop.name, name)) is None:
            raise RehearsalFailed(f"{name} was not materialized in run {done.run_id}: its error is in the log above")


def _event(instance: dg.DagsterInstance, loop: LoopConfig, name: str) -> dg.AssetMaterialization:
    event = newest(instance, node(loop.name, name))
    assert event is not None
    return event


def _number(event: dg.AssetMaterialization, name: str) -> int:
    return int(metadata_value(event, name))  # type: ignore[call-overload]


def _share(report: EvalReport, role: str, name: str) -> float:
    rows = in_slice(report.scores[role], name)
    return sum(row.exact for row in rows) / len(rows)
