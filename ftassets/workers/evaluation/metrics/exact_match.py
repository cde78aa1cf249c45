"""Share of answers that are right as a whole."""

from collections.abc import Sequence

from ftassets.domain.evaluation.answer_form import AnswerForm, ToolCall
from ftassets.domain.evaluation.scoring import score
from ftassets.workers.evaluation.metrics.base import RowMetric


class ExactMatch(RowMetric):
    """`exact_match`: share (0..1) of answers equal to the expected one: as JSON, or as text but for outer white space."""

    def rows(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        form: AnswerForm | None = None,
        truncated: Sequence[bool] | None = None,
    ) -> dict[str, list[float]]:
        """Whether each answer is right; one cut at the token limit is not."""
        form, cut = form or ToolCall(), truncated or [False] * len(predictions)
        each = enumerate(zip(predictions, references, cut, strict=True))
        return {"exact_match": [float(score(str(n), "", said, wanted, form, ended).exact) for n, (said, wanted, ended) in each]}
