"""How one answer is scored against the answer it should have been."""

from pydantic import BaseModel, ConfigDict, Field

from ftassets.domain.evaluation.answer_form import NO_LABEL, AnswerForm
from ftassets.errors import InvalidInput


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
    # the row is one of several rows or answers of this conversation; a stored score of a row by itself does not have the field
    conversation: str | None = Field(None, exclude_if=lambda value: value is None)


def score(
    row_id: str, slice_name: str, answer: str, expected: str, form: AnswerForm, truncated: bool = False, labelled: bool = False
) -> Score:
    """Exact match of the whole answer, the share of fields (of either side) that agree, and, if `labelled`, the classes of both.

    An answer cut at the token limit is never right. Raises InvalidInput if nothing can be compared with the expected answer.
    """
    try:
        exact, fields = form.agreement(answer, expected)
    except InvalidInput as error:
        raise InvalidInput(f"row {row_id}: {error}") from error
    if truncated:
        exact, fields = False, 0.0
    labels = {}
    if labelled and "classes" not in form.lacks:
        labels = {"expected": form.label(expected), "predicted": NO_LABEL if truncated else form.label(answer)}
    return Score(
        id=row_id, slice=slice_name, exact=exact, fields=fields, valid=form.well_formed(answer, truncated), truncated=truncated, **labels
    )
