"""Eval reports on disk: written under their digest, read only while they have it."""

import json

import dagster as dg

from ftassets.assets._shared.human_review import read_review
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import canonical_json, digest_of
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult


def policy_digest(loop: LoopConfig) -> str:
    """Digest of the gates a report was made for and of what they rest on: task, judge, further sets.

    Another policy needs another report.
    """
    return digest_of(
        {
            "gates": [gate.model_dump() for gate in loop.gates],
            "llm_judge": loop.llm_judge and loop.llm_judge.model_dump(mode="json", exclude={"url", "api_key_env", "labels"}),
            "sets": [each.model_dump(mode="json", exclude={"file"}) for each in loop.sets],
            "task": loop.task.model_dump(mode="json", exclude={"temperature", "max_tokens"}),
        }
    )


def store_report(home: Home, report: EvalReport) -> str:
    """Write a report under the digest of its bytes, which is returned."""
    content = canonical_json(report.model_dump(mode="json"))
    digest = digest_of(json.loads(content))
    folder = home.reports / report.loop
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"eval-{digest}.json").write_bytes(content)
    return digest


def read_report(home: Home, loop: LoopConfig, digest: str) -> EvalReport:
    """A stored report whose bytes still have the digest. Raises dg.Failure."""
    path = home.reports / loop.name / f"eval-{digest}.json"
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise dg.Failure(f"the report {digest[:12]} cannot be read: {error}; materialize eval_report again", allow_retries=False) from error
    if digest_of(content) != digest:
        raise dg.Failure(f"the report {digest[:12]} was changed after it was written; materialize eval_report again", allow_retries=False)
    return EvalReport.model_validate(content)


def verdicts(home: Home, loop: LoopConfig, report: EvalReport, digest: str) -> list[GateResult]:
    """What the loop's gates say of a report now, with what people have said of its sample."""
    return evaluate_gates(loop.gates, report, read_review(home, loop.name, digest))
