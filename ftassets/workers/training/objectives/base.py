"""What a training minimises on its rows; nothing else of a training knows whether it teaches answers or preferences."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from ftassets.workers.chat_template import Taught
from ftassets.workers.process import Report

NOT_TAUGHT = -100  # label of a token without a loss
Collate = Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]


class Objective(ABC):
    """Rows and their loss. `texts` are what a pass over the rows reads, `sequences` for each row, one after the other.

    `unit` is what a row is, `left_out` counts rows that cannot be taught, by reason.
    """

    sequences: ClassVar[int] = 1
    unit: ClassVar[str] = "row"
    left_out: Mapping[str, int]
    texts: Sequence[Taught]

    def __len__(self) -> int:
        return len(self.texts) // self.sequences

    @abstractmethod
    def prepare(self, model: Any, bf16: bool, report: Report) -> None:
        """Measure what must be known of the model before its first step."""

    def forward_only(self, epochs: float) -> tuple[int, int]:
        """Tokens that are read forwards alone in so many epochs, and those of them that are answers."""
        return 0, 0

    @abstractmethod
    def dataset(self) -> Any:
        """The rows as TRL takes them when they are tokens already."""

    @abstractmethod
    def collator(self, default: Collate) -> Collate:
        """What makes a batch of rows of `dataset`; `default` is TRL's."""

    @abstractmethod
    def items(self, batch: Mapping[str, Any]) -> Any:
        """What the loss of a batch is a mean over: tokens, or rows."""

    @abstractmethod
    def loss(self, model: Any, batch: Mapping[str, Any], count: Any) -> Any:
        """The loss of a batch, summed over its items and divided by `count`. `model` is the plain one, see `loss.plain`."""


def taught_dataset(rows: Sequence[Taught], **numbers: Sequence[float]) -> Any:
    """Rows as TRL takes them when they are tokens already: only the answer and its end have a loss. `numbers`: columns, one a row."""
    import pyarrow as pa
    from datasets import Dataset

    # as one long array each: lists of a row each take ten times the memory on the way
    lengths = np.array([len(row.ids) for row in rows], np.int64)
    ends = np.cumsum(lengths)
    ids = np.fromiter(chain.from_iterable(row.ids for row in rows), np.int32, count=int(lengths.sum()))
    answers = np.arange(len(ids)) >= np.repeat(ends - lengths + np.array([row.start for row in rows], np.int64), lengths)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    columns = {"input_ids": ids, "labels": np.where(answers, ids, NOT_TAUGHT).astype(np.int32)}
    arrays = {name: pa.ListArray.from_arrays(offsets, values) for name, values in columns.items()}
    return Dataset(pa.table({**arrays, **{name: pa.array(values, pa.float32()) for name, values in numbers.items()}}))
