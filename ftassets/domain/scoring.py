"""How one answer is scored against the answer it should have been."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Score(BaseModel):
    """One row's outcome: the whole answer right, the share of its fields right, and whether it has the form the task asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    slice: str
    exact: bool
    fields: float
    valid: bool


def parse_call(text: str) -> dict[str, Any] | None:
    """The JSON object an answer consists of, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def well_formed(answer: str, task: str) -> bool:
    """Whether an answer has the form a task of this type asks for: a JSON object, or any text at all."""
    return parse_call(answer) is not None if task == "tool_call" else bool(answer.strip())


def label_of(completion: str, field: str) -> str:
    """Class of an answer: the value of its label field, or `(none)`."""
    call = parse_call(completion)
    return str(call[field]) if call and field in call else "(none)"


def score(row_id: str, slice_name: str, answer: str, expected: str, task: str = "tool_call") -> Score:
    """Exact match of the whole answer; for calls also the share of fields (of either side) that agree.

    Texts match when they are the same but for white space at the ends. Raises ValueError on an expected answer that is no call.
    """
    if task == "text":
        same = answer.strip() == expected.strip()
        return Score(id=row_id, slice=slice_name, exact=same, fields=float(same), valid=well_formed(answer, task))
    call, wanted = parse_call(answer), parse_call(expected)
    if wanted is None:
        raise ValueError(f"row {row_id}: the expected answer is not a JSON object: {expected[:100]!r}")
    if call is None:
        return Score(id=row_id, slice=slice_name, exact=False, fields=0.0, valid=False)
    names = call.keys() | wanted.keys()
    agree = sum(name in call and name in wanted and call[name] == wanted[name] for name in names)
    return Score(id=row_id, slice=slice_name, exact=call == wanted, fields=agree / len(names) if names else 1.0, valid=True)
