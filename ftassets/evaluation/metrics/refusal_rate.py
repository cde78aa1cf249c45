"""Share of answers that decline."""

from collections.abc import Sequence

from ftassets.domain.drift.text import refusals
from ftassets.evaluation.metrics.base import TextMetric


class RefusalRate(TextMetric):
    """`refusal_rate`: share (0..1) of answers that begin as refusals in English do, as the drift report counts them."""

    columns = ("predictions",)

    def _compute(self, predictions: Sequence[str]) -> dict[str, float]:
        return {"refusal_rate": float(refusals(predictions).mean())}
