"""Golden rows on the live endpoint: the floor, and a regression since the version's own evaluation."""

from collections.abc import Mapping

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import Estimate
from ftassets.domain.monitoring.finding import Finding
from ftassets.domain.statistics import Pairs, mcnemar_p

REGRESSION_RISK = 0.01  # false alarms of one comparison with the version's own evaluation


def above_floor(right: Estimate, floor: float) -> Finding:
    """PASS when the share of golden rows right reaches the floor; the sentence says whether the interval leaves a doubt."""
    if not right.n:
        return Finding(Verdict.NOT_ENOUGH_DATA, "no golden row was asked")
    sure = right.low >= floor or right.high < floor
    found = f"{right} of {right.n} golden rows right, floor {floor:g}"
    doubt = "" if sure else "; the interval has the floor in it, so more rows are needed to be sure"
    return Finding(Verdict.PASS if right.value >= floor else Verdict.FAIL, found + doubt)


def regression(name: str, live: Mapping[str, bool], before: Mapping[str, bool], risk: float = REGRESSION_RISK) -> Finding:
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
