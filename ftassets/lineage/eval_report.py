"""Candidate, production and untuned base on the same rows: what the promotion gates decide on."""

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import dagster as dg

from ftassets.domain.answers import Answered, AnswerJob, Ask, ExpectedAnswer, Measurements, MetricsJob
from ftassets.domain.canonical import canonical_json, digest_of, file_digest
from ftassets.domain.gates.inputs import input_objections
from ftassets.domain.gates.policy import judge
from ftassets.domain.gates.report import HELD_OUT, EvalReport, in_slice
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.loop import LoopConfig
from ftassets.domain.presets import single_gates
from ftassets.domain.rows import Example
from ftassets.domain.scoring import Score, score
from ftassets.domain.statistics import wilson_interval
from ftassets.home import Home
from ftassets.lineage.dataset_files import from_parquet, golden_path, read_splits
from ftassets.lineage.events import node, required
from ftassets.lineage.node import describe
from ftassets.reporting.plots import accuracy_bars, gate_marks
from ftassets.reporting.tables import markdown_table
from ftassets.resources.dataset_store.base import DatasetStore
from ftassets.resources.evaluator.base import EvaluationFailed, EvaluationKilled, Evaluator
from ftassets.resources.latency import interleaved_latency
from ftassets.resources.serving.base import Serving
from ftassets.resources.versions import MERGED, load_manifest

STAGED = 900.0  # seconds a version may be staged for the latency comparison
ROLES = ("base", "production", "candidate")
REGRESSIONS = 10  # rows shown that production answers better than the candidate
MARKS = {Verdict.PASS: "✔ PASS", Verdict.FAIL: "✘ FAIL", Verdict.NOT_ENOUGH_DATA: "… NOT ENOUGH DATA"}


def build(loop: LoopConfig) -> tuple[dg.AssetsDefinition, dg.AssetChecksDefinition]:
    """The asset and the one blocking check set that holds all gates."""
    key = node(loop.name, "eval_report")

    @dg.asset(
        key=key,
        deps=[node(loop.name, name) for name in ("adapter", "golden_set", "curated_dataset")],
        **describe(loop, __doc__, {"python"}),
    )
    def eval_report(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        dataset_store: dg.ResourceParam[DatasetStore],
        evaluator: dg.ResourceParam[Evaluator],
        serving: dg.ResourceParam[Serving],
    ) -> dg.MaterializeResult:
        candidate = required(context.instance, node(loop.name, "adapter"))
        golden_commit = required(context.instance, node(loop.name, "golden_set"))
        manifest = load_manifest(home.versions, candidate)
        base, commit = manifest.base_digest, manifest.dataset_commit
        if base is None or commit is None:
            raise dg.Failure(f"version {candidate[:12]} names no base model or dataset: train it again", allow_retries=False)
        serving_now = serving.state(loop.name).production
        versions = {"base": base, "production": serving_now or base, "candidate": candidate}
        if gone := [role for role, digest in versions.items() if not (home.versions / digest / MERGED).is_dir()]:
            raise dg.Failure(
                f"{gone[0]} is version {versions[gone[0]][:12]}, whose folder {home.versions / versions[gone[0]]} is gone: "
                "restore it, or roll back to a version that is there",
                allow_retries=False,
            )
        golden, held_out, train = _rows(dataset_store, loop, golden_commit, commit)
        if why := input_objections(golden, train):
            raise dg.Failure(f"no report: {'; '.join(why)}", allow_retries=False)

        answers = {role: _answer_files(home, loop, digest, [golden, held_out]) for role, digest in versions.items()}
        try:
            _answer(context, home, loop, evaluator, [golden, held_out], answers, versions)
            metrics, row_scores = _measure(context, home, loop, evaluator, [golden, held_out], answers) if loop.metrics else ({}, {})
        except EvaluationKilled as error:
            raise dg.RetryRequested(max_retries=1, seconds_to_wait=1) from error
        except EvaluationFailed as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        scores = {role: _scores(loop, golden, held_out, answers[role], row_scores.get(role, [])) for role in ROLES}
        if lacking := unmeasured(loop, scores["candidate"]):
            text = f"{lacking[0]} has no value for each row, so no gate can compare it: give its class a method `rows`, or change the gate"
            raise dg.Failure(text, allow_retries=False)
        stored = {path for each in (answers, row_scores) for paths in each.values() for path in paths if path.exists()}
        context.log.info("comparing latency on the real server")
        latency = _latency(context, loop, serving, golden, candidate, versions["production"])
        report = EvalReport(
            loop=loop.name,
            run_id=context.run_id,
            candidate=candidate,
            production=versions["production"],
            production_is_base=serving_now is None,
            base=base,
            dataset_commit=commit,
            golden_commit=golden_commit,
            policy_digest=policy_digest(loop),
            generation={"temperature": loop.task.temperature, "max_tokens": loop.task.max_tokens},
            scores=scores,
            latency_ms=latency,
            answers={role: [path.name for path in paths] for role, paths in answers.items()},
            row_scores={role: [path.name for path in paths] for role, paths in row_scores.items()},
            answers_digests={path.name: file_digest(path) for path in sorted(stored)},
            metrics=metrics,
        )
        digest = store_report(home, report)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest),
            metadata=_metadata(loop, home, report, digest, answers, golden, held_out),
        )

    @dg.multi_asset_check(
        name=f"{loop.name}__promotion_gates",
        specs=[dg.AssetCheckSpec(gate.name, asset=key, blocking=True, description=gate.sentence) for gate in loop.gates],
        can_subset=True,
    )
    def promotion_gates(context: dg.AssetCheckExecutionContext, home: dg.ResourceParam[Home]):  # noqa: ANN202 - dagster inspects it
        report = read_report(home, loop, required(context.instance, key))
        for result in judge(loop.gates, report):
            if dg.AssetCheckKey(key, result.name) in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=result.name,
                    passed=result.verdict is Verdict.PASS,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description=f"{result.verdict.value}: {result.sentence}",
                    metadata=_evidence(result),
                )

    return eval_report, promotion_gates


def policy_digest(loop: LoopConfig) -> str:
    """Digest of the gates a report was made for; another policy needs another report."""
    return digest_of([gate.model_dump() for gate in loop.gates])


def store_report(home: Home, report: EvalReport) -> str:
    """Write a report under the digest of its bytes, which is returned."""
    content = canonical_json(report.model_dump(mode="json"))
    digest = digest_of(json.loads(content))
    folder = home.reports / report.loop
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"eval-{digest}.json").write_bytes(content)
    return digest


def read_report(home: Home, loop: LoopConfig, digest: str) -> EvalReport:
    """A stored report whose bytes still have the digest. Raises dg.Failure."""
    path = home.reports / loop.name / f"eval-{digest}.json"
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise dg.Failure(f"the report {digest[:12]} cannot be read: {error}; materialize eval_report again", allow_retries=False) from error
    if digest_of(content) != digest:
        raise dg.Failure(f"the report {digest[:12]} was changed after it was written; materialize eval_report again", allow_retries=False)
    return EvalReport.model_validate(content)


def recompute(home: Home, loop: LoopConfig, store: DatasetStore, digest: str) -> tuple[EvalReport, list[GateResult]]:
    """A stored report with its scores computed again from the stored answers and row scores, and its verdicts.

    Raises dg.Failure when a file is missing or not the one the report was made of, or when a score comes out differently.
    """
    stored = read_report(home, loop, digest)
    for name, wanted in stored.answers_digests.items():
        path = home.answers / name
        if not path.exists() or file_digest(path) != wanted:
            what = "was changed after" if path.exists() else "is missing, which was there when"
            raise dg.Failure(f"{path} {what} the report {digest[:12]} was made: it cannot be computed again", allow_retries=False)
    golden, held_out, _ = _rows(store, loop, stored.golden_commit, stored.dataset_commit)
    paths = {
        field: {role: [home.answers / name for name in names] for role, names in found.items()}
        for field, found in (("answers", stored.answers), ("row_scores", stored.row_scores))
    }
    scores = {role: _scores(loop, golden, held_out, paths["answers"][role], paths["row_scores"].get(role, [])) for role in stored.scores}
    if different := [role for role, each in scores.items() if each != stored.scores[role]]:
        raise dg.Failure(f"the scores of {different[0]} in the report {digest[:12]} come out differently now", allow_retries=False)
    made = stored.model_copy(update={"scores": scores})
    return made, judge(loop.gates, made)


def unmeasured(loop: LoopConfig, scores: Sequence[Score]) -> list[str]:
    """Metrics the loop's gates compare of which a row has no value."""
    names = {gate.metric for gate in single_gates(loop.gates) if "." in gate.metric}
    return sorted(name for name in names if any(name not in each.values for each in scores))


def _rows(store: DatasetStore, loop: LoopConfig, golden_commit: str, commit: str) -> tuple[list[Example], list[Example], list[Example]]:
    """Golden, held-out and training rows."""
    splits = read_splits(store, commit, loop.name)
    return from_parquet(store.read(golden_commit, golden_path(loop.name))), splits["test"], splits["train"]


def _answer_files(home: Home, loop: LoopConfig, digest: str, sets: Sequence[Sequence[Example]]) -> list[Path]:
    """Where a model's answers to each set lie: the same model, prompts and generation settings are asked once."""
    keys = [
        digest_of(
            {"model": digest, "prompts": [[row.id, row.prompt] for row in rows], "system": loop.task.system_prompt,
             "max_tokens": loop.task.max_tokens}
        )
        for rows in sets
    ]  # fmt: skip
    return [home.answers / f"{key}.parquet" for key in keys]


def _answer(
    context: dg.AssetExecutionContext,
    home: Home,
    loop: LoopConfig,
    evaluator: Evaluator,
    sets: Sequence[Sequence[Example]],
    answers: dict[str, list[Path]],
    versions: dict[str, str],
) -> None:
    """Have every role's model answer every set, in one process; what was answered for an earlier report is kept."""
    work = home.root / "work" / context.run_id
    work.mkdir(parents=True, exist_ok=True)
    home.answers.mkdir(parents=True, exist_ok=True)
    try:
        asks: dict[Path, Ask] = {}  # production may be the base: the same file is asked for once
        for role, files in answers.items():
            for number, (rows, output) in enumerate(zip(sets, files, strict=True)):
                prompts = work / f"prompts-{number}.jsonl"
                prompts.write_text("".join(json.dumps({"id": row.id, "prompt": row.prompt}) + "\n" for row in rows))
                if rows and not output.exists():
                    asks[output] = Ask(model=home.versions / versions[role] / MERGED, prompts_file=prompts, output=output)
        if asks:
            job = AnswerJob(system_prompt=loop.task.system_prompt, max_tokens=loop.task.max_tokens, asks=list(asks.values()), work=work)
            evaluator.answer(job, context)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _measure(
    context: dg.AssetExecutionContext,
    home: Home,
    loop: LoopConfig,
    evaluator: Evaluator,
    sets: Sequence[Sequence[Example]],
    answers: dict[str, list[Path]],
) -> tuple[Measurements, dict[str, list[Path]]]:
    """The loop's further metrics over all roles' stored answers, by slice, in a process of their own; and the files of row scores.

    A file of row scores lies beside the answers under the digest of its bytes; sets without rows have none.
    """
    work = home.root / "work" / f"{context.run_id}-metrics"
    work.mkdir(parents=True, exist_ok=True)
    try:
        answered = []
        for number, rows in enumerate(sets):
            if not rows:
                continue
            expected = work / f"expected-{number}.jsonl"
            slices = [HELD_OUT if number else row.slice or "golden" for row in rows]
            lines = [ExpectedAnswer(id=row.id, expected=row.completion, slice=name) for row, name in zip(rows, slices, strict=True)]
            expected.write_text("".join(line.model_dump_json() + "\n" for line in lines))
            answered += [
                Answered(role=role, prompts_file=expected, answers=files[number], row_scores=work / f"{role}-{number}.parquet")
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
        row_scores: dict[str, list[Path]] = {}
        for each in answered:
            if each.row_scores is not None:
                kept = each.row_scores.replace(home.answers / f"{file_digest(each.row_scores)}.scores.parquet")
                row_scores.setdefault(each.role, []).append(kept)
        return table, row_scores
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _scores(
    loop: LoopConfig, golden: Sequence[Example], held_out: Sequence[Example], files: Sequence[Path], row_scores: Sequence[Path]
) -> list[Score]:
    """One role's scores from its stored answers and row scores, the golden rows first."""
    scores, values = [], [_by_id(path) for path in row_scores]
    sets = [(rows, path, held) for rows, path, held in zip((golden, held_out), files, (False, True), strict=True) if rows]
    for number, (rows, path, held) in enumerate(sets):
        found = _by_id(path)
        for row in rows:
            said, name = found[row.id], f"{HELD_OUT}:{row.id}" if held else row.id
            part = HELD_OUT if held else row.slice or "golden"
            made = score(name, part, said["answer"], row.completion, loop.task.type, loop.task.label, said["truncated"])
            scores.append(made.model_copy(update={"values": values[number][row.id]}) if values else made)
    return scores


def _by_id(path: Path) -> dict[str, dict[str, Any]]:
    """The other columns of a Parquet file by its column id."""
    import pyarrow.parquet as pq

    return {row.pop("id"): row for row in pq.read_table(path).to_pylist()}


def read_answers(files: Sequence[Path]) -> dict[str, str]:
    """Answers by row id, of all files that exist (an empty set has none)."""
    import pyarrow.parquet as pq

    found: dict[str, str] = {}
    for path in files:
        if path.exists():
            table = pq.read_table(path, columns=["id", "answer"]).to_pydict()
            found |= dict(zip(table["id"], table["answer"], strict=True))
    return found


def _latency(
    context: dg.AssetExecutionContext, loop: LoopConfig, serving: Serving, golden: Sequence[Example], candidate: str, production: str
) -> dict[str, list[float]]:
    versions = {"candidate": candidate, "production": production}
    pairs = max((gate.pairs for gate in single_gates(loop.gates) if gate.metric == "latency_p95"), default=0)
    if not pairs:
        return {}
    with ThreadPoolExecutor() as pool:  # both servers start at the same time
        urls = dict(zip(versions, pool.map(lambda digest: serving.stage(loop.name, digest, STAGED), versions.values()), strict=True))
    try:
        stride = max(1, len(golden) // pairs)
        prompts = list(islice(cycle(row.prompt for row in golden[::stride]), pairs))
        return interleaved_latency(urls, prompts, loop.task)
    finally:
        serving.unstage(loop.name, production)  # the candidate stays staged: its rollout is near, and the lease ends it


def _evidence(result: GateResult) -> dict[str, float | int | str]:
    values = {
        "verdict": result.verdict.value,
        "estimate": result.value,
        "bound": result.bound,
        "threshold": result.threshold,
        "p_value": result.p_value,
        "rows": result.n,
        "rows_needed": result.rows_needed,
    }
    return {name: value for name, value in values.items() if value is not None}


def gate_table(results: Sequence[GateResult]) -> str:
    """All gates of a report as a Markdown table."""
    return markdown_table(["gate", "verdict", "evidence"], [(r.name, MARKS[r.verdict], r.sentence) for r in results])


def accuracies(report: EvalReport) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Exact match per slice and role: (share, low, high) with the 95 % Wilson interval."""
    slices = sorted({s.slice for s in report.scores["candidate"]})
    table: dict[str, dict[str, tuple[float, float, float]]] = {}
    for name in slices:
        for role in ROLES:
            rows = in_slice(report.scores[role], name)
            right = sum(s.exact for s in rows)
            table.setdefault(name, {})[role] = (right / len(rows), *wilson_interval(right, len(rows)))
    return table


def _metadata(
    loop: LoopConfig,
    home: Home,
    report: EvalReport,
    digest: str,
    answers: dict[str, list[Path]],
    golden: Sequence[Example],
    held_out: Sequence[Example],
) -> dict[str, dg.MetadataValue | str | float | int]:
    shares, results = accuracies(report), judge(loop.gates, report)
    marks = [(r.name, r.verdict.value, r.value, r.bound, r.threshold) for r in results if r.value is not None and r.bound is not None]
    source = {row.id: row.source for row in golden} | {f"{HELD_OUT}:{row.id}": row.source for row in held_out}
    tables = {
        "exact_match": _share_table("slice", report, {s.id: s.slice for s in report.scores["candidate"]}),
        "exact_match_per_class": _share_table("class", report, {s.id: s.expected or "" for s in report.scores["candidate"]}),
        "exact_match_per_source": _share_table("source", report, source),
    }
    return {
        "candidate": report.candidate,
        "production": report.production,
        "production_is_base": str(report.production_is_base),
        "gates": dg.MetadataValue.md(gate_table(results)),
        **({"gates_plot": dg.MetadataValue.md(gate_marks(marks))} if marks else {}),
        **{name: dg.MetadataValue.md(table) for name, table in tables.items() if table or name == "exact_match"},
        "accuracy": dg.MetadataValue.md(accuracy_bars(shares)),
        "worse_than_production": dg.MetadataValue.md(_regressions(report, answers, golden)),
        "answer_sizes": dg.MetadataValue.md(_sizes(answers)),
        **{f"{role}_truncated": sum(s.truncated for s in report.scores[role]) for role in ROLES},
        **({"metrics": dg.MetadataValue.md(_metrics_table(report))} if report.metrics else {}),
        "report": dg.MetadataValue.path(home.reports / loop.name / f"eval-{digest}.json"),
        "dataset_commit": report.dataset_commit,
        "golden_commit": report.golden_commit,
        **{f"{role}_exact_match_{name}": shares[name][role][0] for name in shares for role in ROLES},
    }


def _share_table(kind: str, report: EvalReport, group_of: Mapping[str, str]) -> str:
    """Exact match by group of rows, with 95 % Wilson intervals; empty when all rows are of one group."""
    groups = sorted(set(group_of.values()))
    if len(groups) < 2 and kind != "slice":
        return ""
    lines = []
    for group in groups:
        of_role = {role: [s.exact for s in report.scores[role] if group_of[s.id] == group] for role in ROLES}
        cells = []
        for right in of_role.values():
            low, high = wilson_interval(sum(right), len(right))
            cells.append(f"{sum(right) / len(right):.3f} ({low:.3f} to {high:.3f})")
        lines.append((group, len(of_role["candidate"]), *cells))
    return markdown_table([kind, "rows", *ROLES], lines)


def _regressions(report: EvalReport, answers: dict[str, list[Path]], golden: Sequence[Example]) -> str:
    """The golden rows on which the candidate lost most, both answers side by side."""
    scores = {role: {s.id: s for s in report.scores[role]} for role in ("production", "candidate")}

    def lost(row: Example) -> tuple[int, float]:
        before, after = scores["production"][row.id], scores["candidate"][row.id]
        return before.exact - after.exact, before.fields - after.fields

    worse = sorted((row for row in golden if lost(row) > (0, 0.0)), key=lost, reverse=True)[:REGRESSIONS]
    said = {role: read_answers(answers[role][:1]) for role in scores}
    return markdown_table(
        ["slice", "request", "expected", "production", "candidate"],
        [(row.slice or "golden", row.prompt, row.completion, said["production"][row.id], said["candidate"][row.id]) for row in worse],
    )


def _sizes(answers: dict[str, list[Path]]) -> str:
    """Tokens of each role's answers, and how many were cut at the limit: these are never right."""
    lines = []
    for role in ROLES:
        rows = [row for path in answers[role] if path.exists() for row in _by_id(path).values()]
        tokens = [row["tokens_out"] for row in rows]
        cut = sum(row["truncated"] for row in rows)
        lines.append((role, len(rows), sum(tokens) / len(tokens), max(tokens), f"{cut} ({cut / len(rows):.1%})"))
    return markdown_table(["model", "answers", "mean tokens", "most tokens", "cut at the limit"], lines)


def _metrics_table(report: EvalReport) -> str:
    """The loop's further metrics: a line per metric, value and slice, a column per model."""
    rows = [
        (metric, value, name, *(by_role[role].get(name, {}).get(value, "") for role in ROLES))
        for metric, by_role in report.metrics.items()
        for name, values in by_role["candidate"].items()
        for value in values
    ]
    return markdown_table(["metric", "value", "slice", *ROLES], rows)
