"""Golden rows on the live endpoint: the floor, and a regression since the version's own evaluation."""

from collections.abc import Mapping

from ftassets.domain.gates.result import Verdict, verdict_of
from ftassets.domain.monitoring.estimate import Estimate
from ftassets.domain.monitoring.finding import Finding
from ftassets.domain.statistics import Pairs, mcnemar_p

REGRESSION_RISK = 0.05  # that a year of comparisons with the version's own evaluation has a false alarm
PARTS = 2  # compared each time: golden rows and held-out rows


def risk_of_a_look(looks_a_day: float) -> float:
    """What one comparison of one part may risk, so that those of a year hold `REGRESSION_RISK` together (Bonferroni)."""
    return REGRESSION_RISK / (PARTS * 365 * looks_a_day)


def above_floor(right: Estimate, floor: float) -> Finding:
    """PASS when the interval of the share of golden rows right is at the floor or above, FAIL when it is below; else not enough data."""
    if not right.n:
        return Finding(Verdict.NOT_ENOUGH_DATA, "no golden row was asked")
    found = f"{right} of {right.n} golden rows right, floor {floor:g}"
    verdict = verdict_of(right.low >= floor, right.high < floor)
    doubt = "; the 95 % interval has the floor in it: raise monitors.sample or add golden rows to be sure"
    return Finding(verdict, found + (doubt if verdict is Verdict.NOT_ENOUGH_DATA else ""))


def regression(name: str, live: Mapping[str, bool], before: Mapping[str, bool], risk: float) -> Finding:
    """Whether rows (id -> right) that were right in the version's evaluation are wrong now: one-sided exact McNemar at `risk`.

    Only rows in both count. Less than the test can ever show is NOT ENOUGH DATA.
    """
    ids = sorted(live.keys() & before.keys())
    pairs = Pairs.of([before[i] for i in ids], [live[i] for i in ids])
    if 0.5 ** len(ids) >= risk:
        return Finding(Verdict.NOT_ENOUGH_DATA, f"{name}: {len(ids)} rows in common with the version's own evaluation")
    p = mcnemar_p(pairs)
    text = (
        f"{name}: {pairs.only_candidate} of {pairs.n} rows were right in the version's evaluation and are wrong now, "
        f"{pairs.only_production} the other way round; p = {p:.2g}, alarm below {risk:g}"
    )
    return Finding(Verdict.FAIL if p < risk else Verdict.PASS, text)
