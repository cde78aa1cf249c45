"""What an eval report rests on: every version's answers to the same rows, their scores, and what the real server shows."""

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from filelock import FileLock

from ftassets.domain.answers import Answered, AnswerJob, Ask, ExpectedAnswer, Likelihood, Measurements, MetricsJob, PerplexityJob
from ftassets.domain.canonical import digest_of, file_digest
from ftassets.domain.evaluation_sets import score_row
from ftassets.domain.gates.inputs import input_objections
from ftassets.domain.gates.report import HELD_OUT, EvalReport
from ftassets.domain.loop import EvaluationSet, LoopConfig
from ftassets.domain.parity import Parity
from ftassets.domain.presets import single_gates
from ftassets.domain.rows import Example
from ftassets.domain.scoring import Score, score
from ftassets.domain.versions import ExternalModel
from ftassets.home import Home
from ftassets.lineage.dataset_files import from_parquet, golden_path, read_sets, read_splits
from ftassets.lineage.judged import ask_judge
from ftassets.lineage.parity import measure_parity
from ftassets.lineage.stored_reports import policy_digest
from ftassets.resources.dataset_store.base import DatasetStore
from ftassets.resources.evaluator.base import EvaluationFailed, Evaluator
from ftassets.resources.external_model import ask_all, external_model
from ftassets.resources.latency import ResponseTime, interleaved_latency
from ftassets.resources.serving.base import Serving
from ftassets.resources.versions import MERGED, VersionDamaged, load_manifest

STAGED = 900.0  # seconds a version may be staged for what only its server can show
ROLES = ("base", "production", "candidate")
API = "api"  # role of the loop's priced API model: it has golden rows only, and no gate looks at it

Answers = dict[str, list[Path]]  # role -> one file of answers for each set of rows


class NotComparable(Exception):
    """No report can be made of these versions and rows; the message says what to do."""


@dataclass(frozen=True)
class RowSet:
    """Rows every version answers: the golden set, the held-out split, or a further set with its own settings."""

    rows: list[Example]
    held_out: bool = False
    settings: EvaluationSet | None = None


@dataclass(frozen=True)
class Rows:
    """All sets of a report, the golden one first, and what the candidate was trained on."""

    sets: list[RowSet]
    train: list[Example]

    @property
    def golden(self) -> list[Example]:
        return self.sets[0].rows

    @property
    def judged(self) -> list[Example]:
        """Rows people wrote to judge by: golden and further sets."""
        return [row for each in self.sets if not each.held_out for row in each.rows]


@dataclass(frozen=True)
class Measured:
    """A report, the rows it is about, and the files with each role's answers to them."""

    report: EvalReport
    rows: Rows
    answers: Answers


def measure(
    loop: LoopConfig,
    candidate: str,
    golden_commit: str,
    production: str | None,
    home: Home,
    store: DatasetStore,
    evaluator: Evaluator,
    serving: Serving | None,
    context: Any,
    golden_uses: int = 1,
) -> Measured:
    """Have candidate, production and untuned base answer all rows, score them, and compare candidate and production as they serve.

    Without `production` the base takes its place; without `serving` nothing is said of response times and parity. `context` is that of
    the run, `golden_uses` counts the candidates judged by this golden commit. Answers of an earlier report are used again.
    Raises NotComparable, EvaluationFailed, ServingError.
    """
    manifest = load_manifest(home.versions, candidate)
    base, commit = manifest.base_digest, manifest.dataset_commit
    if base is None or commit is None:
        raise NotComparable(f"version {candidate[:12]} names no base model or dataset: train it again")
    versions = {"base": base, "production": production or base, "candidate": candidate}
    here = {role: (home.versions / digest / MERGED).is_dir() or _external(home, digest) for role, digest in versions.items()}
    if gone := [role for role, found in here.items() if not found]:
        folder = home.versions / versions[gone[0]]
        raise NotComparable(
            f"{gone[0]} is version {folder.name[:12]}, whose folder {folder} is gone: restore it, or roll back to a version that is there"
        )
    rows = read_rows(store, loop, golden_commit, commit)
    if why := input_objections(rows.golden and rows.judged, rows.train):
        raise NotComparable(f"no report: {'; '.join(why)}")

    answers = {role: [answer_file(home, loop, digest, each, base) for each in rows.sets] for role, digest in versions.items()}
    _answer(context, home, loop, evaluator, rows, answers, versions)
    likelihoods = _likelihoods(context, home, loop, evaluator, rows, versions) if "perplexity" in loop.metrics else {}
    metrics, row_scores = _measure_metrics(context, home, loop, evaluator, rows, answers, likelihoods) if loop.metrics else ({}, {})
    scores = {role: scores_of(loop, rows, answers[role], row_scores.get(role, [])) for role in ROLES}
    if api := _ask_api(context, home, loop, rows.sets[0]):
        answers[API] = [api]
        scores[API] = scores_of(loop, rows, [api], [])
        context.log.info(api_sentence(loop, scores, answers))
    if lacking := unmeasured(loop, scores["candidate"]):
        raise NotComparable(
            f"{lacking[0]} has no value for each row, so no gate can compare it: give its class a method `rows`, or change the gate"
        )
    said = {role: read_answers(files[:1]) for role, files in answers.items()}
    preferences, calibration = ask_judge(home, loop, rows.golden, said["candidate"], said["production"], context.log.info)
    times, parity = _as_served(context, loop, home, evaluator, serving, rows.golden, said["candidate"], versions) if serving else ({}, None)
    stored = {path for each in (answers, row_scores) for paths in each.values() for path in paths if path.exists()}
    report = EvalReport(
        loop=loop.name,
        run_id=context.run_id,
        candidate=candidate,
        production=versions["production"],
        production_is_base=production is None,
        base=base,
        dataset_commit=commit,
        golden_commit=golden_commit,
        policy_digest=policy_digest(loop),
        generation={"temperature": loop.task.temperature, "max_tokens": loop.task.max_tokens},
        scores=scores,
        latency_ms={role: [each.whole_ms for each in found] for role, found in times.items()},
        ttft_ms={role: [each.first_ms for each in found] for role, found in times.items()},
        answers={role: [path.name for path in paths] for role, paths in answers.items()},
        row_scores={role: [path.name for path in paths] for role, paths in row_scores.items()},
        answers_digests={path.name: file_digest(path) for path in sorted(stored)},
        metrics=metrics,
        other_sets=tuple(each.name for each in loop.sets),
        golden_uses=golden_uses,
        parity=parity,
        preferences=preferences,
        judge_calibration=calibration,
    )
    return Measured(report, rows, answers)


def read_rows(store: DatasetStore, loop: LoopConfig, golden_commit: str, dataset_commit: str) -> Rows:
    """Golden and further rows of one commit, held-out and training rows of another."""
    splits = read_splits(store, dataset_commit, loop.name)
    golden = from_parquet(store.read(golden_commit, golden_path(loop.name)))
    further = read_sets(store, golden_commit, loop.name, [each.name for each in loop.sets])
    sets = [RowSet(golden), RowSet(splits["test"], held_out=True), *(RowSet(further[each.name], settings=each) for each in loop.sets)]
    return Rows(sets, splits["train"])


def scores_of(loop: LoopConfig, rows: Rows, files: Sequence[Path], row_scores: Sequence[Path]) -> list[Score]:
    """One role's scores from its stored answers and row scores, the golden rows first; sets after the last file were not asked."""
    values = iter(row_scores)
    scores = []
    for each, path in zip(rows.sets[: len(files)], files, strict=True):
        if not each.rows:
            continue
        found = by_id(path)
        of_row = by_id(next(values)) if row_scores and each.settings is None else {}
        for row in each.rows:
            said, cut = found[row.id]["answer"], found[row.id]["truncated"]
            if each.settings is not None:
                scores.append(score_row(each.settings, row, said, loop.task.type, cut))
                continue
            name, part = (f"{HELD_OUT}:{row.id}", HELD_OUT) if each.held_out else (row.id, row.slice or "golden")
            made = score(name, part, said, row.completion, loop.task.type, loop.task.label, cut)
            scores.append(made.model_copy(update={"values": of_row[row.id]}) if of_row else made)
    return scores


def read_answers(files: Sequence[Path]) -> dict[str, str]:
    """Answers by row id, of all files that exist (an empty set has none)."""
    return {name: row["answer"] for path in files if path.exists() for name, row in by_id(path).items()}


def by_id(path: Path) -> dict[str, dict[str, Any]]:
    """The other columns of a Parquet file by its column id."""
    import pyarrow.parquet as pq

    return {row.pop("id"): row for row in pq.read_table(path).to_pylist()}


def unmeasured(loop: LoopConfig, scores: Sequence[Score]) -> list[str]:
    """Metrics the loop's gates compare of which a golden or held-out row has no value."""
    names = {gate.metric for gate in single_gates(loop.gates) if "." in gate.metric}
    further = {each.name for each in loop.sets}
    return sorted(name for name in names if any(name not in each.values for each in scores if each.slice not in further))


def _system_prompt(loop: LoopConfig, digest: str, rows: RowSet, base: str) -> str:
    """What a version is told: the set's own prompt, the untuned base its best one, else the task's."""
    of_model = loop.task.base_prompt if digest == base and loop.task.base_prompt else loop.task.system_prompt
    return rows.settings.system_prompt if rows.settings and rows.settings.system_prompt else of_model


def answer_file(home: Home, loop: LoopConfig, digest: str, rows: RowSet, base: str) -> Path:
    """Where a version's answers lie: the same model, prompts and generation settings are asked once."""
    key = digest_of(
        {
            "model": digest,
            "prompts": [[row.id, row.prompt] for row in rows.rows],
            "system": _system_prompt(loop, digest, rows, base),
            "max_tokens": loop.task.max_tokens,
        }
    )
    return home.answers / f"{key}.parquet"


def _answer(
    context: Any, home: Home, loop: LoopConfig, evaluator: Evaluator, rows: Rows, answers: Answers, versions: Mapping[str, str]
) -> None:
    """Have every role's model answer every set, ours in one process; what was answered for an earlier report is kept."""
    work = home.root / "work" / context.run_id
    work.mkdir(parents=True, exist_ok=True)
    home.answers.mkdir(parents=True, exist_ok=True)
    try:
        asks: dict[Path, Ask] = {}  # production may be the base: the same file is asked for once
        for role, files in answers.items():
            for number, (each, output) in enumerate(zip(rows.sets, files, strict=True)):
                if not each.rows or output.exists():
                    continue
                system_prompt = _system_prompt(loop, versions[role], each, versions["base"])
                if model := _external(home, versions[role]):
                    ask_all(role, model, system_prompt, loop.task.max_tokens, _prompts_of(each), output, context.log.info)
                    continue
                prompts = work / f"prompts-{number}.jsonl"
                prompts.write_text("".join(json.dumps({"id": row.id, "prompt": row.prompt}) + "\n" for row in each.rows))
                folder = home.versions / versions[role] / MERGED
                asks[output] = Ask(model=folder, prompts_file=prompts, output=output, system_prompt=system_prompt)
        if asks:
            job = AnswerJob(system_prompt=loop.task.system_prompt, max_tokens=loop.task.max_tokens, asks=list(asks.values()), work=work)
            evaluator.answer(job, context)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _prompts_of(rows: RowSet) -> dict[str, str]:
    return {row.id: row.prompt for row in rows.rows}


def _ask_api(context: Any, home: Home, loop: LoopConfig, golden: RowSet) -> Path | None:
    """File of the loop's priced API model's answers to the golden rows; None without one, or when it cannot be asked."""
    api, task = loop.reference_model, loop.task
    if api is None:
        return None
    prompts = _prompts_of(golden)
    asked = {"url": api.url, "model": api.model, "prompts": prompts, "system": task.system_prompt, "max_tokens": task.max_tokens}
    path = home.answers / f"{digest_of(asked)}.parquet"
    try:
        if not path.exists():
            ask_all(API, api, task.system_prompt, task.max_tokens, prompts, path, context.log.info)
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


def _external(home: Home, digest: str) -> ExternalModel | None:
    """Where a version is served, None for one of ours. Raises NotComparable."""
    try:
        return external_model(home.versions / digest)
    except VersionDamaged as error:
        raise NotComparable(str(error)) from error


def _likelihoods(
    context: Any, home: Home, loop: LoopConfig, evaluator: Evaluator, rows: Rows, versions: Mapping[str, str]
) -> dict[str, dict[int, Path]]:
    """How likely each role's model finds the expected golden and held-out answers: a file for each number of a set, kept for later reports.

    Only models whose weights are here can be asked.
    """
    work = home.root / "work" / f"{context.run_id}-perplexity"
    work.mkdir(parents=True, exist_ok=True)
    files: dict[str, dict[int, Path]] = {}
    wanted: dict[Path, Likelihood] = {}  # production may be the base
    try:
        for role, digest in versions.items():
            model = home.versions / digest / MERGED
            for number, each in enumerate(rows.sets) if model.is_dir() else ():
                if not each.rows or each.settings is not None:
                    continue
                system_prompt = _system_prompt(loop, digest, each, versions["base"])
                expected = [[row.id, row.prompt, row.completion] for row in each.rows]
                key = digest_of({"model": digest, "expected": expected, "system": system_prompt})
                output = files.setdefault(role, {})[number] = home.answers / f"{key}.likelihoods.parquet"
                if not output.exists():
                    asked = _expected_answers(each, work / f"expected-{number}.jsonl")
                    wanted[output] = Likelihood(model=model, rows_file=asked, output=output, system_prompt=system_prompt)
        if wanted:
            evaluator.perplexity(PerplexityJob(likelihoods=list(wanted.values()), work=work), context)
        return files
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _expected_answers(rows: RowSet, path: Path) -> Path:
    """The file, written: rows with prompt, expected answer and slice."""
    slices = [HELD_OUT if rows.held_out else row.slice or "golden" for row in rows.rows]
    lines = [
        ExpectedAnswer(id=row.id, expected=row.completion, slice=name, prompt=row.prompt)
        for row, name in zip(rows.rows, slices, strict=True)
    ]
    path.write_text("".join(line.model_dump_json() + "\n" for line in lines))
    return path


def _measure_metrics(
    context: Any,
    home: Home,
    loop: LoopConfig,
    evaluator: Evaluator,
    rows: Rows,
    answers: Answers,
    likelihoods: Mapping[str, Mapping[int, Path]],
) -> tuple[Measurements, Answers]:
    """The loop's further metrics of golden and held-out answers, by slice, in a process of their own; and the files of row scores.

    A file of row scores lies beside the answers under the digest of its bytes; sets without rows have none.
    """
    work = home.root / "work" / f"{context.run_id}-metrics"
    work.mkdir(parents=True, exist_ok=True)
    try:
        answered = []
        for number, each in enumerate(rows.sets):
            if not each.rows or each.settings is not None:
                continue
            expected = _expected_answers(each, work / f"expected-{number}.jsonl")
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
            metrics=loop.metrics,
            task=loop.task.type,
            label=loop.task.label,
            answered=answered,
            output=work / "metrics.json",
            work=work,
        )
        table = evaluator.measure(job, context)
        row_scores: Answers = {}
        for found in answered:
            if found.row_scores is not None:
                kept = found.row_scores.replace(home.answers / f"{file_digest(found.row_scores)}.scores.parquet")
                row_scores.setdefault(found.role, []).append(kept)
        return table, row_scores
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _as_served(
    context: Any,
    loop: LoopConfig,
    home: Home,
    evaluator: Evaluator,
    serving: Serving,
    golden: Sequence[Example],
    merged_answers: Mapping[str, str],
    versions: Mapping[str, str],
) -> tuple[dict[str, list[ResponseTime]], Parity | None]:
    """Response times of candidate and production in turns, and the candidate's parity, as far as a gate asks for them."""
    gates = single_gates(loop.gates)
    pairs = max((gate.pairs for gate in gates if gate.metric == "latency_p95"), default=0)
    parity = any(gate.metric == "parity" for gate in gates)
    roles = ["candidate", *(["production"] if pairs else [])] if pairs or parity else []
    if not roles:
        return {}, None
    context.log.info("asking the real server")
    home.gateway.mkdir(parents=True, exist_ok=True)
    # staging is shared: two measurements at once would end each other's servers, and slow them down
    with FileLock(home.gateway / f"{loop.name}.staging.lock"):
        with ThreadPoolExecutor() as pool:  # both servers start at the same time
            urls = dict(zip(roles, pool.map(lambda role: serving.stage(loop.name, versions[role], STAGED), roles), strict=True))
        try:
            stride = max(1, len(golden) // pairs) if pairs else 1
            prompts = list(islice(cycle(row.prompt for row in golden[::stride]), pairs))
            latency = interleaved_latency(urls, prompts, loop.task) if pairs else {}
            manifest = load_manifest(home.versions, versions["candidate"])
            found = measure_parity(loop, home, evaluator, urls["candidate"], manifest, golden, merged_answers, context) if parity else None
            return latency, found
        finally:
            if pairs:
                serving.unstage(loop.name, versions["production"])  # the candidate stays staged: its rollout is near, and the lease ends it
