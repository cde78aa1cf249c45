"""One thing that is wrong with a loop, or that its author should know before it runs."""

from dataclasses import dataclass
from typing import Literal

LOOP = "loop"  # source of a finding on the loop file; others are on seed, golden, or a further set by its name

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class LoopFinding:
    """An error stops a run or can never pass a gate; a warning does not.

    `source` says which file it is about, `line` where in a file of rows, `field` where in the loop file. `kind` is a stable code.
    """

    severity: Severity
    kind: str
    source: str
    text: str
    advice: str
    line: int | None = None
    field: tuple[str | int, ...] = ()
