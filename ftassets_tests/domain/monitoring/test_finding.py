"""One verdict for several findings."""

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.finding import Finding, together

PASS, FAIL, NOT_ENOUGH = Verdict.PASS, Verdict.FAIL, Verdict.NOT_ENOUGH_DATA


def test_findings_pass_only_together() -> None:
    made = {verdict: Finding(verdict, verdict.value) for verdict in Verdict}
    assert together([made[PASS], made[PASS]]).verdict is PASS
    assert together([made[PASS], made[NOT_ENOUGH]]).verdict is NOT_ENOUGH
    assert together([made[PASS], made[NOT_ENOUGH], made[FAIL]]).verdict is FAIL
    assert together([]).verdict is NOT_ENOUGH
    assert together([made[PASS], Finding(NOT_ENOUGH, "key", blocked=True)]) == Finding(NOT_ENOUGH, "PASS; key", blocked=True)
