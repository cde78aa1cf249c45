"""DPO, direct preference optimization (Rafailov et al. 2023): of two answers the preferred one is to become more likely."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.training.job import TrainingJob
from ftassets.wording import amount
from ftassets.workers.chat_template import NoTemplate, Taught, taught
from ftassets.workers.process import Report
from ftassets.workers.training.loss import answer_log_probs
from ftassets.workers.training.objectives.base import Collate, Objective, taught_dataset
from ftassets.workers.training.objectives.log_probs import inputs_of, places_of, reference_log_probs, too_long


class Dpo(Objective):
    """The mean over pairs of -log sigmoid(beta * (gain of the chosen answer - gain of the rejected one)), equation 7.

    A gain is the log-probability of an answer less that under the reference. `texts` are chosen and rejected in turns.
    """

    sequences = 2
    unit = "pair"

    def __init__(self, tokenizer: Any, pairs: Iterable[Pair], job: TrainingJob) -> None:
        assert job.align is not None
        self._beta = job.align.beta
        self._reference: Sequence[float] = ()
        texts: list[Taught] = []
        refused = Counter[str]()
        for pair in pairs:
            try:
                both = [taught(tokenizer, job.task.system_prompt, pair, answer) for answer in (pair.chosen, pair.rejected)]
            except NoTemplate as error:
                refused[str(error)] += 1
                continue
            if why := too_long(job, both):
                refused[why] += 1
            else:
                texts += both
        self.texts, self.left_out = texts, dict(refused)

    def prepare(self, model: Any, bf16: bool, report: Report) -> None:
        """Ask the reference."""
        report(f"the reference reads {amount(len(self), 'pair')}")
        self._reference = reference_log_probs(model, self.texts, bf16)

    def forward_only(self, epochs: float) -> tuple[int, int]:
        """The reference reads each pair once."""
        return sum(len(row.ids) for row in self.texts), sum(len(row.ids) - row.start for row in self.texts)

    def dataset(self) -> Any:
        """The chosen answers, and where each pair is."""
        return taught_dataset(self.texts[::2], place=range(len(self)))

    def collator(self, default: Collate) -> Collate:
        """A batch of the chosen answers, and behind them the rejected ones, as TRL's."""
        import torch

        def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
            places = [2 * place + which for which in (0, 1) for place in places_of(rows)]
            batch = inputs_of([self.texts[place] for place in places])
            return {**batch, "reference": torch.tensor([self._reference[place] for place in places])}

        return collate

    def items(self, batch: Mapping[str, Any]) -> Any:
        """Pairs."""
        return len(batch["reference"]) // 2

    def loss(self, model: Any, batch: Mapping[str, Any], count: Any) -> Any:
        """The pairs' losses."""
        import torch

        log_probs, auxiliary = answer_log_probs(model, batch)
        chosen, rejected = (log_probs - batch["reference"]).chunk(2)
        return -torch.nn.functional.logsigmoid(self._beta * (chosen - rejected)).sum() / count + auxiliary
