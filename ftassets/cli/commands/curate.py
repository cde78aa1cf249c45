"""Curation of a file without Dagster: rows in, a folder with the splits, the quarantine and a report out."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ftassets.backends.embedder.base import EmbedderOf
from ftassets.cli.commands.import_traffic import guess_of
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import data_files, documents, loop_of
from ftassets.config.outputs import check_new_folder, replacing
from ftassets.config.row_files import read_rows
from ftassets.config.text_lines import lines_of
from ftassets.domain.chat import embedded_text, request_body
from ftassets.domain.dataset.curation import Curated, SizeVerdict, curate
from ftassets.domain.dataset.rows import Example, Quarantined, numbered_jsonl, shown
from ftassets.domain.dataset.written import GOLDEN, with_own_ids
from ftassets.errors import ConfigurationError
from ftassets.workers.training.token_counts import base_control_tokens

Item = TypeVar("Item")
Place = dict[str, int]
_NAMED = 20  # fields that nothing reads, by name
Progress = Callable[[str, int, int], None]


def settings(config: Path | None, source: Path) -> LoopConfig:
    """The loop of a YAML file; without one a loop of free texts with every default. Raises ConfigurationError on a bad file."""
    if config is None:
        return LoopConfig.model_validate(
            {
                "name": "dataset",
                "base_model": "none",
                "task": {"type": "text", "system_prompt": ""},
                "dataset": {"seed": source},
                "golden_set": source,
                "gates": [{"metric": "exact_match", "better_than": "production"}],
            }
        )
    found = [document for document in documents(config) if isinstance(document, dict) and "attributes" in document]
    if not found:
        raise ConfigurationError(f"{config} is not a loop file: it has no `attributes`")
    return loop_of(found[0], config)


def curate_file(
    source: Path, out: Path, config: Path | None, embedder_of: EmbedderOf | None, progress: Progress, force: bool = False
) -> dict[str, Any]:
    """Curate a JSONL file into `out`: one JSONL file of chat messages a split, quarantine.jsonl, report.json; returns the report.

    Each line is in a split, or in the quarantine with its number and the reason; so is each part of an array that is damaged. If no line
    can be read, the verdict names what the file probably is.
    With a loop file its golden set is kept apart from the rows. Without an embedder the steps that compare vectors say that
    they could not. Raises ConfigurationError on a bad loop file, RowsUnreadable on a bad golden file,
    EmbedderError if the embedder does not take a golden row, InvalidInput if `out` holds an input, or anything without `force`,
    OSError when a file cannot be read or written.
    """
    loop = settings(config, source)
    check_new_folder(out, force, [source, *([config, *data_files(loop)] if config else [])])
    not_read: Counter[str] = Counter()
    placed = _placed(with_own_ids(numbered_jsonl(lines_of(source), "seed", unread=not_read)))
    rows, row_places = _of(Example, placed)
    rejected, rejected_places = _of(Quarantined, placed)
    unread = None if rows else _nothing(source, rejected)
    golden = read_rows(loop.golden_set, GOLDEN).rows if config else []
    progress("reading and embedding", 0, 1)
    vectors = golden_vectors = None
    if embedder_of and rows:
        embedder, context = embedder_of(loop.embedder), loop.dataset.context
        asked = [embedded_text(row, context) for row in golden]
        golden_vectors = embedder.embed_all([(row.id, embedded_text(row, context)) for row in golden], str(loop.golden_set))
        golden_vectors *= embedder.reads(asked)[:, None]
        asked = [embedded_text(row, context) for row in rows]
        vectors, failed = embedder.embed_each(asked)
        vectors *= embedder.reads(asked)[:, None]
        rejected += [Quarantined(f"seed:{rows[i].id}", reason, shown(rows[i].prompt)) for i, reason in failed.items()]
        rejected_places += [row_places[i] for i in failed]
        kept = [i for i in range(len(rows)) if i not in failed]
        rows, row_places, vectors = [rows[i] for i in kept], [row_places[i] for i in kept], vectors[kept]
    curated = curate(
        rows,
        vectors,
        golden,
        golden_vectors,
        {},
        loop,
        rejected=rejected,
        control_tokens=base_control_tokens(loop.base_model, Home.from_env().cache) if config else None,
        progress=progress,
    )
    report = report_of(curated, len(rows) + len(rejected))
    report["steps"][0]["counts"] = {f"rows with the field {name!r}, which nothing reads": n for name, n in not_read.most_common(_NAMED)}
    if unread:
        report["pre_flight"] = {"verdict": SizeVerdict.REFUSED.value, "reason": unread}
    for split, members in curated.splits.items():
        _write(out / f"{split}.jsonl", [_chat(row) for row in members])
    places = [*rejected_places, *(row_places[i] for i in curated.dropped_at)]
    _write(out / "quarantine.jsonl", [{**place, **vars(item)} for place, item in zip(places, curated.dropped, strict=True)])
    with replacing(out / "report.json") as file:
        file.write(json.dumps(report, indent=2).encode() + b"\n")
    return report


def report_of(curated: Curated, collected: int) -> dict[str, Any]:
    """Counters of every step; collected = kept + quarantined."""
    return {
        "collected": collected,
        "kept": curated.rows,
        "quarantined": len(curated.dropped),
        "splits": {split: len(members) for split, members in curated.splits.items()},
        "pre_flight": {"verdict": curated.preflight.verdict.value, "reason": curated.preflight.sentence},
        "steps": [
            {
                "step": step.name, "kept": step.kept, "quarantined": step.dropped, "changed": step.changed,
                "counts": dict(step.counts), "examples": dict(step.examples), "skipped": step.skipped,
            }
            for step in curated.funnel
        ],
        "conflicts": [asdict(conflict) for conflict in curated.conflicts],
    }  # fmt: skip


def _placed(numbered: Iterable[tuple[int, Item]]) -> list[tuple[Place, Item]]:
    """The items with the number of the line, and where several share one, as in an array, which of them it is."""
    items = list(numbered)
    shared = Counter(number for number, _ in items)
    seen: Counter[int] = Counter()
    found = []
    for number, item in items:
        seen[number] += 1
        found.append(({"line": number, **({"member": seen[number]} if shared[number] > 1 else {})}, item))
    return found


def _of(kind: type[Item], placed: Iterable[tuple[Place, Example | Quarantined]]) -> tuple[list[Item], list[Place]]:
    """The items of one kind, and their places."""
    found = [(item, place) for place, item in placed if isinstance(item, kind)]
    return [item for item, _ in found], [place for _, place in found]


def _nothing(source: Path, rejected: Sequence[Quarantined]) -> str:
    """Why no row of a file could be read, and what to do."""
    if not rejected:
        return f"{source} has no row: write one example a line"
    found = guess_of(source)
    words = f"it is probably {found.words}. " if found and not found.holds_rows else ""
    first = f"the first refused is in line {rejected[0].where.rpartition(':')[2]}: {rejected[0].reason}"
    return f"no row of {source} can be read: {words}{len(rejected):,} refused, {first}"


def _chat(row: Example) -> dict[str, Any]:
    asked = request_body("", row)
    asked["messages"].append({"role": "assistant", "content": row.completion})
    return {"id": row.id, **asked, "source": row.source, **({"group": row.group} if row.group else {})}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with replacing(path) as file:
        file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
