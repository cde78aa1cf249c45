"""One verdict for several findings."""

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.finding import Finding, overall

PASS, FAIL, NOT_ENOUGH = Verdict.PASS, Verdict.FAIL, Verdict.NOT_ENOUGH_DATA


def test_any_failure_is_the_verdict_and_no_finding_is_none() -> None:
    assert overall([Finding(PASS, ""), Finding(FAIL, ""), Finding(NOT_ENOUGH, "")]) is FAIL
    assert overall([Finding(PASS, ""), Finding(NOT_ENOUGH, "")]) is PASS
    assert overall([Finding(NOT_ENOUGH, "")]) is overall([]) is NOT_ENOUGH
