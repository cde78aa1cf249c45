"""Production evaluated twice: what the evaluation's own noise is measured by."""

import shutil
import time
from collections.abc import Mapping
from typing import Any

from ftassets.assets.eval_report.answering import external, prompts_of, system_prompt_of, write_prompts
from ftassets.assets.eval_report.row_metrics import measure_metrics
from ftassets.assets.eval_report.rows import Rows, RowSet, read_answers, scores_of
from ftassets.backends.artifacts.answers import keep_answers
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import version_folder
from ftassets.backends.evaluator.base import EvaluationFailed, EvaluationKilled, Evaluator
from ftassets.backends.model_client.external import ask_all
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.jobs import AnswerJob, Ask
from ftassets.domain.evaluation.metrics import CATALOGUE
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.evaluation.second_answers import SECOND_ANSWERS, SecondAnswers
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.release.version import MERGED
from ftassets.durable import file_digest


def answer_twice(
    context: Any,
    home: Home,
    artifacts: Artifacts,
    loop: LoopConfig,
    evaluator: Evaluator,
    rows: Rows,
    first: Mapping[str, str],
    versions: Mapping[str, str],
    began: float,
) -> SecondAnswers | None:
    """Production's second answers to a sample of the golden rows, whose first ones are `first` by row id; `began` is monotonic.

    None if its endpoint does not answer twice: a report without its noise is better than none. Raises EvaluationFailed.
    """
    started = time.monotonic()
    sample = sampled(rows)
    work = home.work / f"{context.run_id}-twice"
    work.mkdir(parents=True, exist_ok=True)
    try:
        output, digest = work / "again.parquet", versions["production"]
        system_prompt = system_prompt_of(loop, digest, sample, versions["base"])
        if model := external(artifacts, digest):
            try:
                ask_all("production", model, system_prompt, loop.task.max_tokens, prompts_of(sample), output, context.log.info)
            except EvaluationFailed as error:
                context.log.warning(f"the report is made without second answers of production: {error}")
                return None
        else:
            prompts = write_prompts(sample, work / "prompts.jsonl")
            ask = Ask(model=version_folder(artifacts, digest) / MERGED, prompts_file=prompts, output=output)
            evaluator.answer(
                AnswerJob(system_prompt=system_prompt, max_tokens=loop.task.max_tokens, asks=[ask], again=True, work=work), context
            )
        kept = keep_answers(artifacts, output, f"{file_digest(output)}.parquet")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    values = []
    if names := _compared_metrics(loop):
        try:
            found = measure_metrics(context, home, artifacts, loop, evaluator, names, [sample], {"production": [kept]}, {})[1]
            values = found["production"]
        except EvaluationKilled:
            raise
        except EvaluationFailed as error:  # a metric of the user's own may need what a sample does not have
            context.log.warning(f"gates on metrics are not evaluated twice: {error}")
    said, now = read_answers([kept]), time.monotonic()
    return SecondAnswers(
        scores=scores_of(loop, Rows([sample], []), [kept], values),
        differing=sum(said[row.id] != first[row.id] for row in sample.rows),
        answers=kept.name,
        row_scores=[path.name for path in values],
        seconds=round(now - started, 1),
        of_seconds=round(now - began, 1),
    )


def sampled(rows: Rows) -> RowSet:
    """The golden rows that are answered twice, the same ones each time."""
    chosen = set(fixed_sample([row.id for row in rows.golden], SECOND_ANSWERS))
    return RowSet([row for row in rows.golden if row.id in chosen])


def _compared_metrics(loop: LoopConfig) -> list[str]:
    """Metrics of answers that gates compare with production's."""
    compared = [gate.metric.rpartition(".")[0] for gate in single_gates(loop.gates) if gate.better_than or gate.no_worse_than]
    return [name for name in loop.metrics if name in compared and not (name in CATALOGUE and CATALOGUE[name].of_likelihoods)]
