"""Share of an answer's fields that are right."""

from collections.abc import Sequence

from ftassets.domain.scoring import score
from ftassets.evaluation.metrics.base import TextMetric


class FieldAccuracy(TextMetric):
    """`field_accuracy`: share (0..1) of fields of either side that agree, mean of the answers; for text the exact match."""

    def _compute(self, predictions: Sequence[str], references: Sequence[str], task: str = "tool_call") -> dict[str, float]:
        pairs = enumerate(zip(predictions, references, strict=True))
        shares = [score(str(number), "", answer, expected, task).fields for number, (answer, expected) in pairs]
        return {"field_accuracy": sum(shares) / len(shares)}
