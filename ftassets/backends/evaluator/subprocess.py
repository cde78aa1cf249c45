"""Answers, likelihoods, metrics and parity from a process of its own on this machine, started through Dagster Pipes."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftassets.backends.evaluator.base import EvaluationFailed, EvaluationKilled, Evaluator
from ftassets.domain.evaluation.jobs import AnswerJob, Measurements, MetricsJob, PerplexityJob
from ftassets.domain.evaluation.parity import Agreement, ParityJob
from ftassets.wording import amount
from ftassets.workers.process import run_child, write_job


class SubprocessEvaluator(Evaluator):
    """Runs `python -m ftassets.workers.evaluation` and checks that every output file exists."""

    def __init__(self, command: Sequence[str] = ("-m", "ftassets.workers.evaluation"), python: str = sys.executable) -> None:
        self._command, self._python = command, python

    def answer(self, job: AnswerJob, context: Any) -> None:
        """Write the answers that are not there yet. Raises EvaluationFailed."""
        owed = [ask.output for ask in job.asks] + ([job.forgetting.output] if job.forgetting else [])
        if all(path.exists() for path in owed):
            return
        self._run(job, "answers.json", owed, f": a batch of {job.batch_size} may be too large", context)

    def perplexity(self, job: PerplexityJob, context: Any) -> None:
        """Write the likelihoods that are not there yet. Raises EvaluationFailed."""
        owed = [each.output for each in job.likelihoods]
        if all(path.exists() for path in owed):
            return
        self._run(job, "perplexity-job.json", owed, f": batches of {amount(job.batch_tokens, 'token')} may be too large", context)

    def measure(self, job: MetricsJob, context: Any) -> Measurements:
        """Write the metrics and return them. Raises EvaluationFailed."""
        job.output.unlink(missing_ok=True)  # one of an earlier attempt must not pass for this one's
        self._run(job, "metrics-job.json", [job.output], "", context)
        return json.loads(job.output.read_bytes())

    def parity(self, job: ParityJob, context: Any) -> Agreement:
        """Compare and return what was found. Raises EvaluationFailed."""
        job.output.unlink(missing_ok=True)
        self._run(job, "parity-job.json", [job.output], "", context)
        return Agreement.model_validate_json(job.output.read_bytes())

    def _run(
        self, job: AnswerJob | PerplexityJob | MetricsJob | ParityJob, name: str, owed: Sequence[Path], advice: str, context: Any
    ) -> None:
        ended = run_child(self._command, write_job(job, job.work / name), context, self._python)
        if ended.killed:
            raise EvaluationKilled(f"the evaluation process was killed, most likely because memory ran out{advice}")
        if ended.code != 0:
            said = ended.said or f"ended with exit code {ended.code} without a message: read the run's compute logs"
            raise EvaluationFailed(f"the evaluation process failed: {said}")
        if missing := [path.name for path in owed if not path.exists()]:
            raise EvaluationFailed(f"the evaluation process ended well but did not write {', '.join(missing)}")
