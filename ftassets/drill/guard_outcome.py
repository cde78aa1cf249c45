"""What became of one fault."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """Whether a guard held, what was seen of it, and how long the fault took, in seconds."""

    guard: str
    held: bool
    seen: str
    seconds: float = 0.0
