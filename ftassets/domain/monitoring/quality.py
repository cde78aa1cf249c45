"""Live quality followed from report to report, and a sustained drop of it."""

from collections.abc import Mapping, Sequence
from math import ceil, floor

from pydantic import BaseModel, ConfigDict

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import Estimate
from ftassets.domain.monitoring.finding import Finding

ROLLING = 7  # reports in a rolling mean
IN_A_ROW = 3  # rolling means below the limit that make a drop sustained
CHANCE = 0.01  # significance level of a drop: probability of one as large by chance
_NEAR = 1e-6  # a share times its answers is a whole number up to this
ROLLING_ANSWERS = 50  # answers a rolling mean needs: fewer move by more than the drop that is looked for


class QualityPoint(BaseModel):
    """One measure in one report, and the baseline as it was known then; in 0..1, higher is better.

    The baseline grows from report to report until it has the answers it needs; `part` says that this report is in it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float
    n: int
    baseline: float
    baseline_n: int
    part: bool
    rolling: float | None = None


def follow(name: str, earlier: Sequence[QualityPoint], now: Estimate, wanted: int, drop: float) -> tuple[QualityPoint, Finding]:
    """Put a report's estimate in line with the earlier ones of the same version, oldest first, and say whether quality dropped.

    FAIL when the last `IN_A_ROW` rolling means (of up to `ROLLING` reports each, weighted by their answers, at least
    `ROLLING_ANSWERS` together) all lie more than `drop` below the baseline, the version's first `wanted` answers, and so does
    the newest report: one bad day stays in the means for a week, and is over. NOT ENOUGH DATA until there are as many, and
    while the fall is within `CHANCE` of two equal shares (Fisher's exact test).
    """
    known = earlier[-1] if earlier else None
    if known is None or known.baseline_n < wanted:
        baseline, n = _pool([*([(known.baseline, known.baseline_n)] if known else []), (now.value, now.n)])
        measured = QualityPoint(value=now.value, low=now.low, high=now.high, n=now.n, baseline=baseline, baseline_n=n, part=True)
        return measured, Finding(Verdict.NOT_ENOUGH_DATA, f"{name} {now}: taken into the baseline, {n} of {wanted} answers")
    after = [(m.value, m.n) for m in earlier if not m.part] + [(now.value, now.n)]
    means = [_pool(after[max(0, end - ROLLING) : end]) for end in range(1, len(after) + 1)]
    pools = [(mean, n) for mean, n in means if n >= min(ROLLING_ANSWERS, wanted)]
    rolling = [mean for mean, _ in pools]
    limit = known.baseline - drop
    measured = QualityPoint(
        value=now.value, low=now.low, high=now.high, n=now.n, baseline=known.baseline, baseline_n=known.baseline_n, part=False,
        rolling=rolling[-1] if rolling else None,
    )  # fmt: skip
    if len(rolling) < IN_A_ROW:
        return measured, Finding(Verdict.NOT_ENOUGH_DATA, f"{name} {now}: {len(rolling)} rolling means, {IN_A_ROW} are needed")
    low = 0
    while low < len(rolling) and rolling[-1 - low] < limit:
        low += 1
    text = f"{name} {now}: rolling mean {rolling[-1]:.3f}, baseline {known.baseline:.3f}, below {limit:.3f} in {low} reports in a row"
    if low < IN_A_ROW or now.value >= limit:
        return measured, Finding(Verdict.PASS, text)
    if _chance((known.baseline, known.baseline_n), pools[-1]) > CHANCE:
        return measured, Finding(Verdict.NOT_ENOUGH_DATA, f"{text}, which {pools[-1][1]} answers may show by chance")
    return measured, Finding(Verdict.FAIL, text)


def fallen_most(measures: Mapping[str, QualityPoint]) -> str | None:
    """The measure whose rolling mean is farthest below its baseline; None while there is no rolling mean."""
    falls = {name: m.baseline - m.rolling for name, m in measures.items() if m.rolling is not None}
    return max(falls, key=lambda name: falls[name]) if falls else None


def _chance(baseline: tuple[float, int], now: tuple[float, int]) -> float:
    """Probability of a fall as large, between two samples (share, size) of the same source: Fisher's exact test (1935).

    Scores between 0 and 1 count as so many whole ones, their widest spread; the part of one is taken as if it were not a fall.
    """
    from scipy.stats import hypergeom

    before, after = floor(baseline[0] * baseline[1] + _NEAR), ceil(now[0] * now[1] - _NEAR)
    return float(hypergeom.cdf(after, baseline[1] + now[1], before + after, now[1]))


def _pool(parts: Sequence[tuple[float, int]]) -> tuple[float, int]:
    n = sum(count for _, count in parts)
    return (sum(value * count for value, count in parts) / n if n else 0.0), n
