"""What the reports on a version in service share: their window, the stored report, checks, freshness."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dagster as dg
from dagster._utils.schedules import get_smallest_cron_interval  # no public one; Dagster's own policy checks against it

from ftassets.assets._shared.events import history, metadata_value
from ftassets.assets.drift_report.asset import WINDOW_END
from ftassets.backends.serving.base import Serving
from ftassets.config.loop import LoopConfig
from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.finding import Finding
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.traffic.retention import DAY

PAST = 60  # reports that a trend shows
NO_PRODUCTION = Finding(Verdict.NOT_ENOUGH_DATA, "no version is in production yet")

Metadata = dict[str, dg.MetadataValue | str | float | int]


@dataclass(frozen=True)
class Past:
    """One earlier report: when it was made (epoch seconds), about which version (12 characters), and its metadata."""

    at: float
    version: str
    event: dg.AssetMaterialization

    def value(self, name: str) -> Any:
        """Plain value of a metadata entry, None when it is not there."""
        return metadata_value(self.event, name)


def freshness(loop: LoopConfig) -> dg.FreshnessPolicy:
    """One report between any two ticks of the loop's schedule."""
    return _fresh_by(loop.monitors.every)


@lru_cache
def _fresh_by(cron: str) -> dg.FreshnessPolicy:
    # Dagster finds the smallest interval by trying a thousand ticks: once a schedule, not once an asset
    return dg.FreshnessPolicy.cron(cron, get_smallest_cron_interval(cron))


def window_of(context: dg.AssetExecutionContext, loop: LoopConfig) -> tuple[float, float]:
    """Begin and end (epoch seconds) of the answers that are read: as long as the drift report's window."""
    end = float(context.run.tags.get(WINDOW_END) or time.time())
    return end - loop.retrain_on.drift.window, end


def first_served(serving: Serving, loop: str, version: str) -> float:
    """When a version got its first traffic, in epoch seconds; 0 when the journal does not say."""
    return min((s.at for s in serving.journal() if s.loop == loop and version in s.state.weights), default=0.0)


def past_reports(instance: dg.DagsterInstance, key: dg.AssetKey, limit: int = PAST) -> list[Past]:
    """Earlier reports that are about a version, oldest first."""
    versions = ((at, str(metadata_value(event, "production") or "")[:12], event) for at, event in history(instance, key, limit))
    found = [Past(at, version, event) for at, version, event in versions if version]
    return found[::-1]


def silence(newest: LatestReport) -> str:
    """For how long reports of this kind have had no verdict, in words that go behind a sentence; empty while that is not long."""
    silent = newest.silence(newest.at)
    return "" if silent is None else f"; there has been no verdict for {silent / DAY:.1f} days"


def check(name: str, finding: Finding, newest: LatestReport, informs: bool = False) -> dg.AssetCheckResult:
    """A finding as a check's result: only PASS passes. What is not measured warns, and what only informs is never red."""
    error = finding.verdict is Verdict.FAIL and not informs
    return dg.AssetCheckResult(
        check_name=name,
        passed=finding.verdict is Verdict.PASS and not finding.blocked,
        severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
        description=f"{finding.verdict.value}: {finding.sentence}{silence(newest)}",
        metadata={"verdict": finding.verdict.value, "reason": finding.sentence},
    )


def newest_per_version(reports: Sequence[Past]) -> list[tuple[Past, int]]:
    """The newest report of each version, and its number of reports; the version reported last comes first."""
    counts: dict[str, int] = {}
    newest: dict[str, Past] = {}
    for report in reports:
        counts[report.version] = counts.get(report.version, 0) + 1
        newest[report.version] = report
    return [(report, counts[report.version]) for report in sorted(newest.values(), key=lambda r: -r.at)]
