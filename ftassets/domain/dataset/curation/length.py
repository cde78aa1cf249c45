"""Rows too short to teach anything or too long for the model."""

from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def check_length(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows outside the loop's range of characters, or above the model's tokens where they are known.

    The longest is of the user's last message and the answer: earlier turns and results of tools are context, which only the model's
    own limit bounds. The shortest is of all messages but the system's: "yes" is enough at the end of a conversation.
    """
    low, high, most = loop.min_chars, loop.dataset.max_chars, loop.train.max_length
    dropped = {}
    for i in pool.index:
        row = pool.rows[i]
        characters = len(row.last_turn[0].content or "") + len(row.completion)
        if characters > high or (characters < low and len(row.query) + len(row.completion) < low):
            dropped[i] = f"{amount(characters, 'character')} of request and answer, {low} to {high} are taken"
        elif pool.tokens is not None and pool.tokens[i] > most:
            dropped[i] = f"{amount(pool.tokens[i], 'token')} of request and answer, training takes {most:,}"
    return StepOutcome(dropped)
