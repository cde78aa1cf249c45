"""Metrics as a user of the package would write them."""

import json

import evaluate

from ftassets.workers.evaluation.metrics.base import RowMetric, TextMetric


class Mine(TextMetric):
    """Number of answers."""

    def _compute(self, predictions, references):
        return {"rows": len(predictions)}


class Broken(evaluate.Metric):
    """Lacks what a metric must say of itself."""


class Told(TextMetric):
    """What it was told, as lengths."""

    def _compute(self, predictions, references, label):
        return {"label": len(label), "rows": len(predictions)}


class Rows(RowMetric):
    """A value for each row: the number its answer says."""

    def rows(self, predictions, references):
        return {"number": [float(answer) for answer in predictions]}


class Short(RowMetric):
    """One value, however many rows there are."""

    def rows(self, predictions, references):
        return {"number": [1.0]}


class Odd(TextMetric):
    """Whatever the first answer says."""

    def _compute(self, predictions, references):
        return json.loads(predictions[0])
