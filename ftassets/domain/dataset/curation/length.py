"""Rows too short to teach anything or too long for the model."""

from typing import TYPE_CHECKING

from ftassets.domain.chat import text_of
from ftassets.domain.dataset.curation.step import Pool, StepOutcome

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def check_length(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows outside the loop's range of characters, or above the model's tokens where they are known.

    Characters are those of the last turn and the answer: earlier turns are context, which only the model's own limit bounds.
    """
    low, high, most = loop.min_chars, loop.dataset.max_chars, loop.train.max_length
    dropped = {}
    for i in pool.index:
        characters = len(text_of(pool.rows[i].last_turn)) + len(pool.rows[i].completion)
        if not low <= characters <= high:
            dropped[i] = f"{characters} characters of request and answer, {low} to {high} are taken"
        elif pool.tokens is not None and pool.tokens[i] > most:
            dropped[i] = f"{pool.tokens[i]} tokens of request and answer, training takes {most}"
    return StepOutcome(dropped)
