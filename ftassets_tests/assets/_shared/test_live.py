from datetime import timedelta

import pytest

from ftassets.assets._shared import live
from ftassets.config.loop import Monitors
from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.finding import Finding
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.traffic.retention import DAY
from ftassets.testing.releases import loop_config


@pytest.mark.parametrize(("cron", "hours"), [("0 7 * * *", 24), ("0 * * * *", 1), ("0 7 * * 1", 168), ("0 9 * * 1-5", 24)])
def test_freshness_allows_one_missing_look_of_the_schedule_and_no_more(cron: str, hours: int) -> None:
    loop = loop_config().model_copy(update={"monitors": Monitors(every=cron)})
    policy = live.freshness(loop)
    assert policy.deadline_cron == cron  # type: ignore[attr-defined]
    assert policy.lower_bound_delta == timedelta(hours=hours)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("finding", "informs", "passed", "severity"),
    [
        (Finding(Verdict.PASS, "fine"), False, True, "WARN"),
        (Finding(Verdict.FAIL, "worse"), False, False, "ERROR"),
        (Finding(Verdict.FAIL, "other words"), True, False, "WARN"),
        (Finding(Verdict.NOT_ENOUGH_DATA, "3 answers"), False, False, "WARN"),
        (Finding(Verdict.PASS, "the rest is fine", blocked=True), False, False, "WARN"),
        (Finding(Verdict.NOT_ENOUGH_DATA, "the report is damaged", blocked=True), False, False, "WARN"),
    ],
)
def test_only_what_is_measured_and_fine_passes(finding: Finding, informs: bool, passed: bool, severity: str) -> None:
    newest = LatestReport(at=4 * DAY, version="v", verdict=finding.verdict.value)
    result = live.check("sound", finding, newest.after(None), informs)
    assert (result.passed, result.severity.value) == (passed, severity)
    assert result.description == f"{finding.verdict.value}: {finding.sentence}", "the verdict is told whatever the colour"


def test_a_check_says_for_how_long_there_has_been_no_verdict() -> None:
    finding = Finding(Verdict.NOT_ENOUGH_DATA, "3 answers")
    newest = LatestReport(at=9.5 * DAY, version="v", verdict="NOT ENOUGH DATA", unmeasured_since=5 * DAY)
    assert live.check("sound", finding, newest).description == "NOT ENOUGH DATA: 3 answers; there has been no verdict for 4.5 days"
