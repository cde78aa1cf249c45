"""What the work of a loop used: processor time, GPU time and tokens, one entry for each node that a run worked on."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ftassets.domain.formats import Stored

# refused: by a check, a gate or the release; over_budget: the budget did not let it begin
Ended = Literal["done", "refused", "over_budget", "failed", "cancelled"]

SILENCE = 120.0  # seconds without a new measurement after which a node is not at work any more: its process was killed


class Usage(BaseModel):
    """Seconds and tokens that processes used, those they started included.

    A GPU second is one GPU held for a second, whether it computes or not. `api_tokens` are those of endpoints that somebody else runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_seconds: float = Field(0.0, ge=0, allow_inf_nan=False)
    gpu_seconds: float = Field(0.0, ge=0, allow_inf_nan=False)
    wall_seconds: float = Field(0.0, ge=0, allow_inf_nan=False)
    tokens_trained: int = Field(0, ge=0)
    tokens_read: int = Field(0, ge=0)
    tokens_written: int = Field(0, ge=0)
    api_tokens_in: int = Field(0, ge=0)
    api_tokens_out: int = Field(0, ge=0)
    api_answers_uncounted: int = Field(0, ge=0)  # the endpoint did not say how many tokens they took

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})


class UsageEntry(Stored):
    """What one node of a loop used in one run: from `at` until `until` (epoch seconds).

    `ended` is None while it is at work, and stays None if its process was killed; `usage` then misses what it did after `until`.
    `made` is the data version of what it made: of `adapter` and `release` the version. `for_release`: its run was to make a release.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "usage_entry"

    id: str
    loop: str
    run_id: str
    node: str
    for_release: bool
    at: float
    until: float
    ended: Ended | None = None
    made: str | None = None
    usage: Usage = Usage()

    def at_work(self, now: float) -> bool:
        """Whether it is not over: it is measured every few seconds until it is."""
        return self.ended is None and now - self.until < SILENCE


def total(entries: list[UsageEntry]) -> Usage:
    """All that these entries used."""
    return sum((entry.usage for entry in entries), Usage())
