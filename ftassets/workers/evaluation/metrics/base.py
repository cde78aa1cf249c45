"""What our metrics share: answers and expected answers as texts, compared without a hub."""

import inspect
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import datasets  # noqa: TID253 - the registry imports the metrics only where they work
import evaluate  # noqa: TID253


class TextMetric(evaluate.Metric):
    """A metric over texts: predictions are answers, references the answers they should have been."""

    columns: ClassVar[tuple[str, ...]] = ("predictions", "references")  # a metric of the answers alone leaves the second out

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({name: datasets.Value("string") for name in self.columns})
        return evaluate.MetricInfo(description=inspect.getdoc(type(self)), citation="", inputs_description="", features=features)


class RowMetric(TextMetric):
    """A metric whose values are the means of a value for each answer."""

    @abstractmethod
    def rows(self, predictions: Sequence[str], references: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The values of each answer, by name."""

    def _compute(self, predictions: Sequence[str], references: Sequence[str] = (), **settings: Any) -> dict[str, float]:
        return {name: float(sum(each)) / len(each) for name, each in self.rows(predictions, references, **settings).items()}
