"""The loop's further metrics, taken of stored answers in a process of their own."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftassets.assets.eval_report.answering import Answers, expected_answers
from ftassets.assets.eval_report.rows import RowSet
from ftassets.backends.artifacts.answers import keep_answers
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.evaluator.base import Evaluator
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.jobs import Answered, Measurements, MetricsJob
from ftassets.durable import file_digest


def measure_metrics(
    context: Any,
    home: Home,
    artifacts: Artifacts,
    loop: LoopConfig,
    evaluator: Evaluator,
    metrics: Sequence[str],
    sets: Sequence[RowSet],
    answers: Answers,
    likelihoods: Mapping[str, Mapping[int, Path]],
) -> tuple[Measurements, Answers]:
    """Metrics of the answers to golden and held-out rows, by slice, from a separate process; and the files of row scores.

    A file of row scores is stored with the answers under the digest of its bytes; sets without rows have no file.
    """
    work = home.work / f"{context.run_id}-metrics"
    work.mkdir(parents=True, exist_ok=True)
    try:
        answered = []
        for number, each in enumerate(sets):
            if not each.rows or each.settings is not None:
                continue
            expected = expected_answers(each, work / f"expected-{number}.jsonl")
            answered += [
                Answered(
                    role=role,
                    prompts_file=expected,
                    answers=files[number],
                    likelihoods=likelihoods.get(role, {}).get(number),
                    row_scores=work / f"{role}-{number}.parquet",
                )
                for role, files in answers.items()
            ]
        job = MetricsJob(
            metrics=list(metrics),
            task=loop.task.type,
            label=loop.task.label,
            labels=loop.task.labels,
            call_schema=loop.task.call_schema,
            calls=loop.task.calls,
            answered=answered,
            output=work / "metrics.json",
            work=work,
        )
        table = evaluator.measure(job, context)
        row_scores: Answers = {}
        for found in answered:
            if found.row_scores is not None:
                kept = keep_answers(artifacts, found.row_scores, f"{file_digest(found.row_scores)}.scores.parquet")
                row_scores.setdefault(found.role, []).append(kept)
        return table, row_scores
    finally:
        shutil.rmtree(work, ignore_errors=True)
