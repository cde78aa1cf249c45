"""What a gate says, and on which evidence."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ftassets.domain.gates.gate import Gate


class Verdict(StrEnum):
    """What a gate says. Only PASS promotes."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_ENOUGH_DATA = "NOT ENOUGH DATA"


class GateResult(BaseModel):
    """A gate's verdict with its evidence; `value` is the estimate, `bound` its one-sided confidence bound (or p-value)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    verdict: Verdict
    value: float | None
    bound: float | None
    threshold: float
    n: int
    sentence: str

    @classmethod
    def of(
        cls, gate: Gate, verdict: Verdict, value: float | None, bound: float | None, threshold: float, n: int, sentence: str
    ) -> "GateResult":
        """The result of a gate under its name."""
        return cls(name=gate.name, verdict=verdict, value=value, bound=bound, threshold=threshold, n=n, sentence=sentence)


def verdict_of(surely: bool, at_all: bool) -> Verdict:
    """PASS when the bound clears the threshold, FAIL when not even the estimate does, else NOT ENOUGH DATA."""
    return Verdict.PASS if surely else Verdict.NOT_ENOUGH_DATA if at_all else Verdict.FAIL
