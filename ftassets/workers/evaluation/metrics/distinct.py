"""Repeated text, within answers and among them."""

from collections.abc import Sequence

from ftassets.domain.scripts import WORD
from ftassets.workers.evaluation.metrics.base import TextMetric


class Distinct(TextMetric):
    """Shares (0..1) that fall when a model repeats itself.

    `distinct_1`, `distinct_2`: different word n-grams of an answer over all of them (Li et al. 2016), mean of the answers, 1 for
    one too short to repeat anything. `answers`: different answers over all answers; few where many requests share an answer.
    """

    columns = ("predictions",)

    def rows(self, predictions: Sequence[str], references: Sequence[str] = ()) -> dict[str, list[float]]:
        """Both shares of each answer."""
        words = [WORD.findall(text.lower()) for text in predictions]
        return {f"distinct_{n}": [_share(each, n) for each in words] for n in (1, 2)}

    def _compute(self, predictions: Sequence[str]) -> dict[str, float]:
        shares = {name: sum(each) / len(each) for name, each in self.rows(predictions).items()}
        return {**shares, "answers": len(set(predictions)) / len(predictions)}


def _share(words: Sequence[str], n: int) -> float:
    grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0
