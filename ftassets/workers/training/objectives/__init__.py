"""What a training minimises, one module each: taught answers, or preferences of users."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rated import Rated
from ftassets.domain.dataset.rows import Example
from ftassets.domain.training.job import TrainingJob
from ftassets.wording import amount
from ftassets.workers.process import Report
from ftassets.workers.training.objectives.base import Objective
from ftassets.workers.training.objectives.dpo import Dpo
from ftassets.workers.training.objectives.kto import Kto
from ftassets.workers.training.objectives.taught_answers import TaughtAnswers
from ftassets.workers.training.rows import taught_rows, weights_of

Row = TypeVar("Row", bound=BaseModel)


def objectives_of(tokenizer: Any, job: TrainingJob, report: Report) -> tuple[Objective, Objective]:
    """What the job minimises, and the same of its validation rows. It reports how many rows are left out, and why."""
    if job.align is None:
        rows = taught_rows(tokenizer, read_lines(job.train_file, Example), job, report)
        validation = taught_rows(tokenizer, read_lines(job.validation_file, Example), job, report)
        return TaughtAnswers(rows, weights_of(job, rows.classes)), TaughtAnswers(validation)
    files = (job.train_file, job.validation_file)
    both: list[Objective] = (
        [Dpo(tokenizer, read_lines(file, Pair), job) for file in files]
        if job.align.method == "dpo"
        else [Kto(tokenizer, read_lines(file, Rated), job) for file in files]
    )
    for each in both:
        for reason, count in each.left_out.items():
            total = len(each) + sum(each.left_out.values())
            report(f"{count} of {amount(total, f'{each.unit} is', f'{each.unit}s are')} left out: {reason}")
    return both[0], both[1]


def read_lines(path: Path, kind: type[Row]) -> Iterator[Row]:
    """The rows of a file, one after the other: tokens take a fraction of the memory that rows do."""
    with path.open("rb") as lines:
        for line in lines:
            yield kind.model_validate_json(line)
