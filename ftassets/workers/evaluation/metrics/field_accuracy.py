"""Share of an answer's fields that are right."""

from collections.abc import Sequence

from ftassets.domain.evaluation.answer_form import AnswerForm, ToolCall
from ftassets.domain.evaluation.scoring import score
from ftassets.workers.evaluation.metrics.base import RowMetric


class FieldAccuracy(RowMetric):
    """`field_accuracy`: share (0..1) of fields of either side that agree, mean of the answers."""

    def rows(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        form: AnswerForm | None = None,
        truncated: Sequence[bool] | None = None,
    ) -> dict[str, list[float]]:
        """Share of each answer's fields; 0 for one cut at the token limit."""
        form, cut = form or ToolCall(), truncated or [False] * len(predictions)
        each = enumerate(zip(predictions, references, cut, strict=True))
        return {"field_accuracy": [float(score(str(n), "", said, wanted, form, ended).fields) for n, (said, wanted, ended) in each]}
