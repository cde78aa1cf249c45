"""The decisions that count against a loop's error budget: one document a loop, of the last 365 days."""

from ftassets.backends.control.base import Control
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import canonical_json
from ftassets.domain.formats import NewerFormat
from ftassets.domain.gates.error_budget import Ledger, evidence_key, wanted_level
from ftassets.domain.gates.report import EvalReport
from ftassets.errors import StateDamaged, in_one_line

FOLDER = "budgets"


class BudgetDamaged(StateDamaged):
    """The decisions that count against an error budget cannot be read."""


def read_ledger(control: Control, loop: str) -> Ledger:
    """A loop's decisions; empty before the first one. Raises BudgetDamaged, OSError."""
    key = _key(loop)
    return _parsed(control.read(key), control.uri(key))


def within_budget(control: Control, loop: LoopConfig, report: EvalReport, now: float) -> EvalReport:
    """The report with the level of its decision, which is on disk before anybody reads a verdict; unchanged without a budget.

    It also counts the uses of its golden set that left no report in Dagster's history, as those of the gate service.

    Two reports at once each see what the other took. Raises BudgetDamaged, OSError; nothing is taken then.
    """
    per_year = loop.release.bad_promotions_a_year
    if per_year is None:
        return report
    key, evidence = _key(loop.name), evidence_key(report, loop.gates)
    found: list[Ledger] = []

    def change(content: bytes | None) -> bytes | None:
        known = _parsed(content, control.uri(key))
        made = known.with_decision(per_year, wanted_level(loop.gates), evidence, report.candidate, report.golden_commit, now)
        found.append(made)
        return None if made is known else canonical_json(made.document())

    control.update(key, change)
    uses = found[-1].candidates_on(report.golden_commit)
    return report.model_copy(update={"error_budget": found[-1].spending(per_year, evidence), "golden_uses": max(uses, report.golden_uses)})


def _parsed(content: bytes | None, where: str) -> Ledger:
    if content is None:
        return Ledger(decisions=())
    try:
        return Ledger.parse(content)
    except NewerFormat as error:
        raise BudgetDamaged(f"{where} cannot be read: {error}") from error
    except ValueError as error:
        raise BudgetDamaged(
            f"{where} cannot be read: restore it from a backup. Without it the loop's error budget is full again ({in_one_line(error)})"
        ) from error


def _key(loop: str) -> str:
    return f"{FOLDER}/{loop}.json"
