"""Share of answers that decline."""

from collections.abc import Sequence

from ftassets.domain.refusal import refused
from ftassets.workers.evaluation.metrics.base import RowMetric


class RefusalRate(RowMetric):
    """`refusal_rate`: share (0..1) of answers that are empty or begin as refusals in English do, as reports and rollouts count them."""

    columns = ("predictions",)

    def rows(self, predictions: Sequence[str], references: Sequence[str] = ()) -> dict[str, list[float]]:
        """1 for each answer that declines, else 0."""
        return {"refusal_rate": [float(refused(each)) for each in predictions]}
