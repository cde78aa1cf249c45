"""Answers must have the form the task's type asks for: a tool call is a JSON object."""

import json
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.evaluation.scoring import parse_call, well_formed

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def check_answers(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop tool calls that are no JSON object, or hold text that cannot be written as UTF-8, and texts of white space only."""
    if loop.task.type != "tool_call":
        return StepOutcome({i: "the answer is empty" for i in pool.index if not well_formed(pool.rows[i].completion, loop.task.type)})
    dropped = {}
    good: set[str] = set()  # answers repeat more than requests do
    for i in pool.index:
        answer = pool.rows[i].completion
        if answer in good:
            continue
        call = parse_call(answer)
        if call is None:
            dropped[i] = "the answer is not a JSON object"
        elif "\\ud" in answer.lower() and not _encodable(call):
            dropped[i] = "the answer holds half of a surrogate pair"
        else:
            good.add(answer)
    return StepOutcome(dropped)


def _encodable(call: dict) -> bool:
    try:
        json.dumps(call, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True
