"""The rows an evaluation is about, and their scores from stored answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets.assets._shared.dataset_files import from_parquet, golden_path, read_sets, read_splits, table_rows
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.loop import EvaluationSet, LoopConfig
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.scoring import Score, score
from ftassets.domain.evaluation.sets import score_row
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import HELD_OUT


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
        """Rows that versions are evaluated on: golden and further sets."""
        return [row for each in self.sets if not each.held_out for row in each.rows]


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
    form = loop.task.form
    scores = []
    for each, path in zip(rows.sets[: len(files)], files, strict=True):
        if not each.rows:
            continue
        found = by_id(path)
        of_row = by_id(next(values)) if row_scores and each.settings is None else {}
        for row in each.rows:
            said, cut = found[row.id]["answer"], found[row.id]["truncated"]
            if each.settings is not None:
                scores.append(score_row(each.settings, row, said, form, cut))
                continue
            name, part = (f"{HELD_OUT}:{row.id}", HELD_OUT) if each.held_out else (row.id, row.slice or "golden")
            made = score(name, part, said, row.completion, form, cut, labelled=True)
            scores.append(made.model_copy(update={"values": of_row[row.id]}) if of_row else made)
    return scores


def read_answers(files: Sequence[Path]) -> dict[str, str]:
    """Answers by row id, of all files that exist (an empty set has none)."""
    return {name: row["answer"] for path in files if path.exists() for name, row in by_id(path).items()}


def by_id(path: Path) -> dict[str, dict[str, Any]]:
    """The other columns of a Parquet file by its column id."""
    return {row.pop("id"): row for row in table_rows(path, "answers")}


def unmeasured(loop: LoopConfig, scores: Sequence[Score]) -> list[str]:
    """Metrics the loop's gates compare of which a golden or held-out row has no value."""
    names = {gate.metric for gate in single_gates(loop.gates) if "." in gate.metric}
    further = {each.name for each in loop.sets}
    return sorted(name for name in names if any(name not in each.values for each in scores if each.slice not in further))
