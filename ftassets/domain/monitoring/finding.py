"""A verdict of a monitor with its evidence."""

from collections.abc import Iterable, Sequence
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

    @property
    def warns(self) -> bool:
        """Whether a person should act: something is worse, or cannot be measured. Too little data by itself is neither."""
        return self.verdict is Verdict.FAIL or self.blocked


def together(findings: Sequence[Finding]) -> Finding:
    """All findings as one."""
    return Finding(overall(findings), "; ".join(f.sentence for f in findings), any(f.blocked for f in findings))


def overall(findings: Iterable[Finding]) -> Verdict:
    """FAIL if any finding is; NOT ENOUGH DATA if none could be made."""
    verdicts = {finding.verdict for finding in findings}
    return next((v for v in (Verdict.FAIL, Verdict.PASS) if v in verdicts), Verdict.NOT_ENOUGH_DATA)
