"""What a loop in mode observe would have done: the retrains that auto would have started, with cooldown, budget and labels used up."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import ConfigDict

from ftassets.domain.formats import Stored
from ftassets.domain.retrain import QUARTER
from ftassets.wording import amount


class ShadowRetrain(Stored):
    """A retrain that auto would have started: when (epoch seconds), why, with how many new labels, up to which commit of the labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "shadow_retrain"

    at: float
    trigger: str
    reason: str
    new_labels: int
    labels_commit: str


def in_quarter(ledger: Sequence[ShadowRetrain], now: float) -> int:
    """Shadow retrains of the last 91 days, which count for `max_retrains`."""
    return sum(now - QUARTER <= each.at <= now for each in ledger)


def in_words(ledger: Sequence[ShadowRetrain], now: float) -> str:
    """What auto would have done, for people; empty when it would have done nothing."""
    if not ledger:
        return ""
    times = "once" if len(ledger) == 1 else amount(len(ledger), "time")
    recent = f"{in_quarter(ledger, now)} of them in the last 91 days"
    newest = f"the newest had {ledger[-1].new_labels} new labels: {ledger[-1].reason}"
    return f"auto would have retrained {times}, {recent}, if each was promoted; {newest}"
