"""Curation of a file without Dagster: rows in, a folder with the splits, the quarantine and a report out."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ftassets.backends.embedder.base import EmbedderOf
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import documents, loop_of
from ftassets.config.outputs import check_new_folder
from ftassets.config.text_lines import lines_of
from ftassets.domain.chat import embedded_text, request_body
from ftassets.domain.dataset.curation import Curated, curate
from ftassets.domain.dataset.rows import Example, Quarantined, apart, numbered_jsonl, read_jsonl, shown
from ftassets.errors import ConfigurationError
from ftassets.workers.training.token_counts import base_control_tokens

Item = TypeVar("Item")
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

    Each line is in a split, or in the quarantine with its number and the reason; so is each part of an array that is damaged.
    With a loop file its golden set is kept apart from the rows. Without an embedder the steps that compare vectors say that
    they could not. Raises ConfigurationError on a bad loop file, InvalidInput if `out` holds an input, or anything without `force`,
    OSError when a file cannot be read or written.
    """
    loop = settings(config, source)
    check_new_folder(out, force, [source, *([config, loop.golden_set] if config else [])])
    numbered = list(numbered_jsonl(lines_of(source), "seed"))
    rows, row_lines = _of(Example, numbered)
    rejected, rejected_lines = _of(Quarantined, numbered)
    golden = apart(read_jsonl(lines_of(loop.golden_set), "golden"))[0] if config else []
    progress("reading and embedding", 0, 1)
    vectors = golden_vectors = None
    if embedder_of and rows:
        embedder, context = embedder_of(loop.embedder), loop.dataset.context
        asked = [embedded_text(row, context) for row in golden]
        golden_vectors = embedder.embed(asked) * embedder.reads(asked)[:, None]
        asked = [embedded_text(row, context) for row in rows]
        vectors, failed = embedder.embed_each(asked)
        vectors *= embedder.reads(asked)[:, None]
        rejected += [Quarantined(f"seed:{rows[i].id}", reason, shown(rows[i].prompt)) for i, reason in failed.items()]
        rejected_lines += [row_lines[i] for i in failed]
        kept = [i for i in range(len(rows)) if i not in failed]
        rows, row_lines, vectors = [rows[i] for i in kept], [row_lines[i] for i in kept], vectors[kept]
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
    out.mkdir(parents=True, exist_ok=True)
    for split, members in curated.splits.items():
        _write(out / f"{split}.jsonl", [_chat(row) for row in members])
    places = [*rejected_lines, *(row_lines[i] for i in curated.dropped_at)]
    _write(out / "quarantine.jsonl", [{"line": line, **vars(item)} for line, item in zip(places, curated.dropped, strict=True)])
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
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


def _of(kind: type[Item], numbered: list[tuple[int, Example | Quarantined]]) -> tuple[list[Item], list[int]]:
    """The items of one kind, and the numbers of their lines."""
    found = [(item, number) for number, item in numbered if isinstance(item, kind)]
    return [item for item, _ in found], [number for _, number in found]


def _chat(row: Example) -> dict[str, Any]:
    asked = request_body("", row)
    asked["messages"].append({"role": "assistant", "content": row.completion})
    return {"id": row.id, **asked, "source": row.source, **({"group": row.group} if row.group else {})}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
