"""Supervised fine-tuning: the answer of each row is taught."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ftassets.domain.training.left_out import TaughtRows
from ftassets.workers.chat_template import Taught
from ftassets.workers.process import Report
from ftassets.workers.training.loss import taught_loss
from ftassets.workers.training.objectives.base import NOT_TAUGHT, Collate, Objective, taught_dataset


class TaughtAnswers(Objective):
    """The mean loss of all tokens of the answers; `weights` say how much each row counts in it, 1 on average."""

    def __init__(self, rows: TaughtRows[Taught], weights: Sequence[float] | None = None) -> None:
        self.texts, self.left_out, self._weights = rows.kept, rows.left_out, weights

    def prepare(self, model: Any, bf16: bool, report: Report) -> None:
        """Nothing: the rows are all that the loss needs."""

    def dataset(self) -> Any:
        """Token ids and labels, and the weights if there are some."""
        return taught_dataset(self.texts, **({} if self._weights is None else {"weights": self._weights}))

    def collator(self, default: Collate) -> Collate:
        """TRL's, which does not know weights."""
        return default if self._weights is None else partial(_weighted, default)

    def items(self, batch: Mapping[str, Any]) -> Any:
        """Taught tokens."""
        return (batch["labels"][:, 1:] != NOT_TAUGHT).sum()

    def loss(self, model: Any, batch: Mapping[str, Any], count: Any) -> Any:
        """Cross entropy of the taught tokens."""
        return taught_loss(model, batch, count)[0]


def _weighted(collate: Collate, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    import torch

    return {**collate(rows), "weights": torch.tensor([row["weights"] for row in rows])}
