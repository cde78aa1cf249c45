"""Share of answers that are right as a whole."""

from collections.abc import Sequence

from ftassets.domain.scoring import score
from ftassets.evaluation.metrics.base import TextMetric


class ExactMatch(TextMetric):
    """`exact_match`: share (0..1) of answers equal to the expected one: as JSON objects, or as texts but for outer white space."""

    def _compute(self, predictions: Sequence[str], references: Sequence[str], task: str = "tool_call") -> dict[str, float]:
        pairs = enumerate(zip(predictions, references, strict=True))
        right = [score(str(number), "", answer, expected, task).exact for number, (answer, expected) in pairs]
        return {"exact_match": sum(right) / len(right)}
