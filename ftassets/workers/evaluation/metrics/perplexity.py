"""How little the expected answers surprise a model."""

import math
from collections.abc import Sequence

from ftassets.workers.evaluation.metrics.base import TextMetric


class Perplexity(TextMetric):
    """`perplexity`: e to the mean negative log likelihood, in nats, of the expected answers' tokens (Jelinek and others 1977).

    It is about the model, not about its answers: `nll` and `tokens` are what the evaluation found for each expected answer.
    """

    columns = ("predictions",)

    def rows(
        self, predictions: Sequence[str], references: Sequence[str] = (), nll: Sequence[float] = (), tokens: Sequence[int] = ()
    ) -> dict[str, list[float]]:
        """Mean negative log likelihood of a token of each expected answer, in nats."""
        return {"nll": [each / count for each, count in zip(nll, tokens, strict=True)]}

    def _compute(self, predictions: Sequence[str], nll: Sequence[float] = (), tokens: Sequence[int] = ()) -> dict[str, float]:
        return {"perplexity": math.exp(sum(nll) / sum(tokens))}
