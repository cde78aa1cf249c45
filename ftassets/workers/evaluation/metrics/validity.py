"""Share of answers that have the form the task asks for."""

from collections.abc import Sequence

from ftassets.domain.evaluation.scoring import well_formed
from ftassets.workers.evaluation.metrics.base import RowMetric


class Validity(RowMetric):
    """`validity`: share (0..1) of answers that are a JSON object, or any text at all where the task is text."""

    columns = ("predictions",)

    def rows(self, predictions: Sequence[str], references: Sequence[str] = (), task: str = "tool_call") -> dict[str, list[float]]:
        """1 or 0 for each answer."""
        return {"validity": [float(well_formed(answer, task)) for answer in predictions]}
