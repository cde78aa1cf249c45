"""How one answer is scored against the answer it should have been."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Score(BaseModel):
    """One row's outcome: the whole call right, the share of fields right, and whether it was a JSON object at all."""

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


def label_of(completion: str, field: str) -> str:
    """Class of an answer: the value of its label field, or `(none)`."""
    call = parse_call(completion)
    return str(call[field]) if call and field in call else "(none)"


def score(row_id: str, slice_name: str, answer: str, expected: str) -> Score:
    """Exact match of the whole call, and the share of fields (of either side) that agree."""
    call, wanted = parse_call(answer), parse_call(expected)
    if wanted is None:
        raise ValueError(f"row {row_id}: the expected answer is not a JSON object: {expected[:100]!r}")
    if call is None:
        return Score(id=row_id, slice=slice_name, exact=False, fields=0.0, valid=False)
    names = call.keys() | wanted.keys()
    agree = sum(name in call and name in wanted and call[name] == wanted[name] for name in names)
    return Score(id=row_id, slice=slice_name, exact=call == wanted, fields=agree / len(names) if names else 1.0, valid=True)
