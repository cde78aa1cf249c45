"""Share of answers that have the form the task asks for."""

from collections.abc import Sequence

from ftassets.domain.scoring import well_formed
from ftassets.evaluation.metrics.base import TextMetric


class Validity(TextMetric):
    """`validity`: share (0..1) of answers that are a JSON object, or any text at all where the task is text."""

    columns = ("predictions",)

    def _compute(self, predictions: Sequence[str], task: str = "tool_call") -> dict[str, float]:
        return {"validity": sum(well_formed(answer, task) for answer in predictions) / len(predictions)}
