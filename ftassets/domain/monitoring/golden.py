"""Golden rows on the live endpoint: the floor, and a regression since the version's own evaluation.

Both are decided again at each report, on the same rows. What one report may risk is such that the reports of a year hold the stated error
together (Bonferroni), whether answers are sampled anew each time or are the same. What was proved stays so until it changes: the way back
has a rule of its own, so that a version near a limit does not come and go.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import Estimate
from ftassets.domain.monitoring.finding import Finding
from ftassets.domain.statistics import Pairs, mcnemar_p
from ftassets.wording import amount

FLOOR_RISK = 0.05  # that the reports of a year call a version below its floor that is not
REGRESSION_RISK = 0.05  # that a year of comparisons with the version's own evaluation has a false alarm
PARTS = 2  # compared each time: golden rows and held-out rows
RECENT = 7  # reports that must be at the floor on average, or without any sign of a regression, before one is over
CALM = 0.05  # p-value from which a report shows no sign of a regression


class Floor(BaseModel):
    """What reports on one version found: whether it is below its floor, and the share of golden rows right in the newest of them.

    `as_released`: its own evaluation was below the floor too, so that nothing has happened to it since.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    below: bool = False
    as_released: bool = False
    recent: tuple[float, ...] = ()


class Regression(BaseModel):
    """What reports on one part of a version's rows found: whether it regressed, and reports since then without any sign of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    found: bool = False
    calm: int = 0


def floor_risk(reports_a_day: float) -> float:
    """What one report may risk on the floor, so that those of a year hold `FLOOR_RISK` together."""
    return FLOOR_RISK / (365 * reports_a_day)


def regression_risk(reports_a_day: float) -> float:
    """What one comparison of one part may risk, so that those of a year hold `REGRESSION_RISK` together."""
    return REGRESSION_RISK / (PARTS * 365 * reports_a_day)


@lru_cache(4096)
def floor_p(right: int, n: int, floor: float) -> float:
    """Chance of so few golden rows right, or fewer, among n of a version that is exactly at the floor."""
    from scipy.stats import binom

    return float(binom.cdf(right, n, floor))


def at_floor(right: Estimate, good: int, floor: float, risk: float, known: Floor, own: Estimate | None = None) -> tuple[Floor, Finding]:
    """What is known after a report that found so many `good` golden rows, and the finding.

    FAIL from the report that proves at `risk` that the share is below the floor, until one proves that it is not (95 % interval) or the
    newest `RECENT` reports are at the floor on average. PASS when the interval is at the floor or above; else NOT ENOUGH DATA. `own` is the
    share in the version's own evaluation, None where it is not known.
    """
    if not right.n:
        return known, Finding(Verdict.NOT_ENOUGH_DATA, "no golden row was asked")
    recent = (*known.recent, right.value)[-RECENT:]
    over = right.low >= floor or sum(recent) / len(recent) >= floor
    as_released = own is not None and own.n > 0 and own.value < floor
    below = floor_p(good, right.n, floor) < risk or (known.below and not over)
    now = Floor(below=below, as_released=as_released, recent=recent)
    found = f"{right} of {right.n} golden rows right, floor {floor:g}"
    if own is not None and own.n:
        found += f", {own.value:.3f} of {own.n} in the version's own evaluation"
        found += ": the floor is higher than this version ever was, lower it or train a better one" if as_released and below else ""
    if now.below:
        return now, Finding(Verdict.FAIL, found)
    if right.low >= floor:
        return now, Finding(Verdict.PASS, found)
    if floor_p(0, right.n, floor) >= risk:
        few = (
            f"; {amount(right.n, 'row')} cannot prove a share below the floor in a year of reports, "
            "not even if all are wrong: add golden rows"
        )
        return now, Finding(Verdict.NOT_ENOUGH_DATA, found + few, blocked=True)
    within = "the 95 % interval has the floor in it" if right.high >= floor else "below it is not proved for a year of reports"
    return now, Finding(Verdict.NOT_ENOUGH_DATA, f"{found}; {within}: raise monitors.sample or add golden rows to be sure")


def regression(
    name: str, live: Mapping[str, bool], before: Mapping[str, bool], risk: float, known: Regression = Regression()
) -> tuple[Regression, Finding]:
    """Whether rows (id -> right) that were right in the version's evaluation are wrong now: one-sided exact McNemar at `risk`.

    Only rows in both count. Less than the test can ever show is NOT ENOUGH DATA. FAIL from the report that proves it until `RECENT` reports
    in a row show no sign of it any more (p at least `CALM`).
    """
    ids = sorted(live.keys() & before.keys())
    pairs = Pairs.of([before[i] for i in ids], [live[i] for i in ids])
    if 0.5 ** len(ids) >= risk:
        needed = math.floor(-math.log2(risk)) + 1
        text = f"{name}: {amount(len(ids), 'row')} in common with the version's own evaluation, at least {needed} are needed"
        return known, Finding(Verdict.NOT_ENOUGH_DATA, text)
    p = mcnemar_p(pairs)
    calm = known.calm + 1 if p >= CALM else 0
    now = Regression(found=p < risk or (known.found and calm < RECENT), calm=calm if known.found and calm < RECENT else 0)
    text = (
        f"{name}: {pairs.only_candidate} of {amount(pairs.n, 'row was', 'rows were')} right in the version's evaluation and are wrong now, "
        f"{pairs.only_production} the other way round; p = {p:.2g}, alarm below {risk:.2g}"
    )
    if now.found and p >= risk:
        text += f", found before; over after {RECENT} reports in a row with p of {CALM:g} or more"
    return now, Finding(Verdict.FAIL if now.found else Verdict.PASS, text)


def score_of(rows: Sequence[str], before: Mapping[str, bool]) -> tuple[int, int]:
    """How many of these rows were right in the version's own evaluation, and how many of them it had."""
    there = [before[name] for name in rows if name in before]
    return sum(there), len(there)
