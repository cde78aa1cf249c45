"""Whether what an asset made may be used by the assets after it: the verdicts that are stored with it."""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

UNDECIDED = "was never decided"


class Check(BaseModel):
    """Verdict of one blocking check, and the numbers it rests on as a sentence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passed: bool
    sentence: str


def refusals(checks: Mapping[str, Check], needed: Iterable[str]) -> dict[str, str]:
    """Why something is refused, by check; empty means that it is accepted. A needed check without a verdict refuses."""
    failed = {name: check.sentence for name, check in checks.items() if not check.passed}
    return failed | {name: UNDECIDED for name in needed if name not in checks}


def in_words(refused: Mapping[str, str]) -> str:
    """Refusals as one line, by name of the check."""
    return "; ".join(f"{name}: {why}" for name, why in sorted(refused.items()))
