"""A sample of the candidate's answers goes out to people, and what they say comes back."""

import re
from dataclasses import dataclass

import dagster as dg

from ftassets.assets._shared.dataset_files import scored_golden
from ftassets.assets._shared.events import node, required
from ftassets.assets.eval_report.rows import read_answers
from ftassets.backends.artifacts.answers import answers_file
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import read_eval_report
from ftassets.backends.control.base import Control
from ftassets.backends.control.reviews import add_review
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.human_review import Given, ReviewRow, parse_csv, to_csv
from ftassets.domain.evaluation.llm_judge import pair_to_label
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.human_review import progress_of, review_sample
from ftassets.domain.gates.independent_units import one_of_each
from ftassets.domain.gates.llm_judge import llm_judge_sample
from ftassets.domain.gates.policy import at_its_level
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets.domain.scripts import MARKS
from ftassets.errors import InvalidInput

_NAME = re.compile(rf"\w[\w{MARKS} .@+-]{{0,63}}")


@dataclass(frozen=True)
class Exported:
    """What people are to fill in, as text: a sample to review as CSV, or pairs of answers as JSON lines."""

    report: str
    rows: int
    text: str


@dataclass(frozen=True)
class Imported:
    """What one file brought, and how far the sample of `rows` answers is reviewed now.

    `gates`: name of each human_review gate -> whether its reviewers may stop, or what would decide.
    """

    report: str
    taken: int
    rows: int
    reviewed: int
    good: int
    decided: bool
    gates: dict[str, str]


def export(instance: dg.DagsterInstance, dataset_store: DatasetStore, artifacts: Artifacts, loop: LoopConfig) -> Exported:
    """The sample of the newest eval report with the candidate's answers. Raises InvalidInput, DatasetError, ReportDamaged, dg.Failure."""
    digest, report = _newest(instance, artifacts, loop)
    names = _sample(loop, report, digest)
    golden = _golden(dataset_store, loop, report)
    if outside := [name for name in names if name not in golden]:
        raise InvalidInput(f"{outside[0]} is not a golden row: human_review takes slices of the golden set only")
    said = read_answers([answers_file(artifacts, report.answers["candidate"][0])])  # the golden rows
    if absent := [name for name in names if name not in said]:
        raise InvalidInput(f"the candidate's answer to {absent[0]} is not there any more: materialize eval_report again")
    rows = [ReviewRow(name, golden[name].prompt, golden[name].completion, said[name]) for name in names]
    return Exported(digest, len(rows), to_csv(digest, rows))


def pairs(instance: dg.DagsterInstance, dataset_store: DatasetStore, artifacts: Artifacts, loop: LoopConfig) -> Exported:
    """The candidate's and production's answers that differ, of the newest eval report's llm_judge gates, as lines for the labels file.

    In the order in which labels count, which answer is the first one being chance. Raises InvalidInput, DatasetError, ReportDamaged,
    dg.Failure.
    """
    gates = [gate for gate in single_gates(loop.gates) if gate.metric == "llm_judge"]
    if not gates:
        raise InvalidInput(f"{loop.name} compares no answers: it has no llm_judge gate")
    digest = required(instance, node(loop.name, "eval_report"))
    report = read_eval_report(artifacts, loop.name, digest)
    golden = _golden(dataset_store, loop, report)
    said = {role: read_answers([answers_file(artifacts, report.answers[role][0])]) for role in ("candidate", "production")}
    sampled = (llm_judge_sample(gate, [each.id for each in one_of_each(report.rows("candidate", gate.slice))]) for gate in gates)
    names = list(dict.fromkeys(name for sample in sampled for name in sample))
    if absent := [name for name in names if name not in golden or any(name not in answers for answers in said.values())]:
        raise InvalidInput(f"row {absent[0]} or an answer to it is not there any more: materialize eval_report again")
    lines = [
        pair_to_label(f"{name}-{digest[:8]}", golden[name], golden[name].slice, said["candidate"][name], said["production"][name])
        for name in names
        if said["candidate"][name] != said["production"][name]
    ]
    return Exported(digest, len(lines), "".join(f"{line}\n" for line in lines))


def take(
    instance: dg.DagsterInstance, artifacts: Artifacts, control: Control, loop: LoopConfig, text: str, name: str, at: float
) -> Imported:
    """Store the review by `name`, at `at` (epoch seconds), of the newest eval report's sample.

    Raises ReviewRefused on a bad file, InvalidInput on a bad name or a loop without a human_review gate, dg.Failure without a report,
    ReportDamaged, ReviewDamaged.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name[:80]!r} is not a name: use letters, digits, spaces and . @ + - _, at most 64")
    digest, report = _newest(instance, artifacts, loop)
    sample = _sample(loop, report, digest)
    verdicts = parse_csv(text, digest, sample)
    review = add_review(control, loop.name, digest, report.run_id, Given(by=name, at=at, verdicts=verdicts))
    said = review.good
    good = [said[row] for row in sample if row in said]
    found = {gate.name: progress_of(at_its_level(gate, report), review_sample(gate, report, digest), said) for gate in _gates(loop)}
    decided = all(each.verdict is not Verdict.NOT_ENOUGH_DATA or each.more_good is None for each in found.values())
    gates = {name: each.sentence for name, each in found.items()}
    return Imported(digest, len(verdicts), len(sample), len(good), sum(good), decided, gates)


def _golden(dataset_store: DatasetStore, loop: LoopConfig, report: EvalReport) -> dict[str, Example]:
    return {row.id: row for row in scored_golden(dataset_store, report.golden_commit, loop)}


def _newest(instance: dg.DagsterInstance, artifacts: Artifacts, loop: LoopConfig) -> tuple[str, EvalReport]:
    if not _gates(loop):
        raise InvalidInput(f"{loop.name} asks no person: it has no human_review gate")
    digest = required(instance, node(loop.name, "eval_report"))
    return digest, read_eval_report(artifacts, loop.name, digest)


def _sample(loop: LoopConfig, report: EvalReport, digest: str) -> list[str]:
    """Rows of all human_review gates, each once."""
    return list(dict.fromkeys(name for gate in _gates(loop) for name in review_sample(gate, report, digest)))


def _gates(loop: LoopConfig) -> list[Gate]:
    return [gate for gate in loop.gates if gate.metric == "human_review"]
