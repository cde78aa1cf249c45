"""Rows as the tokens that a training teaches, and how much each of them counts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ftassets.domain.dataset.rows import Example
from ftassets.domain.training.class_weights import balanced
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.left_out import TaughtRows
from ftassets.wording import amount
from ftassets.workers.chat_template import NoTemplate, Taught, taught
from ftassets.workers.process import Report


def taught_rows(tokenizer: Any, rows: Iterable[Example], job: TrainingJob, report: Report) -> TaughtRows[Taught]:
    """The rows that the template takes, with at most `max_length` tokens; a message counts the others."""
    kept: list[Taught] = []
    classes: list[str] = []
    refused = Counter[str]()
    form, by_class = job.task.form, job.train.class_weights != "none"
    for row in rows:
        try:
            tokens = taught(tokenizer, job.task.system_prompt, row, row.completion)
        except NoTemplate as error:
            refused[str(error)] += 1
            continue
        if len(tokens.ids) > job.train.max_length:
            refused[f"more than max_length {amount(job.train.max_length, 'token')}, cut they would teach half an answer"] += 1
            continue
        kept.append(tokens)
        if by_class:
            classes.append(form.label(row.completion))
    found = TaughtRows(kept, dict(refused), classes)
    for reason, count in refused.items():
        report(f"{count} of {amount(found.total, 'row is', 'rows are')} left out: {reason}")
    return found


def weights_of(job: TrainingJob, classes: Sequence[str]) -> list[float] | None:
    """How much each row counts in the loss, 1 on average; None if all count the same."""
    return balanced(classes) if job.train.class_weights == "balanced" else None
