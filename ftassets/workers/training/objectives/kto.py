"""KTO, Kahneman-Tversky optimization (Ethayarajh et al. 2024): answers rated up are to become more likely, those rated down less."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ftassets.domain.dataset.rated import Rated
from ftassets.domain.training.class_weights import rating_weights
from ftassets.domain.training.job import TrainingJob
from ftassets.wording import amount
from ftassets.workers.chat_template import NoTemplate, Taught, taught
from ftassets.workers.process import Report
from ftassets.workers.training import replicas
from ftassets.workers.training.loss import answer_log_probs
from ftassets.workers.training.objectives.base import Collate, Objective, taught_dataset
from ftassets.workers.training.objectives.log_probs import inputs_of, places_of, reference_log_probs, too_long


class Kto(Objective):
    """The mean over rows of w * (1 - sigmoid(beta * (gain - z))) for an answer rated up, and of w * (1 - sigmoid(beta * (z - gain))) for
    one rated down: equations 7 and 8 of the paper, whose constant does not change the gradient.

    A gain is the log-probability of an answer less that under the reference; z is the mean gain of answers to other requests, and at
    least 0, which estimates how far the model is from the reference. It gets no gradient. The other answer that is read for a row is
    always the same one, drawn by the seed, so that the reference reads it once; z is a mean over the rows of a batch.
    """

    unit = "rated answer"

    def __init__(self, tokenizer: Any, rows: Iterable[Rated], job: TrainingJob) -> None:
        assert job.align is not None
        self._beta = job.align.beta
        self._reference: Sequence[float] = ()
        self._other_reference: Sequence[float] = ()
        texts: list[Taught] = []
        up: list[bool] = []
        refused = Counter[str]()
        for row in rows:
            try:
                tokens = taught(tokenizer, job.task.system_prompt, row, row.answer)
            except NoTemplate as error:
                refused[str(error)] += 1
                continue
            if why := too_long(job, [tokens]):
                refused[why] += 1
                continue
            texts.append(tokens)
            up.append(row.rating == "up")
        self.texts, self.left_out, self._up = texts, dict(refused), up
        self._weights = rating_weights(sum(up), len(up) - sum(up))
        self._others = _mismatched(texts, job.train.seed, job.train.max_length)

    def prepare(self, model: Any, bf16: bool, report: Report) -> None:
        """Ask the reference for both answers of each row."""
        report(f"the reference reads {amount(len(self), 'rated answer')}, and each request with another answer")
        self._reference = reference_log_probs(model, self.texts, bf16)
        self._other_reference = reference_log_probs(model, self._others, bf16)

    def forward_only(self, epochs: float) -> tuple[int, int]:
        """The reference reads both answers once, and the trained model the other answer in each epoch."""
        mine, others = (
            np.array([[len(row.ids), len(row.ids) - row.start] for row in rows], int).reshape(-1, 2).sum(0)
            for rows in (self.texts, self._others)
        )
        tokens, answers = mine + (1 + epochs) * others
        return round(tokens), round(answers)

    def dataset(self) -> Any:
        """The rated answers, and where each is."""
        return taught_dataset(self.texts, place=range(len(self)))

    def collator(self, default: Collate) -> Collate:
        """A batch of the rated answers, and of the same requests with other answers."""
        import torch

        def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
            places = places_of(rows)
            others = inputs_of([self._others[place] for place in places])
            return {
                **inputs_of([self.texts[place] for place in places]),
                **{f"other_{name}": value for name, value in others.items()},
                "reference": torch.tensor([self._reference[place] for place in places]),
                "other_reference": torch.tensor([self._other_reference[place] for place in places]),
                "up": torch.tensor([self._up[place] for place in places]),
            }

        return collate

    def items(self, batch: Mapping[str, Any]) -> Any:
        """Rated answers."""
        return len(batch["reference"])

    def loss(self, model: Any, batch: Mapping[str, Any], count: Any) -> Any:
        """The rows' losses. In a training step all replicas have the same z, which they must agree on."""
        import torch

        training = torch.is_grad_enabled()
        with torch.no_grad():
            others = {name: batch[f"other_{name}"] for name in ("input_ids", "attention_mask", "labels")}
            distance = float((answer_log_probs(model, others)[0] - batch["other_reference"]).mean())
        if training:
            distance = replicas.total(distance) / replicas.total(1.0)
        log_probs, auxiliary = answer_log_probs(model, batch)
        gain = log_probs - batch["reference"] - max(distance, 0.0)
        up = batch["up"]
        weights = torch.where(up, self._weights[0], self._weights[1])
        return (weights * torch.sigmoid(self._beta * torch.where(up, -gain, gain))).sum() / count + auxiliary


def _mismatched(rows: Sequence[Taught], seed: int, most: int) -> list[Taught]:
    """Each row's request with the answer of another row, the next one in an order drawn by the seed, cut at `most` tokens."""
    order = np.random.default_rng(seed).permutation(len(rows))
    other = dict(zip(order.tolist(), np.roll(order, -1).tolist(), strict=True))
    found = []
    for place, row in enumerate(rows):
        answer = rows[other[place]]
        found.append(Taught([*row.ids[: row.start], *answer.ids[answer.start :]][:most], min(row.start, most - 1)))
    return found
