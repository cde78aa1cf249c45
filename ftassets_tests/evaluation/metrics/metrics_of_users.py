"""Metrics as a user of the package would write them."""

import evaluate

from ftassets.evaluation.metrics.base import TextMetric


class Mine(TextMetric):
    """Number of answers."""

    def _compute(self, predictions, references):
        return {"rows": len(predictions)}


class Broken(evaluate.Metric):
    """Lacks what a metric must say of itself."""
