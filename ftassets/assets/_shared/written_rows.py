"""Files of examples people wrote, checked and committed."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from ftassets.assets._shared.dataset_files import set_path, sets_folder, to_parquet
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.loop import EvaluationSet, LoopConfig
from ftassets.domain.dataset.rows import Example, Quarantined, parse_jsonl
from ftassets.domain.evaluation.sets import answer_fits
from ftassets.domain.gates.report import HELD_OUT
from ftassets.reporting.tables import markdown_table


def commit_rows(
    context: dg.AssetExecutionContext,
    store: DatasetStore,
    loop: LoopConfig,
    file: Path,
    path: str,
    source: str,
    sets: Sequence[EvaluationSet] = (),
) -> dg.MaterializeResult:
    """Commit and report the rows of a file and of the further evaluation sets. Raises dg.Failure on an invalid file."""
    rows, bad = _read(file, source)
    form = loop.task.form
    _refuse(file, source, [row for row in rows if source == "golden" and form.fault(row.completion) is not None], form.needed)
    if source == "golden" and (shared_names := {row.slice for row in rows} & {HELD_OUT, *(each.name for each in sets)}):
        text = f"{file.name}: slice {sorted(map(str, shared_names))[0]} is the name of another set of rows: call the slice something else"
        raise dg.Failure(text, allow_retries=False)
    files: dict[str, bytes | None] = {path: to_parquet(rows)}
    further: dict[str, list[Example]] = {}
    taken = {row.id for row in rows}
    for each in sets:
        found, worse = _read(each.file, each.name)
        bad += worse
        if shared := sorted(taken & {row.id for row in found}):
            text = f"{each.file.name} ({each.name}): the golden set or another set has the same ids: {', '.join(shared[:5])}"
            raise dg.Failure(text, allow_retries=False)
        wrong = [row for row in found if not answer_fits(each, row, form)]
        _refuse(each.file, each.name, wrong, "refuse or comply" if each.scoring == "refusal" else form.needed)
        files[set_path(loop.name, each.name)] = to_parquet(found)
        further[each.name] = found
        taken |= {row.id for row in found}
    if source == "golden":  # a set the loop file no longer has
        files |= {old: None for old in store.list("main", sets_folder(loop.name)) if old not in files}
    publication = store.publish(
        f"{context.run_id}-{source}", files, f"{loop.name}: {source} set", {"loop": loop.name, "rows": str(len(rows))}
    )
    slices = {name: sum(row.slice == name for row in rows) for name in sorted({row.slice for row in rows if row.slice})}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(publication.commit),
        metadata={
            "commit": publication.commit,
            "rows": len(rows),
            "quarantined": len(bad),
            "slices": slices,
            **({"sets": {name: len(found) for name, found in further.items()}} if further else {}),
            "examples": dg.MetadataValue.md(markdown_table(["request", "answer"], [(r.prompt, r.completion) for r in rows[:10]])),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="every_line_is_an_example",
                passed=not bad,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"quarantined": dg.MetadataValue.md(markdown_table(["line", "reason"], [(b.where, b.reason) for b in bad[:50]]))},
            )
        ],
    )


def _read(file: Path, source: str) -> tuple[list[Example], list[Quarantined]]:
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise dg.Failure(f"the {source} file {file.name} cannot be read: {error}", allow_retries=False) from error
    rows, bad = parse_jsonl(text, source)
    if not rows:
        raise dg.Failure(
            f"{file.name} has no usable line of {len(bad)}: each line is "
            '{"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}',
            metadata={"reasons": [f"{b.where}: {b.reason}" for b in bad[:20]]},
            allow_retries=False,
        )
    if twice := sorted({row.id for row in rows if sum(other.id == row.id for other in rows) > 1}):
        raise dg.Failure(f"{file.name} has the same id on several lines: {', '.join(twice[:5])}", allow_retries=False)
    return rows, bad


def _refuse(file: Path, source: str, wrong: Sequence[Example], needed: str) -> None:
    """Raise dg.Failure when there are rows whose expected answer cannot be scored."""
    if wrong:
        ids = ", ".join(row.id for row in wrong[:5])
        raise dg.Failure(f"{file.name} ({source}): the expected answer of {ids} is not {needed}", allow_retries=False)
