"""Having models answer rows: ours in a process, others over HTTP; what was answered once is kept."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftassets.assets.eval_report.forgetting import forgetting_job
from ftassets.assets.eval_report.rows import Rows, RowSet, by_id
from ftassets.backends.artifacts.answers import answers_file, keep_answers
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.external import external_model
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import version_folder, version_key
from ftassets.backends.evaluator.base import EvaluationFailed, Evaluator
from ftassets.backends.model_client.external import ask_all
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import identity
from ftassets.domain.dataset.rows import Example, to_jsonl
from ftassets.domain.evaluation.jobs import AnsweredPrompt, AnswerJob, Ask, ForgettingJob, Likelihood, PerplexityJob, Prompt
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.report import HELD_OUT
from ftassets.domain.release.version import MERGED, ExternalModel
from ftassets.errors import FtassetsError

API = "api"  # role of the loop's priced API model: it has golden rows only, and no gate looks at it
Answers = dict[str, list[Path]]  # role -> one file of answers for each set of rows


class NotComparable(FtassetsError):
    """These versions and rows cannot be compared in a report; the message says what to do."""


def answer_file(artifacts: Artifacts, loop: LoopConfig, digest: str, rows: RowSet, base: str) -> Path:
    """Where a version's answers lie: the same model, prompts and generation settings are asked once."""
    return answers_file(artifacts, f"{digest_of(answer_key(loop, digest, rows, base))}.parquet")


def answer_key(loop: LoopConfig, digest: str, rows: RowSet, base: str) -> dict[str, Any]:
    """What a version's answers follow from, if they are greedy."""
    return {
        "model": digest,
        "prompts": [[row.id, identity(row)] for row in rows.rows],
        "system": system_prompt_of(loop, digest, rows, base),
        "max_tokens": loop.task.max_tokens,
    }


def system_prompt_of(loop: LoopConfig, digest: str, rows: RowSet, base: str) -> str:
    """System prompt of a version: the set's own, for the untuned base its best one, else the task's."""
    of_model = loop.task.base_prompt if digest == base and loop.task.base_prompt else loop.task.system_prompt
    return rows.settings.system_prompt if rows.settings and rows.settings.system_prompt else of_model


def answer_all(
    context: Any,
    home: Home,
    artifacts: Artifacts,
    loop: LoopConfig,
    evaluator: Evaluator,
    rows: Rows,
    answers: Answers,
    versions: Mapping[str, str],
) -> ForgettingJob | None:
    """Have every role's model answer every set, ours in one process; what was answered for an earlier report is kept.

    The same process compares the candidate with the others on general prompts: what it did, None if it cannot.
    """
    work = home.work / context.run_id
    work.mkdir(parents=True, exist_ok=True)
    general = forgetting_job(artifacts, versions, work)
    try:
        asks: dict[Path, Ask] = {}  # production may be the base: the same file is asked for once
        for role, files in answers.items():
            for number, (each, output) in enumerate(zip(rows.sets, files, strict=True)):
                if not each.rows or output.exists():
                    continue
                system_prompt = system_prompt_of(loop, versions[role], each, versions["base"])
                if model := external(artifacts, versions[role]):
                    ask_all(role, model, system_prompt, loop.task.max_tokens, prompts_of(each), output, context.log.info)
                    keep_answers(artifacts, output)
                    continue
                prompts = write_prompts(each, work / f"prompts-{number}.jsonl")
                folder = version_folder(artifacts, versions[role]) / MERGED
                asks[output] = Ask(model=folder, prompts_file=prompts, output=output, system_prompt=system_prompt)
        owed = [*asks, *([general.output] if general and not general.output.exists() else [])]
        if owed:
            job = AnswerJob(
                system_prompt=loop.task.system_prompt,
                max_tokens=loop.task.max_tokens,
                asks=list(asks.values()),
                work=work,
                forgetting=general,
            )
            evaluator.answer(job, context)
            for output in owed:
                keep_answers(artifacts, output)
        return general
    finally:
        shutil.rmtree(work, ignore_errors=True)


def prompts_of(rows: RowSet) -> dict[str, Example]:
    """The rows by id, as an endpoint is asked them."""
    return {row.id: row for row in rows.rows}


def write_prompts(rows: RowSet, path: Path) -> Path:
    """The file, written: the rows' requests."""
    path.write_text(to_jsonl(Prompt(id=row.id, messages=row.messages, tools=row.tools) for row in rows.rows))
    return path


def external(artifacts: Artifacts, digest: str) -> ExternalModel | None:
    """Where a version is served, None for one of ours. Raises NotComparable."""
    try:
        return external_model(artifacts, digest)
    except VersionDamaged as error:
        raise NotComparable(str(error)) from error


def ask_api(context: Any, artifacts: Artifacts, loop: LoopConfig, golden: RowSet) -> Path | None:
    """File of the loop's priced API model's answers to the golden rows; None without one, or when it cannot be asked."""
    api, task = loop.reference_model, loop.task
    if api is None:
        return None
    prompts = prompts_of(golden)
    asked = {
        "url": api.url,
        "model": api.model,
        "prompts": {name: identity(row) for name, row in prompts.items()},
        "system": task.system_prompt,
        "max_tokens": task.max_tokens,
    }
    path = answers_file(artifacts, f"{digest_of(asked)}.parquet")
    try:
        if not path.exists():
            ask_all(API, api, task.system_prompt, task.max_tokens, prompts, path, context.log.info)
            keep_answers(artifacts, path)
    except EvaluationFailed as error:  # it gates nothing
        context.log.warning(f"the report is made without the API model: {error}")
        return None
    return path


def api_sentence(loop: LoopConfig, scores: Mapping[str, Sequence[Score]], answers: Answers) -> str:
    """How good and how dear the loop's priced API model is on the golden rows, or that it was not asked; empty without one."""
    api = loop.reference_model
    if api is None:
        return ""
    if API not in scores:
        return f"{api.model} was not scored: it could not be asked, the run's log says why"
    rows = by_id(answers[API][0]).values()
    tokens = [sum(row[name] for row in rows) / len(rows) for name in ("tokens_in", "tokens_out")]
    right = sum(score.exact for score in scores[API])
    price = f"${api.usd_per_1000_requests(*tokens):.2f} per 1,000 requests of {tokens[0]:.0f} tokens in and {tokens[1]:.0f} out"
    return f"{api.model} has {right} of {len(rows)} golden rows right, {price if all(tokens) else 'and its endpoint counts no tokens'}"


def likelihoods_of(
    context: Any, home: Home, artifacts: Artifacts, loop: LoopConfig, evaluator: Evaluator, rows: Rows, versions: Mapping[str, str]
) -> dict[str, dict[int, Path]]:
    """How likely each role's model finds the expected golden and held-out answers: a file for each number of a set, kept for later reports.

    Only models whose weights are here can be asked.
    """
    work = home.work / f"{context.run_id}-perplexity"
    work.mkdir(parents=True, exist_ok=True)
    files: dict[str, dict[int, Path]] = {}
    wanted: dict[Path, Likelihood] = {}  # production may be the base
    try:
        for role, digest in versions.items():
            here = artifacts.exists(version_key(digest, MERGED))
            for number, each in enumerate(rows.sets) if here else ():
                if not each.rows or each.settings is not None:
                    continue
                system_prompt = system_prompt_of(loop, digest, each, versions["base"])
                expected = [[row.id, identity(row), row.completion] for row in each.rows]
                key = digest_of({"model": digest, "expected": expected, "system": system_prompt})
                output = files.setdefault(role, {})[number] = answers_file(artifacts, f"{key}.likelihoods.parquet")
                if not output.exists():
                    asked = expected_answers(each, work / f"expected-{number}.jsonl")
                    model = version_folder(artifacts, digest) / MERGED
                    wanted[output] = Likelihood(model=model, rows_file=asked, output=output, system_prompt=system_prompt)
        if wanted:
            evaluator.perplexity(PerplexityJob(likelihoods=list(wanted.values()), work=work), context)
            for output in wanted:
                keep_answers(artifacts, output)
        return files
    finally:
        shutil.rmtree(work, ignore_errors=True)


def expected_answers(rows: RowSet, path: Path) -> Path:
    """The file, written: rows with request, expected answer and slice."""
    slices = [HELD_OUT if rows.held_out else row.slice or "golden" for row in rows.rows]
    lines = [
        AnsweredPrompt(id=row.id, messages=row.messages, tools=row.tools, expected=row.completion, slice=name)
        for row, name in zip(rows.rows, slices, strict=True)
    ]
    path.write_text(to_jsonl(lines))
    return path
