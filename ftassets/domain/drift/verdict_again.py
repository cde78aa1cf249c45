"""The verdict of a stored drift report, made again from the statistics, thresholds and windows stored in it."""

from collections.abc import Mapping
from typing import Any

from ftassets.domain.drift.accumulation import EVIDENCE, Evidence, Spread, WindowEvidence, evidence, with_evidence
from ftassets.domain.drift.comparison import ALARMS, Comparison, DriftVerdict, Statistic, fixed_rule_verdict, verdict_of
from ftassets.errors import InvalidInput


def stored_verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a report decided: its verdict with the reason, and what the evidence of several windows came to."""
    said = report.get("accumulated", {})
    return {
        "verdict": report["verdict"],
        "reason": report["reason"],
        "evidence": said.get("evidence"),
        "over_windows": said.get("over_windows", 0),
    }


def statistics_of(report: Mapping[str, Any]) -> list[Statistic]:
    """The statistics of a report, with the thresholds that applied."""
    return [Statistic(**each) for each in report["statistics"]]


def evidence_of(report: Mapping[str, Any]) -> Evidence | None:
    """The evidence of the stored windows; None where none was accumulated. Raises InvalidInput if the report lacks what that takes."""
    said = report.get("accumulated", {})
    if said.get("evidence") is None:
        return None
    if said.get("spread") is None:
        raise InvalidInput("the report does not have the variances of harmless windows: it is of a release that did not store them")
    return evidence([WindowEvidence(**window) for window in said["windows"]], Spread(**said["spread"]))


def verdict_again(report: Mapping[str, Any]) -> dict[str, Any]:
    """The same, by the rule of this release. The reason for too few data rests on counts that the report has in words only: it is kept.

    Raises InvalidInput if the report lacks what the evidence of several windows is computed from.
    """
    deciding = [each for each in statistics_of(report) if not each.informs_only]
    found, again = evidence_of(report), dict[str, Any](evidence=None, over_windows=0)
    if not deciding:
        return {"verdict": DriftVerdict.NOT_ENOUGH_DATA.value, "reason": report["reason"], **again}
    single = [each for each in deciding if each.name != EVIDENCE]
    fixed = any(each.informs_only and each.name in ALARMS for each in statistics_of(report))
    verdict, reason = fixed_rule_verdict(single[0]) if fixed else verdict_of(single)
    comparison = Comparison(verdict, reason, tuple(single))
    if found is not None:
        again = {"evidence": found.value, "over_windows": found.windows}
        limit = next((each.threshold for each in deciding if each.name == EVIDENCE), None)
        if limit is not None:
            comparison = with_evidence(comparison, found, limit)
    return {"verdict": comparison.verdict.value, "reason": comparison.reason, **again}
