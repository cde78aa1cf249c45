"""What is said of a version while it serves: the golden floor, a regression since its evaluation, a sustained drop of quality."""

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter, ValidationError

from ftassets.domain.gates.result import Verdict
from ftassets.domain.statistics import Pairs, mcnemar_p, wilson_interval

LATEST = "latest.json"  # below a loop's reports: the newest of each kind, for whoever scrapes the gateway
REGRESSION_RISK = 0.01  # false alarms of one comparison with the version's own evaluation
SMALLEST = 10  # answers below which a share says nothing
ROLLING = 7  # reports in a rolling mean
IN_A_ROW = 3  # rolling means below the limit that make a drop sustained
CHANCE = 0.01  # probability of a fall as large without any reason, above which it is none yet
ROLLING_ANSWERS = 50  # answers a rolling mean needs: fewer move by more than the drop that is looked for

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """A verdict and the evidence for it in one sentence."""

    verdict: Verdict
    sentence: str


class LatestReport(BaseModel):
    """What the newest report of a kind found: `values` and the `limits` they are held against, by name. `at` in epoch seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: FiniteFloat
    version: str | None
    verdict: str
    values: dict[str, FiniteFloat] = {}
    limits: dict[str, FiniteFloat] = {}


_LATEST = TypeAdapter(dict[str, LatestReport])


@dataclass(frozen=True)
class Estimate:
    """A share or a mean in 0..1 with its 95 % interval, of `n` answers."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def read_latest(content: bytes) -> dict[str, LatestReport]:
    """The reports of a `latest.json` by name; none where it is not one, since each report writes its part again."""
    try:
        return _LATEST.validate_json(content)
    except ValidationError:
        return {}


def overall(findings: Iterable[Finding]) -> Verdict:
    """FAIL if any finding is; NOT ENOUGH DATA if none could be made."""
    verdicts = {finding.verdict for finding in findings}
    return next((v for v in (Verdict.FAIL, Verdict.PASS) if v in verdicts), Verdict.NOT_ENOUGH_DATA)


# samples


def fixed_sample(ids: Iterable[str], size: int, seed: int = 0) -> list[str]:
    """At most `size` of the ids, the same ones each time: the lowest by a keyed hash, so that a new id moves out one other at most."""
    return sorted(ids, key=lambda name: hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "replace"), digest_size=16).digest())[:size]


def reservoir(items: Iterable[T], size: int, seed: int) -> tuple[list[T], int]:
    """A uniform sample without replacement of a stream, and how many items the stream had (Vitter 1985, algorithm R)."""
    rng = random.Random(seed)
    kept: list[T] = []
    seen = 0
    for item in items:
        seen += 1
        if len(kept) < size:
            kept.append(item)
        elif (place := rng.randrange(seen)) < size:
            kept[place] = item
    return kept, seen


# estimates


def share_of(good: int, n: int) -> Estimate:
    """Share of good ones among n, with the Wilson interval; 0 with (0, 1) without any."""
    return Estimate(good / n if n else 0.0, *wilson_interval(good, n), n)


def mean_of(values: Sequence[float], population: int, confidence: float = 0.95) -> Estimate:
    """Mean of a simple random sample of values in 0..1 out of `population`: normal interval with the finite population correction
    (Cochran, Sampling Techniques, 1977, 2.6). Raises ValueError for no values or more than there are.

    The variance is taken with one row added at either end of the scale: ten equal scores are no certainty.
    """
    from scipy.stats import norm

    n = len(values)
    if not 0 < n <= population:
        raise ValueError(f"{n} values cannot be a sample of {population}")
    mean, middle = sum(values) / n, (sum(values) + 1) / (n + 2)
    variance = (sum((v - middle) ** 2 for v in values) + middle**2 + (1 - middle) ** 2) / (n + 1)
    half = float(norm.ppf((1 + confidence) / 2)) * sqrt(variance / n * (population - n) / max(population - 1, 1))
    return Estimate(mean, max(mean - half, 0.0), min(mean + half, 1.0), n)


# golden rows


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


# quality


class Measured(BaseModel):
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


def follow(name: str, earlier: Sequence[Measured], now: Estimate, wanted: int, drop: float) -> tuple[Measured, Finding]:
    """Put a report's estimate in line with the earlier ones of the same version, oldest first, and say whether quality dropped.

    FAIL when the last `IN_A_ROW` rolling means (of up to `ROLLING` reports each, weighted by their answers, at least
    `ROLLING_ANSWERS` together) all lie more than `drop` below the baseline, the version's first `wanted` answers, and so does
    the newest report: one bad day stays in the means for a week, and is over. NOT ENOUGH DATA until there are as many, and
    while the fall is within `CHANCE` of two equal shares (two-sample z-test with the variance of shares: scores vary less).
    """
    known = earlier[-1] if earlier else None
    if known is None or known.baseline_n < wanted:
        baseline, n = _pool([*([(known.baseline, known.baseline_n)] if known else []), (now.value, now.n)])
        measured = Measured(value=now.value, low=now.low, high=now.high, n=now.n, baseline=baseline, baseline_n=n, part=True)
        return measured, Finding(Verdict.NOT_ENOUGH_DATA, f"{name} {now}: taken into the baseline, {n} of {wanted} answers")
    after = [(m.value, m.n) for m in earlier if not m.part] + [(now.value, now.n)]
    means = [_pool(after[max(0, end - ROLLING) : end]) for end in range(1, len(after) + 1)]
    pools = [(mean, n) for mean, n in means if n >= min(ROLLING_ANSWERS, wanted)]
    rolling = [mean for mean, _ in pools]
    limit = known.baseline - drop
    measured = Measured(
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


def fallen_most(measures: Mapping[str, Measured]) -> str | None:
    """The measure whose rolling mean lies farthest below its baseline; None while there is no rolling mean."""
    falls = {name: m.baseline - m.rolling for name, m in measures.items() if m.rolling is not None}
    return max(falls, key=lambda name: falls[name]) if falls else None


def _chance(baseline: tuple[float, int], now: tuple[float, int]) -> float:
    """Probability of a fall as large, between two samples (share, size) of the same source."""
    from scipy.stats import norm

    share, _ = _pool([baseline, now])
    spread = sqrt(share * (1 - share) * (1 / baseline[1] + 1 / now[1]))
    return float(norm.sf((baseline[0] - now[0]) / spread)) if spread else float(baseline[0] <= now[0])


def _pool(parts: Sequence[tuple[float, int]]) -> tuple[float, int]:
    n = sum(count for _, count in parts)
    return (sum(value * count for value, count in parts) / n if n else 0.0), n
