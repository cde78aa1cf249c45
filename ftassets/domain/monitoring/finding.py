"""A verdict of a monitor with its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftassets.domain.gates.result import Verdict


@dataclass(frozen=True)
class Finding:
    """A verdict and the evidence for it in one sentence.

    `blocked` says that time alone brings no verdict: a person has to repair or to change something first.
    """

    verdict: Verdict
    sentence: str
    blocked: bool = False


def together(findings: Sequence[Finding]) -> Finding:
    """All findings as one: FAIL if any is, PASS only if each is. What was not measured does not pass."""
    verdicts = {finding.verdict for finding in findings} or {Verdict.NOT_ENOUGH_DATA}
    verdict = next((v for v in (Verdict.FAIL, Verdict.NOT_ENOUGH_DATA) if v in verdicts), Verdict.PASS)
    return Finding(verdict, "; ".join(f.sentence for f in findings), any(f.blocked for f in findings))
