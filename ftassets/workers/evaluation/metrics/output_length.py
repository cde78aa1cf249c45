"""Length of the answers."""

from collections.abc import Sequence

import numpy as np

from ftassets.domain.drift.text import lengths
from ftassets.workers.evaluation.metrics.base import TextMetric


class OutputLength(TextMetric):
    """`mean`, `median` and `p95` of the answers' length in characters."""

    columns = ("predictions",)

    def rows(self, predictions: Sequence[str], references: Sequence[str] = ()) -> dict[str, list[float]]:
        """Length of each answer, under the name of its mean."""
        return {"mean": [float(each) for each in lengths(predictions)]}

    def _compute(self, predictions: Sequence[str]) -> dict[str, float]:
        found = lengths(predictions)
        median, p95 = np.quantile(found, [0.5, 0.95])
        return {"mean": float(found.mean()), "median": float(median), "p95": float(p95)}
