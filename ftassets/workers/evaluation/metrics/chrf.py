"""chrF: character n-grams the answers have in common with the expected ones."""

from collections.abc import Sequence

import sacrebleu

from ftassets.workers.evaluation.metrics.base import TextMetric


class Chrf(TextMetric):
    """`chrf`: corpus chrF2 (0..100) with sacreBLEU's defaults: character 6-grams, no word n-grams (Popović 2015).

    A row's value is the answer's own chrF2; the corpus's is not their mean.
    """

    def rows(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """chrF of each answer."""
        return {"chrf": [sacrebleu.sentence_chrf(said, [wanted]).score for said, wanted in zip(predictions, references, strict=True)]}

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return {"chrf": sacrebleu.corpus_chrf(list(predictions), [list(references)]).score}
