"""A verdict of a monitor with its evidence."""

from collections.abc import Iterable
from dataclasses import dataclass

from ftassets.domain.gates.result import Verdict


@dataclass(frozen=True)
class Finding:
    """A verdict and the evidence for it in one sentence."""

    verdict: Verdict
    sentence: str


def overall(findings: Iterable[Finding]) -> Verdict:
    """FAIL if any finding is; NOT ENOUGH DATA if none could be made."""
    verdicts = {finding.verdict for finding in findings}
    return next((v for v in (Verdict.FAIL, Verdict.PASS) if v in verdicts), Verdict.NOT_ENOUGH_DATA)
