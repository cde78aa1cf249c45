"""Share of an answer's fields that are right."""

from collections.abc import Sequence

from ftassets.domain.evaluation.scoring import score
from ftassets.workers.evaluation.metrics.base import RowMetric


class FieldAccuracy(RowMetric):
    """`field_accuracy`: share (0..1) of fields of either side that agree, mean of the answers; for text the exact match."""

    def rows(
        self, predictions: Sequence[str], references: Sequence[str], task: str = "tool_call", truncated: Sequence[bool] | None = None
    ) -> dict[str, list[float]]:
        """Share of each answer's fields; 0 for one cut at the token limit."""
        cut = truncated or [False] * len(predictions)
        each = enumerate(zip(predictions, references, cut, strict=True))
        return {
            "field_accuracy": [float(score(str(n), "", said, wanted, task, truncated=ended).fields) for n, (said, wanted, ended) in each]
        }
