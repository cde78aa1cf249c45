"""How often a loop may promote a bad candidate in a year, and the level that leaves for the gates of each decision.

A decision is one candidate against one production on one golden set. Its level is the largest chance that a candidate of which one
gate's claim is false passes them all (`policy.py` says why). Expected bad promotions of a year are at most the sum of the levels, however
decisions depend on each other. The budget is a bucket: what a year allows flows in evenly, a part of it can be saved up, and each decision
takes a part of what is there. Levels follow from the times of decisions alone, never from their outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ftassets.domain.canonical import digest_of
from ftassets.domain.formats import Stored
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.power import POWER

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate
    from ftassets.domain.gates.report import EvalReport

DAY = 86400.0  # seconds
YEAR = 365 * DAY
# Chosen by simulation of 6 to 120 decisions a year, see docs/decisions/0017-a-year-of-decisions.md
SAVED = 0.2  # share of a year's budget that can be saved up; the rest of it flows in over the year
PART = 1 / 3  # of what is there, for one decision
LEAST = 1e-9  # level, at which bounds can still be computed
_FIGURES = 3  # of a level
_FIRST_RULE = 3  # of gates: earlier releases had no error budget
# fields of a report that gates do not see, and what parity tells of time
_NO_EVIDENCE: dict[str, bool | set[str]] = {
    **dict.fromkeys(("run_id", "golden_uses", "gate_rule", "error_budget", "ttft_ms", "answers", "row_scores", "answers_digests"), True),
    "metrics": True,
    "second_answers": True,
    "parity": {"adapter_ms", "merged_ms"},
}


class Spending(BaseModel):
    """What one decision took from the budget, as its report keeps it.

    `per_year` is the policy's; `level` what this decision took, `left` what is there after it; `spent` and `decisions` are of the 365
    days up to it, itself included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_year: float
    level: float
    left: float
    spent: float
    decisions: int

    def outlook(self, wanted: float) -> "Outlook":
        """The budget after the decision, of whose gates `wanted` is the level they ask for."""
        return Outlook(self.per_year, wanted, self.level, self.left, self.spent, self.decisions)


class Decision(BaseModel):
    """One decision, as the ledger keeps it: what it was about, when (epoch seconds), its level, and what was left after it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    candidate: str
    golden_commit: str
    at: float = Field(ge=0, allow_inf_nan=False)
    level: float = Field(gt=0, le=1)
    left: float = Field(ge=0, allow_inf_nan=False)


class Ledger(Stored):
    """A loop's decisions of the last 365 days, oldest first, and the newest one however old it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "error_budget"

    decisions: tuple[Decision, ...]

    def with_decision(self, per_year: float, wanted: float, key: str, candidate: str, golden_commit: str, now: float) -> "Ledger":
        """The ledger after a decision at `now`. One on the same evidence is the same decision: it is not taken twice.

        If the clock was set back, nothing has flowed in, and what flows in counts from the new time on.
        """
        if self.find(key, now):
            return self
        level, left = next_level(per_year, wanted, self.left(per_year, now))
        made = Decision(key=key, candidate=candidate, golden_commit=golden_commit, at=now, level=level, left=left)
        return Ledger(decisions=(*self.since(now - YEAR), made))

    def find(self, key: str, now: float) -> Decision | None:
        """The decision of the last 365 days on this evidence."""
        return next((each for each in self.since(now - YEAR) if each.key == key), None)

    def candidates_on(self, golden_commit: str) -> int:
        """Candidates evaluated on this commit of the golden set."""
        return len({each.candidate for each in self.decisions if each.golden_commit == golden_commit})

    def since(self, at: float) -> tuple[Decision, ...]:
        """Decisions after a time."""
        return tuple(each for each in self.decisions if each.at > at)

    def left(self, per_year: float, now: float) -> float:
        """What is in the budget at a time from the newest decision on; all that can be saved up before the first one."""
        full = SAVED * per_year
        if not self.decisions:
            return full
        last = self.decisions[-1]
        return min(full, last.left + inflow(per_year) * max(now - last.at, 0.0))

    def spending(self, per_year: float, key: str) -> Spending:
        """What the decision with this key took, with the 365 days up to it. Raises KeyError without one.

        After the budget was lowered, the verdict is at no more than a decision may have now.
        """
        found = next((each for each in reversed(self.decisions) if each.key == key), None)
        if found is None:
            raise KeyError(key)
        year = [each for each in self.decisions if found.at - YEAR < each.at <= found.at]
        level = min(found.level, most_level(per_year))
        return Spending(per_year=per_year, level=level, left=found.left, spent=sum(each.level for each in year), decisions=len(year))


@dataclass(frozen=True)
class Outlook:
    """The budget at one time: the `level` of a decision, what is `left`, and what the decisions of the last 365 days `spent`.

    `full_in` is in days: when a decision may have the level the gates want again, if none comes before; None when never.
    """

    per_year: float
    wanted: float
    level: float
    left: float
    spent: float
    decisions: int

    @property
    def full_in(self) -> float | None:
        enough = self.wanted / PART
        if enough > SAVED * self.per_year:
            return None
        return max(enough - self.left, 0.0) / inflow(self.per_year) / DAY

    @property
    def sentence(self) -> str:
        """All of it in words."""
        text = (
            f"level {self.level:.3g}; {self.decisions} decision{'' if self.decisions == 1 else 's'} in 365 days spent {self.spent:.3g} of "
            f"{bad_promotions(self.per_year)}, {self.left:.3g} can be spent now"
        )
        if self.level < _rounded(self.wanted):
            text += f"; for the same power a level of {self.level:.3g} takes {more_rows(self.level, self.wanted):.1f} times the rows of "
            text += f"{self.wanted:.3g}, which the gates ask for"
        if self.full_in is None:
            return f"{text}; the budget is too small for that level"
        return text + (f"; that level is back in {self.full_in:.0f} days without a decision" if self.full_in > 1 else "")


def outlook(ledger: Ledger, per_year: float, wanted: float, now: float) -> Outlook:
    """The budget before the next decision."""
    left, year = ledger.left(per_year, now), ledger.since(now - YEAR)
    level = next_level(per_year, wanted, left)[0]
    return Outlook(per_year, wanted, level, left, sum(each.level for each in year), len(year))


def more_rows(level: float, wanted: float) -> float:
    """How many times the rows a gate needs at a lower level for the same power, by the normal approximation."""
    from scipy.special import ndtri

    return float(((ndtri(1 - level) + ndtri(POWER)) / (ndtri(1 - wanted) + ndtri(POWER))) ** 2)


def inflow(per_year: float) -> float:
    """What flows into the budget in a second. In 365 days that is what a year allows, less what may have been saved up before."""
    return (1 - SAVED) * per_year / YEAR


def next_level(per_year: float, wanted: float, left: float) -> tuple[float, float]:
    """Level of a decision, and what is left after it: what the gates ask for, or the part it may take, rounded down.

    At most `SAVED` of a year's budget can be there, and the rest flows in within 365 days: the levels of any 365 days have at most
    `per_year` as their sum, but for the `LEAST` that a decision has in any case.
    """
    level = _rounded(min(wanted, max(PART * min(left, SAVED * per_year), LEAST)))
    return level, max(left - level, 0.0)


def most_level(per_year: float) -> float:
    """The largest level that any decision may have."""
    return _rounded(PART * SAVED * per_year)


def steady_level(per_year: float, wanted: float, decisions: float) -> float:
    """Level of each of so many decisions a year at even distances, once the budget has settled."""
    return _rounded(min(wanted, PART * SAVED * per_year, (1 - SAVED) * per_year / decisions))


def wanted_level(gates: "Sequence[Gate]") -> float:
    """The level a policy's gates ask for: that of the least strict one, for which a bad candidate is most likely to pass all."""
    return max(1 - gate.confidence for gate in gates)


def at_level(gate: "Gate", level: float) -> "Gate":
    """The gate at this level if it asks for a higher one. any_of and presets hand their confidence on to what they are made of."""
    confidence = max(gate.confidence, 1 - level)
    return gate if confidence == gate.confidence else gate.model_copy(update={"confidence": confidence})


def counted(report: "EvalReport", per_year: float | None) -> bool:
    """Whether a report's decision was counted against this budget, or a smaller one; true where there was none when it was made."""
    if per_year is None:
        return True
    if report.error_budget is None:
        return report.gate_rule < _FIRST_RULE
    return report.error_budget.per_year <= per_year


def bad_promotions(per_year: float) -> str:
    """A budget in words."""
    return f"{per_year:g} bad promotion{'' if per_year == 1 else 's'}"


def evidence_key(report: "EvalReport", gates: "Sequence[Gate]") -> str:
    """What a decision is about: versions, rows and all that the gates see of them. A new measurement is another decision.

    Left out is what differs from run to run without being evidence. A human review is of a sample that each report draws anew.
    """
    document = report.model_dump(mode="json", exclude=_NO_EVIDENCE)
    document["scores"] = {role: document["scores"].get(role) for role in ("candidate", "production")}
    if any(gate.metric == "human_review" for gate in single_gates(gates)):
        document["run_id"] = report.run_id
    return digest_of(document)


def _rounded(level: float) -> float:
    """Down to three figures, so that a report can say it whole."""
    step = 10.0 ** (floor(log10(level)) - _FIGURES + 1)
    return float(f"{floor(level / step + 1e-9) * step:.{_FIGURES}g}")
