"""How one answer is scored against the answer it should have been."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from ftassets.errors import InvalidInput

NO_LABEL = "(none)"  # class of an answer without its label field


class Score(BaseModel):
    """One row's outcome: the whole answer right, the share of its fields right, and whether it has the form the task asks for.

    `expected` and `predicted` are the labels of both answers, `values` further metrics' values of this row under their dotted names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    slice: str
    exact: bool
    fields: float
    valid: bool
    expected: str | None = None
    predicted: str | None = None
    truncated: bool = False  # the answer was cut at the token limit
    values: dict[str, float] = {}


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
    return str(call[field]) if call and field in call else NO_LABEL


def score(
    row_id: str, slice_name: str, answer: str, expected: str, task: str = "tool_call", label: str | None = None, truncated: bool = False
) -> Score:
    """Exact match of the whole answer; for calls also the share of fields (of either side) that agree, and the labels.

    Texts match when they are the same but for white space at the ends. An answer cut at the token limit is never right.
    Raises InvalidInput if the task expects a call and the expected answer does not parse as one.
    """
    if task == "text":
        same = answer.strip() == expected.strip() and not truncated
        valid = well_formed(answer, task)
        return Score(id=row_id, slice=slice_name, exact=same, fields=float(same), valid=valid, truncated=truncated)
    call, wanted = parse_call(answer), parse_call(expected)
    if wanted is None:
        raise InvalidInput(f"row {row_id}: the expected answer is not a JSON object: {expected[:100]!r}")
    labels = {"expected": label_of(expected, label), "predicted": label_of(answer, label)} if label else {}
    if call is None or truncated:
        return Score(
            id=row_id, slice=slice_name, exact=False, fields=0.0, valid=call is not None, truncated=truncated,
            **{**labels, **({"predicted": NO_LABEL} if labels else {})},
        )  # fmt: skip
    names = call.keys() | wanted.keys()
    agree = sum(name in call and name in wanted and call[name] == wanted[name] for name in names)
    fields = agree / len(names) if names else 1.0
    return Score(id=row_id, slice=slice_name, exact=call == wanted, fields=fields, valid=True, **labels)
