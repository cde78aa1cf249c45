"""How many drift alarms came in a row: of windows that follow each other, so that no query counts twice."""

from collections.abc import Iterable
from dataclasses import dataclass

from ftassets.domain.drift.comparison import DriftVerdict

MOST = 30  # alarms that are counted: `consecutive` asks for no more


@dataclass(frozen=True)
class WindowVerdict:
    """What a report found about the queries from `begin` to `end` (epoch seconds)."""

    begin: float
    end: float
    verdict: DriftVerdict


def alarms_in_a_row(newest_first: Iterable[WindowVerdict], longest_gap: float) -> int:
    """Alarms of disjoint windows among the newest reports, `MOST` at most, until one is quiet or `longest_gap` seconds have no data.

    Windows may overlap, and a report may be made twice: what shares queries with a window that was counted is passed over. Reports
    without enough data are neither alarms nor quiet: alarms are over when no data has come for `longest_gap` since the last one. No
    report is read that cannot change the count.
    """
    count, begin, newest = 0, float("inf"), float("-inf")
    for report in newest_first:
        newest = max(newest, report.end)
        if report.verdict is DriftVerdict.QUIET or count == MOST or (begin if count else newest) - report.end > longest_gap:
            break
        if report.verdict is DriftVerdict.ALARM and report.end <= begin:
            count, begin = count + 1, report.begin
    return count
