"""The decisions that count against a loop's error budget: one document a loop, which is never begun anew without a person's word."""

import time
from contextlib import suppress

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_report, report_digests
from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import reports_of_releases
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import canonical_json
from ftassets.domain.formats import NewerFormat
from ftassets.domain.gates.error_budget import KEPT, Ledger, Spending, Start, evidence_key, wanted_level
from ftassets.domain.gates.report import EvalReport
from ftassets.errors import StateDamaged, in_one_line

FOLDER, REPLACED = "budgets", "replaced"


class BudgetDamaged(StateDamaged):
    """The decisions that count against an error budget are lost or cannot be read."""


def read_ledger(artifacts: Artifacts, control: Control, loop: str) -> Ledger:
    """A loop's decisions; empty before the first one. Raises BudgetDamaged, also when reports or releases know of more; OSError."""
    return _known(control.read(_key(loop)), artifacts, control, loop)


def within_budget(artifacts: Artifacts, control: Control, loop: LoopConfig, report: EvalReport, now: float) -> EvalReport:
    """The report with the level of its decision, which is on disk before anybody reads a verdict; unchanged without a budget.

    It also counts the uses of its golden set that left no report in Dagster's history, as those of the gate service.

    Two reports at once each see what the other took. Raises BudgetDamaged, OSError; nothing is taken then.
    """
    per_year = loop.release.bad_promotions_a_year
    if per_year is None:
        return report
    evidence = evidence_key(report, loop.gates)
    found: list[Ledger] = []

    def change(content: bytes | None) -> bytes | None:
        known = _known(content, artifacts, control, loop.name)
        made = known.with_decision(per_year, wanted_level(loop.gates), evidence, report.candidate, report.golden_commit, now)
        found.append(made)
        return None if made is known else canonical_json(made.document())

    control.update(_key(loop.name), change)
    uses = found[-1].candidates_on(report.golden_commit)
    return report.model_copy(update={"error_budget": found[-1].spending(per_year, evidence), "golden_uses": max(uses, report.golden_uses)})


def start_ledger(artifacts: Artifacts, control: Control, loop: str, by: str, reason: str, now: float) -> Ledger:
    """Begin a loop's ledger anew, with a full budget, and record who did it and why; what was there is kept as it is. Raises OSError.

    Earlier starts stay in it as far as they can be read.
    """
    made: list[Ledger] = []

    def change(content: bytes | None) -> bytes:
        earlier: tuple[Start, ...] = ()
        if content is not None:
            control.write(f"{FOLDER}/{REPLACED}/{time.time_ns()}-{loop}.json", content)
            with suppress(ValueError):  # that it cannot be read may be why there is a new one
                earlier = Ledger.parse(content).starts
        newest = next(iter(report_digests(artifacts, loop, "eval")), None)
        made.append(Ledger(decisions=(), starts=(*earlier, Start(at=now, by=by, reason=reason, report=newest))))
        return canonical_json(made[-1].document())

    control.update(_key(loop), change)
    return made[-1]


def _known(content: bytes | None, artifacts: Artifacts, control: Control, loop: str) -> Ledger:
    where = control.uri(_key(loop))
    ledger = Ledger(decisions=()) if content is None else _parsed(content, where, loop)
    if why := _older_than(ledger, artifacts, control, loop):
        raise BudgetDamaged(f"{where} {'is gone' if content is None else 'lacks decisions'}: {why}. {_remedy(loop)}")
    return ledger


def _parsed(content: bytes, where: str, loop: str) -> Ledger:
    try:
        return Ledger.parse(content)
    except NewerFormat as error:
        raise BudgetDamaged(f"{where} cannot be read: {error}") from error
    except ValueError as error:
        raise BudgetDamaged(f"{where} cannot be read ({in_one_line(error)}). {_remedy(loop)}") from error


def _remedy(loop: str) -> str:
    return f"Restore it from a backup, or begin with a full error budget: ftassets start-budget {loop} --reason TEXT"


def _older_than(ledger: Ledger, artifacts: Artifacts, control: Control, loop: str) -> str | None:
    """What is known of a decision that the ledger does not have; None if nothing is.

    A ledger without decisions is compared with all reports and releases, any other one with the newest report: each decision is in the
    ledger before its report is stored.
    """
    digests = report_digests(artifacts, loop, "eval")
    if not ledger.decisions and not ledger.starts:
        return _counted(digests, artifacts, control, loop)
    started_after = {start.report for start in ledger.starts}
    if not digests or digests[0] in started_after or len(ledger.decisions) > KEPT:  # older decisions may be left out
        return None
    try:
        spending = _spending(artifacts, loop, digests[0])
    except ReportDamaged:
        return None
    if spending and (spending.level, spending.left) not in {(each.level, each.left) for each in ledger.decisions}:
        return f"it does not have that of the newest report, {digests[0][:12]}"
    return None


def _counted(digests: list[str], artifacts: Artifacts, control: Control, loop: str) -> str | None:
    """What says that a decision of this loop was counted before."""
    for digest in digests:
        try:
            if _spending(artifacts, loop, digest):
                return f"the decision of report {digest[:12]} was counted"
        except ReportDamaged:
            return f"the decision of report {digest[:12]}, which cannot be read, may have been counted"
    for version, digest in reports_of_releases(control, loop):
        if digest not in digests:
            return f"version {version[:12]} was released on report {digest[:12]}, which is gone too"
    return None


def _spending(artifacts: Artifacts, loop: str, digest: str) -> Spending | None:
    """What the decision of a report took, None if it was not counted. Raises ReportDamaged, ValueError."""
    spending = read_report(artifacts, loop, "eval", digest)["error_budget"]
    return Spending.model_validate(spending) if spending else None


def _key(loop: str) -> str:
    return f"{FOLDER}/{loop}.json"
