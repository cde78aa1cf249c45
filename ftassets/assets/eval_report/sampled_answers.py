"""The golden and held-out rows answered as served answers are: sampled at the task's temperature, several times each."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftassets.assets.eval_report.answering import answer_key, external, system_prompt_of, write_prompts
from ftassets.assets.eval_report.rows import Rows, RowSet, scores_of
from ftassets.backends.artifacts.answers import answers_file, keep_answers
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import own_generation, version_folder
from ftassets.backends.evaluator.base import Evaluator
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import digest_of
from ftassets.domain.evaluation.jobs import AnswerJob, Ask
from ftassets.domain.evaluation.sampled_answers import SAMPLES, SampledAnswers, with_sampled
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.release.decoding import decoding
from ftassets.domain.release.version import MERGED


def sample_answers(
    context: Any,
    home: Home,
    artifacts: Artifacts,
    loop: LoopConfig,
    evaluator: Evaluator,
    rows: Rows,
    versions: Mapping[str, str],
) -> SampledAnswers | None:
    """Sampled answers of each role's model, where its weights are here; None at temperature 0. What was sampled once is kept.

    Raises EvaluationFailed.
    """
    task = loop.task
    if not task.temperature:
        return None
    work = home.work / f"{context.run_id}-sampled"
    work.mkdir(parents=True, exist_ok=True)
    try:
        asks: dict[Path, Ask] = {}
        names: dict[str, list[list[str]]] = {}
        settings: dict[str, dict[str, Any]] = {}
        for role, digest in versions.items():
            if external(artifacts, digest):
                continue
            settings[digest] = decoding(task.temperature, own_generation(artifacts, digest))
            for seed in range(SAMPLES):
                files = []
                for number, each in enumerate(_sets(rows)):
                    key = answer_key(loop, digest, each, versions["base"]) | {"decoding": settings[digest], "seed": seed}
                    output = answers_file(artifacts, f"{digest_of(key)}.parquet")
                    files.append(output.name)
                    if each.rows and not output.exists():
                        asks[output] = Ask(
                            model=version_folder(artifacts, digest) / MERGED,
                            prompts_file=write_prompts(each, work / f"prompts-{number}.jsonl"),
                            output=output,
                            system_prompt=system_prompt_of(loop, digest, each, versions["base"]),
                            decoding=settings[digest],
                            seed=seed,
                        )
                names.setdefault(role, []).append(files)
        if asks:
            context.log.info(f"sampling {SAMPLES} answers a row at temperature {task.temperature:g}, as the server does")
            job = AnswerJob(system_prompt=task.system_prompt, max_tokens=task.max_tokens, asks=list(asks.values()), work=work)
            evaluator.answer(job, context)
            for output in asks:
                keep_answers(artifacts, output)
        return SampledAnswers(temperature=task.temperature, samples=SAMPLES, decoding=settings, answers=names)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def add_sampled(
    artifacts: Artifacts, loop: LoopConfig, rows: Rows, sampled: SampledAnswers | None, role: str, scores: Sequence[Score]
) -> list[Score]:
    """A role's scores with what its sampled answers add, if it has any."""
    of_role = sampled.answers.get(role, []) if sampled else []
    asked = Rows(_sets(rows), [])
    return with_sampled(scores, [scores_of(loop, asked, [answers_file(artifacts, name) for name in names], []) for names in of_role])


def stored_files(artifacts: Artifacts, sampled: SampledAnswers | None) -> set[Path]:
    """All files of sampled answers."""
    lists = [names for of_role in sampled.answers.values() for names in of_role] if sampled else []
    return {path for names in lists for name in names if (path := answers_file(artifacts, name)).exists()}


def _sets(rows: Rows) -> list[RowSet]:
    """Golden and held-out rows; further sets are answered greedily only."""
    return [each for each in rows.sets if each.settings is None]
