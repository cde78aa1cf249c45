"""BLEU: word n-grams the answers have in common with the expected ones."""

from collections.abc import Sequence

import sacrebleu

from ftassets.workers.evaluation.metrics.base import TextMetric


class Bleu(TextMetric):
    """`bleu`: corpus BLEU (0..100) with sacreBLEU's defaults: 4-grams, tokenizer 13a, exponential smoothing (Post 2018)."""

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return {"bleu": sacrebleu.corpus_bleu(list(predictions), [list(references)]).score}
