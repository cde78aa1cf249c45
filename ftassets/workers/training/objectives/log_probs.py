"""What DPO and KTO share: log-probabilities of answers under the version that the training starts from, which is the reference."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ftassets.domain.training.job import TrainingJob
from ftassets.metering import count
from ftassets.wording import amount
from ftassets.workers.chat_template import Taught
from ftassets.workers.padding import batches_of, right_padded
from ftassets.workers.training.loss import answer_log_probs, plain
from ftassets.workers.training.objectives.base import NOT_TAUGHT

_BATCH_TOKENS = 2048  # of a pass of the reference, padding included


def reference_log_probs(model: Any, rows: Sequence[Taught], bf16: bool) -> list[float]:
    """Log-probability in nats of each row's answer under the model as it was loaded, and still is.

    They are computed once: one base is in memory, and no second adapter. From then on the model has no dropout, as with TRL: it must
    not differ from the reference by chance.
    """
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    found = [0.0] * len(rows)
    with torch.no_grad(), torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=bf16):
        for batch in batches_of({place: len(row.ids) for place, row in enumerate(rows)}, _BATCH_TOKENS):
            values, _ = answer_log_probs(plain(model), inputs_of([rows[place] for place in batch], model.device))
            for place, value in zip(batch, values.tolist(), strict=True):
                found[place] = value
    count(tokens_read=sum(len(row.ids) for row in rows))
    return found


def inputs_of(rows: Sequence[Taught], device: Any = "cpu") -> dict[str, Any]:
    """The rows as one batch: ids, mask, and labels of the answers."""
    ids, mask = right_padded([row.ids for row in rows], device)
    labels = ids.masked_fill(mask == 0, NOT_TAUGHT)
    for place, row in enumerate(rows):
        labels[place, : row.start] = NOT_TAUGHT
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def too_long(job: TrainingJob, rows: Iterable[Taught]) -> str | None:
    """Why these cannot be read; None if they can."""
    most = job.train.max_length
    return f"more than max_length {amount(most, 'token')}" if any(len(row.ids) > most for row in rows) else None


def places_of(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Which rows of an objective a batch is made of."""
    return [int(row["place"]) for row in rows]
