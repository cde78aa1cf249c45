"""Files of examples people wrote, checked and committed."""

from collections.abc import Collection, Sequence
from pathlib import Path

import dagster as dg

from ftassets.assets._shared.dataset_files import quarantine_to_parquet, seed_rejected_path, set_path, sets_folder, to_parquet
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.loop import EvaluationSet, LoopConfig
from ftassets.config.row_files import RowsUnreadable, read_rows
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.dataset.written import Written, refusals
from ftassets.domain.personal_data.texts import scrubbed_text
from ftassets.reporting.tables import answer_cell, request_cell, table

_SHOWN = 50  # lines of a file


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
    own = _read(loop, file, source)
    rows, bad = own.rows, [*own.rejected, *own.copies]
    files: dict[str, bytes | None] = {path: to_parquet(rows)}
    further: dict[str, list[Example]] = {}
    taken = {row.id for row in rows}
    for each in sets:
        found = _read(loop, each.file, each.name, taken)
        bad += found.rejected
        files[set_path(loop.name, each.name)] = to_parquet(found.rows)
        further[each.name] = found.rows
        taken |= {row.id for row in found.rows}
    if source == "seed":  # curation accounts for them with the rows
        hide = str if "pii" in loop.dataset.skip else scrubbed_text
        files[seed_rejected_path(loop.name)] = quarantine_to_parquet([Quarantined(b.where, hide(b.reason), hide(b.content)) for b in bad])
    if source == "golden":  # a set the loop file no longer has
        files |= {old: None for old in store.list("main", sets_folder(loop.name)) if old not in files}
    publication = store.publish(
        f"{context.run_id}-{source}", files, f"{loop.name}: {source} set", {"loop": loop.name, "rows": str(len(rows))}
    )
    slices = {name: sum(row.slice == name for row in rows) for name in sorted({row.slice for row in rows if row.slice})}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(publication.commit),
        metadata={
            "commit": publication.commit[:12],
            "rows": len(rows),
            "quarantined": len(bad),
            "slices": slices,
            **({"fields_not_read": dict(own.unread.most_common(20))} if own.unread else {}),
            **({"sets": {name: len(found) for name, found in further.items()}} if further else {}),
            "examples": table(["request", "answer"], [(request_cell(r), answer_cell(r.completion)) for r in rows[:10]]),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="every_line_is_an_example",
                passed=not bad,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    "quarantined": table(["line", "reason"], [(b.where, answer_cell(b.reason)) for b in bad[:_SHOWN]]),
                    **({"shown": f"{_SHOWN} of {len(bad)}; `ftassets check {loop.name}` lists all"} if len(bad) > _SHOWN else {}),
                },
            )
        ],
    )


def _read(loop: LoopConfig, file: Path, source: str, taken: Collection[str] = ()) -> Written:
    """The rows of a file. Raises dg.Failure if the loop cannot use it."""
    try:
        found = read_rows(file, source)
    except RowsUnreadable as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if refused := refusals(loop, found, taken):
        first = refused[0]
        lines = f", line {first.line}" if first.line else ""
        raise dg.Failure(
            f"{file.name} ({source}){lines}: {first.text}; `ftassets check {loop.name}` lists all that is wrong",
            metadata={"reasons": [f"{b.where}: {answer_cell(b.reason)}" for b in found.rejected[:20]]},
            allow_retries=False,
        )
    return found
