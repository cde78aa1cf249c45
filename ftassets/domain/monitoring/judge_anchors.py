"""Whether the judge of live answers has become stricter or milder behind its name: rows with fixed answers that it scores each time.

Anchors are golden rows with one of three answers: the expected one, the first half of it, and that of another row. A judge that has not
changed gives scores now and at first that are exchangeable, so that both signs of a difference are equally probable: the exact sign test.
What one report may risk is such that the reports of a year call an unchanged judge changed with the stated probability (Bonferroni).
Before that is proved, a drop of the judged answers counts only if it is larger than what may be the judge's doing: by Gaffke's bound, as a
judge that scores few anchors much lower is seen in few of them (`bench/intervals.py`). Each row is an anchor once, as its answers may fall
together; a golden set with fewer rows than there are anchors is used again, with another answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import openai_messages
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.gates.result import Verdict
from ftassets.domain.mean_bounds import mean_upper_bound
from ftassets.domain.monitoring.finding import Finding
from ftassets.domain.monitoring.quality import JUDGED, QualityPoint, Series, follow
from ftassets.domain.statistics import Pairs, mcnemar_p
from ftassets.wording import amount

ANCHORS = 120  # that the judge scores at each report besides the answers
RISK = 0.05  # that the reports of a year call an unchanged judge changed
_ANSWERS: tuple[Callable[[str, str], str], ...] = (  # from the row's answer and that of another one
    lambda own, _: own,
    lambda own, _: own[: len(own) // 2],
    lambda _, other: other,
)


@dataclass(frozen=True)
class Anchor:
    """A golden row with an answer that the judge is to score; the id is a digest of both."""

    id: str
    row: Example
    answer: str


@dataclass(frozen=True)
class JudgeDrift:
    """How anchors are scored now and were at first: so many of `n` lower, so many higher.

    `changed`: it is proved that the judge is stricter or milder. `most` is the 95 % upper bound of how much lower it scores now, in 0..1,
    of anchors that can be lower than they were.
    """

    lower: int
    higher: int
    n: int
    changed: bool
    most: float

    @property
    def sentence(self) -> str:
        """The counts in words."""
        return f"of {amount(self.n, 'row')} with fixed answers the judge scores {self.lower} lower and {self.higher} higher than at first"


def anchors(golden: Sequence[Example]) -> list[Anchor]:
    """The anchors of a golden set: the same as long as its rows are; none of a single row."""
    rows = {row.id: row for row in golden}
    chosen = [rows[name] for name in fixed_sample(rows, ANCHORS)]
    if len(chosen) < 2:
        return []
    found: dict[str, Anchor] = {}
    for number in range(min(ANCHORS, len(_ANSWERS) * len(chosen))):
        again, place = divmod(number, len(chosen))
        row, other = chosen[place], chosen[(place + 1) % len(chosen)]
        answer = _ANSWERS[(place + again) % len(_ANSWERS)](row.completion, other.completion)
        name = digest_of([openai_messages(row.messages), answer])[:16]
        found[name] = Anchor(name, row, answer)
    return list(found.values())


def risk_of_a_report(reports_a_day: float) -> float:
    """What one report may risk, so that those of a year hold `RISK` together."""
    return RISK / (365 * reports_a_day)


def follow_judged(
    series: Series, alert_drop: float, trigger_drop: float | None, measures: int, drift: JudgeDrift | None
) -> tuple[Series, QualityPoint, Finding]:
    """`follow` for the judged answers: no new drop is found while all of it may be the judge's doing."""
    found, point, finding = follow(JUDGED, series, alert_drop, trigger_drop, measures)
    fall = (point.baseline or 0.0) - point.value
    if drift is not None and drift.n and drift.most >= fall and found.dropped_since(series):
        return series, point, Finding(Verdict.NOT_ENOUGH_DATA, f"{JUDGED} is lower, which may be the judge's doing: {drift.sentence}")
    return found, point, finding


def judge_drift(first: Mapping[str, int], now: Mapping[str, int], risk: float) -> JudgeDrift:
    """Scores (anchor -> 1..5) now against those at first, of the anchors that both have; a change is proved at `risk`."""
    both = sorted(first.keys() & now.keys())
    pairs = Pairs.of([now[name] < first[name] for name in both], [now[name] > first[name] for name in both])
    lower, higher = pairs.only_candidate, pairs.only_production
    stricter, milder = mcnemar_p(pairs), mcnemar_p(Pairs(higher, lower, pairs.n))
    falls = [(first[name] - now[name]) / 4 for name in both if first[name] > 1]
    return JudgeDrift(lower, higher, pairs.n, min(stricter, milder) < risk / 2, mean_upper_bound(falls, 0.95))
