"""A person who holds a loop or lets it go on: one entry of the loop's record."""

from typing import ClassVar, Literal

from pydantic import ConfigDict

from ftassets.domain.formats import Stored


class PauseEntry(Stored):
    """Who paused or resumed a loop, when (epoch seconds), and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "pause_entry"

    at: float
    action: Literal["pause", "resume"]
    by: str
    reason: str
