"""What a loop's gates say of a stored eval report, which gates a report was made for, where it is, and how long a monitor's stays."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import report_digests, report_key, store_report
from ftassets.backends.control.base import Control
from ftassets.backends.control.reviews import read_review
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import digest_of
from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.gates.decision import GateDecision
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult
from ftassets.domain.report_kinds import Name

KEPT = 1000  # of a monitor's reports of one kind, the newest: years of daily ones, six weeks of hourly ones
DRIFT_REPORT = "ftassets/drift_report"  # run tag: the report that a retrain was started on


def keep_report(instance: dg.DagsterInstance, artifacts: Artifacts, loop: str, kind: Name, report: Mapping[str, Any]) -> str:
    """Store a monitor's report; its digest. Of older ones `KEPT` stay, and those on which a retrain was started.

    A monitor reads its newest report alone, which has all that its next one needs. Raises ArtifactConflict.
    """
    digest = store_report(artifacts, loop, kind, report)
    if old := report_digests(artifacts, loop, kind)[KEPT:]:
        runs = instance.get_runs(dg.RunsFilter(tags={DRIFT_REPORT: old})) if kind == "drift" else []
        for each in set(old) - {run.tags[DRIFT_REPORT] for run in runs} - {digest}:
            artifacts.remove(report_key(loop, kind, each))
    return digest


def place(key: str, digest: str) -> str:
    """Where an artifact is below the home or the bucket, its digest cut to 12 characters and a star: a shell still finds it."""
    return key.replace(digest, f"{digest[:12]}*")


def policy_digest(loop: LoopConfig) -> str:
    """Digest of the gates a report was made for and of what they rest on: task, judge, further sets.

    Another policy needs another report.
    """
    return digest_of(_policy(loop))


def same_policy(loop: LoopConfig, report: EvalReport) -> bool:
    """Whether a report was made for the gates the loop has now, and what they rest on."""
    return is_policy_of(loop, report.policy_digest)


def is_policy_of(loop: LoopConfig, digest: str) -> bool:
    """Whether it is the digest of the gates the loop has now, in this release or an earlier one."""
    return digest in (policy_digest(loop), _policy_digest_1(loop))


def _policy(loop: LoopConfig) -> dict[str, Any]:
    # a field that older loop files lack counts once it is set: their reports stay valid
    unused = {"temperature", "max_tokens"} | {name for name in ("labels", "costs", "call_schema") if getattr(loop.task, name) is None}
    unused |= {"calls"} if loop.task.calls == "one" else set()
    return {
        "gates": [_gate(gate) for gate in loop.gates],
        "llm_judge": loop.llm_judge and loop.llm_judge.model_dump(mode="json", exclude={"url", "api_key_env", "labels"}),
        "sets": [each.model_dump(mode="json", exclude={"file"}) for each in loop.sets],
        "task": loop.task.model_dump(mode="json", exclude=unused),
        **({"golden_turns": loop.golden_turns} if loop.golden_turns != "last" else {}),
    }


def _gate(gate: Gate) -> dict[str, Any]:
    document = gate.model_dump(exclude={name for name in ("clip", "label", "labels") if not getattr(gate, name)})
    if all(each.kind.counts != "pairs" for each in single_gates([gate])):
        document["pairs"] = 150  # means nothing here, and was the default of earlier releases: their reports stay valid
    return document | {"any_of": [_gate(each) for each in gate.any_of]}


def _policy_digest_1(loop: LoopConfig) -> str:
    """What `policy_digest` was in eval reports of format 1, which called the LLM judge a judge."""
    policy = _policy(loop)
    judge = policy.pop("llm_judge")
    return digest_of({**policy, "judge": judge, "gates": [_with_judge(gate) for gate in policy["gates"]]})


def _with_judge(gate: dict[str, Any]) -> dict[str, Any]:
    metric = "judge" if gate["metric"] == "llm_judge" else gate["metric"]
    return gate | {"metric": metric, "any_of": [_with_judge(each) for each in gate["any_of"]]}


def keep_decision(
    artifacts: Artifacts, loop: LoopConfig, report: EvalReport, digest: str, review: Review | None, results: Sequence[GateResult], at: float
) -> None:
    """Store verdicts on a report, made at `at` (epoch seconds), with all they follow from. A policy that is not the report's has none."""
    if policy_digest(loop) == report.policy_digest:
        reviews = len(review.given) if review else 0
        made = GateDecision(loop=loop.name, report=digest, at=at, reviews=reviews, policy=_policy(loop), results=tuple(results))
        store_report(artifacts, loop.name, "gates", made.document())


def verdicts(control: Control, loop: LoopConfig, report: EvalReport, digest: str) -> list[GateResult]:
    """What the loop's gates say of a report now, with the reviews of its sample. Raises ReviewDamaged."""
    return evaluate_gates(loop.gates, report, read_review(control, loop.name, digest))
