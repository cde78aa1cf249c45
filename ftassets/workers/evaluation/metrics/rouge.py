"""ROUGE: words and word order an answer has in common with the expected one."""

from collections.abc import Sequence

from rouge_score import rouge_scorer

from ftassets.workers.evaluation.metrics.base import RowMetric

_TYPES = ("rouge1", "rouge2", "rougeL")


class Rouge(RowMetric):
    """`rouge1`, `rouge2`, `rougeL`: F-measure (0..1) with Porter stemming, mean of the answers (Lin 2004).

    Words are runs of ASCII letters and digits: texts in other scripts score 0.
    """

    def rows(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """F-measures of each answer."""
        scorer = rouge_scorer.RougeScorer(list(_TYPES), use_stemmer=True)
        scores = [scorer.score(expected, answer) for expected, answer in zip(references, predictions, strict=True)]
        return {name: [each[name].fmeasure for each in scores] for name in _TYPES}
