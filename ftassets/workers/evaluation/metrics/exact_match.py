"""Share of answers that are right as a whole."""

from collections.abc import Sequence

from ftassets.domain.evaluation.scoring import score
from ftassets.workers.evaluation.metrics.base import RowMetric


class ExactMatch(RowMetric):
    """`exact_match`: share (0..1) of answers equal to the expected one: as JSON objects, or as texts but for outer white space."""

    def rows(
        self, predictions: Sequence[str], references: Sequence[str], task: str = "tool_call", truncated: Sequence[bool] | None = None
    ) -> dict[str, list[float]]:
        """Whether each answer is right; one cut at the token limit is not."""
        cut = truncated or [False] * len(predictions)
        each = enumerate(zip(predictions, references, cut, strict=True))
        return {"exact_match": [float(score(str(n), "", said, wanted, task, truncated=ended).exact) for n, (said, wanted, ended) in each]}
