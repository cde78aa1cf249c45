"""Turns before the last one: kept with the row, or cut."""

from typing import TYPE_CHECKING, TypeVar

from ftassets.domain.chat import Asked, without_default
from ftassets.domain.dataset.curation.step import Pool, StepOutcome

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


Row = TypeVar("Row", bound=Asked)


def in_context(row: Row, loop: "LoopConfig") -> Row:
    """The row with as much of its conversation as `dataset.context` says, without a system message that is the loop's own."""
    cut = loop.dataset.context == "last_turn"
    messages = row.last_turn if cut else without_default(row.messages, loop.task.system_prompt)
    return row if len(messages) == len(row.messages) else row.model_copy(update={"messages": messages})


def apply_context(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Change rows as `in_context` does. Counts say how many rows have earlier turns or a system message, which `last_turn` cuts."""
    changed = {}
    cut = " cut" if loop.dataset.context == "last_turn" else ""
    counts = {f"earlier turns{cut}": 0, f"own system message{cut}": 0, "the loop's system message left to the loop": 0}
    for i in pool.index:
        row = pool.rows[i]
        own = without_default(row.messages, loop.task.system_prompt)
        counts["the loop's system message left to the loop"] += len(own) < len(row.messages)
        counts[f"own system message{cut}"] += own[0].role == "system"
        counts[f"earlier turns{cut}"] += len(own) > len(row.last_turn) + (own[0].role == "system")
        if (kept := in_context(row, loop)) is not row:
            changed[i] = kept
    return StepOutcome(changed=changed, counts={name: count for name, count in counts.items() if count})
