"""What our metrics share: answers and expected answers as texts, compared without a hub."""

import inspect
from typing import ClassVar

import datasets  # noqa: TID253 - the registry imports the metrics only where they work
import evaluate  # noqa: TID253


class TextMetric(evaluate.Metric):
    """A metric over texts: predictions are answers, references the answers they should have been."""

    columns: ClassVar[tuple[str, ...]] = ("predictions", "references")  # a metric of the answers alone leaves the second out

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({name: datasets.Value("string") for name in self.columns})
        return evaluate.MetricInfo(description=inspect.getdoc(type(self)), citation="", inputs_description="", features=features)
