"""Answers from a process of its own on this machine, started through Dagster Pipes."""

import sys
from collections.abc import Sequence
from typing import Any

from ftassets.domain.answers import AnswerJob
from ftassets.resources.child import run_child
from ftassets.resources.evaluator.base import EvaluationFailed, EvaluationKilled, Evaluator
from ftassets.resources.files import write_durably

_KILLED = {-9, 137}


class SubprocessEvaluator(Evaluator):
    """Runs `python -m ftassets.evaluation` and checks that every file it owes is there."""

    def __init__(self, command: Sequence[str] = ("-m", "ftassets.evaluation"), python: str = sys.executable) -> None:
        self._command, self._python = command, python

    def answer(self, job: AnswerJob, context: Any) -> None:
        """Write the answers that are not there yet. Raises EvaluationFailed."""
        if all(ask.output.exists() for ask in job.asks):
            return
        job_file = job.work / "answers.json"
        write_durably(job_file, job.model_dump_json(indent=2))
        ended = run_child(self._command, job_file, context, self._python)
        if ended.code in _KILLED:
            raise EvaluationKilled(
                f"the evaluation process was killed, most likely because memory ran out: a batch of {job.batch_size} may be too large"
            )
        if ended.code != 0:
            said = ended.said or f"ended with exit code {ended.code} and said nothing: look at the run's compute logs"
            raise EvaluationFailed(f"the evaluation process failed: {said}")
        if missing := [ask.output.name for ask in job.asks if not ask.output.exists()]:
            raise EvaluationFailed(f"the evaluation process ended well but did not write {', '.join(missing)}")
