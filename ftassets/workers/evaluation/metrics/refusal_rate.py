"""Share of answers that decline."""

from collections.abc import Sequence

from ftassets.domain.drift.text import refusals
from ftassets.workers.evaluation.metrics.base import RowMetric


class RefusalRate(RowMetric):
    """`refusal_rate`: share (0..1) of answers that begin as refusals in English do, as the drift report counts them."""

    columns = ("predictions",)

    def rows(self, predictions: Sequence[str], references: Sequence[str] = ()) -> dict[str, list[float]]:
        """1 for each answer that declines, else 0."""
        return {"refusal_rate": [float(each) for each in refusals(predictions)]}
