"""How often a loop may promote a bad candidate in a year, and the level that leaves for the gates of each decision.

A decision is one candidate against one production on one golden set. Its level is the largest chance that a candidate of which one
gate's claim is false passes them all (`policy.py` says why). Expected bad promotions of a year are at most the sum of the levels, however
decisions depend on each other. The budget is a bucket: what a year allows flows in evenly, a part of it can be saved up, and each decision
takes a part of what is there. Levels follow from the times of decisions alone, never from their outcome.

Each decision is counted as a share of the budget it was made at. So a budget that is lowered and raised gives nothing: the shares of any
365 days add up to no more than one, and the levels of decisions made at a budget or a lower one to no more than that budget.
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
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate
    from ftassets.domain.gates.report import EvalReport

DAY = 86400.0  # seconds
YEAR = 365 * DAY
# Chosen by simulation of 6 to 120 decisions a year, see docs/decisions/0017-a-year-of-decisions.md
SAVED = 0.2  # share of a year's budget that can be saved up; the rest of it flows in over the year
PART = 1 / 3  # of what is there, for one decision
LEAST = 1e-9  # level, at which bounds can still be computed
KEPT = 200  # decisions that a ledger keeps however old they are: a clock that is set back makes them new again
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
    days up to it, itself included. A decision made at another budget spent the same share of this one.
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
    """One decision, as the ledger keeps it: what it was about, when (epoch seconds), and at which budget a year.

    `level` is what it took, `left` what was there after it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    candidate: str
    golden_commit: str
    at: float = Field(ge=0, allow_inf_nan=False)
    level: float = Field(gt=0, le=1)
    left: float = Field(ge=0, allow_inf_nan=False)
    per_year: float = Field(gt=0, allow_inf_nan=False)

    @property
    def share(self) -> float:
        """What it took of a year's budget."""
        return self.level / self.per_year


class Start(BaseModel):
    """A ledger that a person began because the one before was lost: when (epoch seconds), who, and why.

    `report` is the digest of the newest eval report there was, whose decision the new ledger does not know; None without one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: float = Field(ge=0, allow_inf_nan=False)
    by: str
    reason: str
    report: str | None


class Ledger(Stored):
    """A loop's decisions in the order in which they were made: those that count now, and the newest `KEPT` however old they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "error_budget"

    decisions: tuple[Decision, ...]
    starts: tuple[Start, ...] = ()

    def with_decision(self, per_year: float, wanted: float, key: str, candidate: str, golden_commit: str, now: float) -> "Ledger":
        """The ledger after a decision at `now`. One on the same evidence is the same decision: it is not taken twice.

        It is another one if the budget was lowered since: at no higher level than before, and taken from the lower budget.
        """
        earlier = [each for each in self.counted(now) if each.key == key]
        if any(each.per_year <= per_year for each in earlier):
            return self
        level, left = next_level(per_year, min([wanted, *(each.level for each in earlier)]), self.left(per_year, now))
        made = Decision(key=key, candidate=candidate, golden_commit=golden_commit, at=now, level=level, left=left, per_year=per_year)
        newest = len(self.decisions) - KEPT
        kept = [each for number, (each, date) in enumerate(self.dated(now)) if number >= newest or date > now - YEAR]
        return self.model_copy(update={"decisions": (*kept, made)})

    def dated(self, now: float) -> list[tuple[Decision, float]]:
        """The decisions, each with the latest time at which it may have been made.

        When the clock was set back from a time, the decisions before that may have been made as late as that time.
        """
        found = []
        after, latest = now, float("-inf")
        for each in reversed(self.decisions):
            latest = max(latest, each.at) if each.at > after else latest
            found.append((each, max(each.at, latest)))
            after = each.at
        return found[::-1]

    def counted(self, now: float) -> list[Decision]:
        """The decisions of the 365 days up to `now`, and those of which the clock does not say that they are older."""
        return [each for each, date in self.dated(now) if date > now - YEAR]

    def candidates_on(self, golden_commit: str) -> int:
        """Candidates evaluated on this commit of the golden set."""
        return len({each.candidate for each in self.decisions if each.golden_commit == golden_commit})

    def left(self, per_year: float, now: float) -> float:
        """What is in the budget at a time; all that can be saved up before the first decision.

        If the clock was set back, nothing has flowed in, and what flows in counts from the new time on.
        """
        full = SAVED * per_year
        if not self.decisions:
            return full
        last = self.decisions[-1]
        saved = min(full, last.left * (per_year / last.per_year) + inflow(per_year) * max(now - last.at, 0.0))
        rest = per_year * (1 - sum(each.share for each in self.counted(now)))  # less than is saved only if the clock was set back
        return max(min(saved, rest), 0.0)

    def spending(self, per_year: float, key: str) -> Spending:
        """What the newest decision with this key took that was made at this budget or a lower one. Raises KeyError without one."""
        places = [n for n, each in enumerate(self.decisions) if each.key == key and each.per_year <= per_year]
        if not places:
            raise KeyError(key)
        found = self.decisions[places[-1]]
        year = Ledger(decisions=self.decisions[: places[-1] + 1]).counted(found.at)
        spent = per_year * sum(each.share for each in year)
        return Spending(per_year=per_year, level=found.level, left=found.left, spent=spent, decisions=len(year))


@dataclass(frozen=True)
class Outlook:
    """The budget at one time: the `level` of a decision, what is `left`, and what the decisions of the last 365 days `spent`.

    `clock` are the days that the clock was set back by, if decisions therefore count as newer than they say. `full_in` is in days: when
    a decision may have the level the gates want again, if none comes before; None when never, or unknown because of the clock.
    """

    per_year: float
    wanted: float
    level: float
    left: float
    spent: float
    decisions: int
    clock: float = 0.0

    @property
    def full_in(self) -> float | None:
        enough = self.wanted / PART
        if enough > SAVED * self.per_year or self.clock:
            return None
        return max(enough - self.left, 0.0) / inflow(self.per_year) / DAY

    @property
    def sentence(self) -> str:
        """All of it in words."""
        text = (
            f"level {self.level:.3g}; {amount(self.decisions, 'decision')} in 365 days spent {self.spent:.3g} of "
            f"{bad_promotions(self.per_year)}, {self.left:.3g} can be spent now"
        )
        if self.level < _rounded(self.wanted):
            text += f"; for the same power a level of {self.level:.3g} takes {more_rows(self.level, self.wanted):.1f} times the rows of "
            text += f"{self.wanted:.3g}, which the gates ask for"
        if self.clock:
            return f"{text}; the clock was set back by {self.clock:.0f} days, so that decisions from before count for as much longer"
        if self.full_in is None:
            return f"{text}; the budget is too small for that level"
        return text + (f"; that level is back in {self.full_in:.0f} days without a decision" if self.full_in > 1 else "")


def outlook(ledger: Ledger, per_year: float, wanted: float, now: float) -> Outlook:
    """The budget before the next decision."""
    left, year = ledger.left(per_year, now), ledger.counted(now)
    level = next_level(per_year, wanted, left)[0]
    ahead = max([date - now for _, date in ledger.dated(now)], default=0.0) / DAY
    spent = per_year * sum(each.share for each in year)
    return Outlook(per_year, wanted, level, left, spent, len(year), ahead if ahead > 1 else 0.0)


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
