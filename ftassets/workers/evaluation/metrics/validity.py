"""Share of answers that have the form the task asks for."""

from collections.abc import Sequence

from ftassets.domain.evaluation.answer_form import AnswerForm, ToolCall
from ftassets.workers.evaluation.metrics.base import RowMetric


class Validity(RowMetric):
    """`validity`: share (0..1) of answers that are a JSON object, whole text without repetition, or a label, by the task's type."""

    columns = ("predictions",)

    def rows(
        self,
        predictions: Sequence[str],
        references: Sequence[str] = (),
        form: AnswerForm | None = None,
        truncated: Sequence[bool] | None = None,
    ) -> dict[str, list[float]]:
        """1 or 0 for each answer."""
        form, cut = form or ToolCall(), truncated or [False] * len(predictions)
        return {"validity": [float(form.well_formed(answer, ended)) for answer, ended in zip(predictions, cut, strict=True)]}
