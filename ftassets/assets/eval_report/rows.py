"""The rows an evaluation is about, and their scores from stored answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftassets.assets._shared.dataset_files import read_sets, read_splits, scored_golden, table_rows
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.loop import EvaluationSet, LoopConfig
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.evaluation.conversations import linked
from ftassets.domain.evaluation.scored_turns import conversation_of
from ftassets.domain.evaluation.scoring import Score, score
from ftassets.domain.evaluation.sets import score_row
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import HELD_OUT, EvalReport


@dataclass(frozen=True)
class RowSet:
    """Rows every version answers: the golden set, the held-out split, or a further set with its own settings."""

    rows: list[Example]
    held_out: bool = False
    settings: EvaluationSet | None = None


@dataclass(frozen=True)
class Rows:
    """All sets of a report, the golden one first, and what the candidate was trained on.

    `unreadable` are rows of its dataset that this release does not accept: no version is asked them.
    """

    sets: list[RowSet]
    train: list[Example]
    unreadable: list[Quarantined] = field(default_factory=list)

    @property
    def golden(self) -> list[Example]:
        return self.sets[0].rows

    @property
    def judged(self) -> list[Example]:
        """Rows that versions are evaluated on: golden and further sets."""
        return [row for each in self.sets if not each.held_out for row in each.rows]


def read_rows(store: DatasetStore, loop: LoopConfig, golden_commit: str, dataset_commit: str, pooled: bool = True) -> Rows:
    """Golden and further rows of one commit, held-out and training rows of another; `pooled` as `scored_golden`. Raises DatasetError.

    Golden and further rows are read as a whole or not at all: a gate must not pass because a row is missing.
    """
    unreadable: list[Quarantined] = []
    splits = read_splits(store, dataset_commit, loop.name, unreadable)
    golden = scored_golden(store, golden_commit, loop, pooled)
    further = read_sets(store, golden_commit, loop.name, [each.name for each in loop.sets])
    units = linked if pooled else list
    sets = [
        RowSet(golden),
        RowSet(units(splits["test"]), held_out=True),
        *(RowSet(units(further[each.name]), settings=each) for each in loop.sets),
    ]
    return Rows(sets, splits["train"], unreadable)


def as_pooled(report: EvalReport, rows: Rows) -> EvalReport:
    """A report in which each row counts by itself, as if it had been made of these pooled `rows`: its scores stay, copies go."""
    names = {f"{HELD_OUT}:{row.id}" if each.held_out else row.id: conversation_of(row) for each in rows.sets for row in each.rows}

    def counted(scores: Sequence[Score]) -> list[Score]:
        return [each.model_copy(update={"conversation": names[each.id]}) for each in scores if each.id in names]

    second = report.second_answers
    return report.model_copy(
        update={
            "scores": {role: counted(scores) for role, scores in report.scores.items()},
            "second_answers": second and second.model_copy(update={"scores": counted(second.scores)}),
        }
    )


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
                made = score_row(each.settings, row, said, form, cut)
                scores.append(made.model_copy(update={"conversation": conversation_of(row)}))
                continue
            name, part = (f"{HELD_OUT}:{row.id}", HELD_OUT) if each.held_out else (row.id, row.slice or "golden")
            made = score(name, part, said, row.completion, form, cut, labelled=True)
            measured = {key: value for key, value in of_row.get(row.id, {}).items() if value is not None}
            scores.append(made.model_copy(update={"conversation": conversation_of(row), **({"values": measured} if measured else {})}))
    return scores


def read_answers(files: Sequence[Path]) -> dict[str, str]:
    """Answers by row id, of all files that exist (an empty set has none)."""
    return {name: row["answer"] for path in files if path.exists() for name, row in by_id(path).items()}


def by_id(path: Path) -> dict[str, dict[str, Any]]:
    """The other columns of a Parquet file by its column id."""
    return {row.pop("id"): row for row in table_rows(path, "answers")}


def without_unasked(loop: LoopConfig, scores: Mapping[str, list[Score]]) -> dict[str, list[Score]]:
    """The scores of each role, without the held-out rows of which no role has a value that a gate compares.

    That is a request of production that the chat template does not take: training leaves it out too. A golden row stays, and so does one
    of which some role has the value: it is `unmeasured`, and no gate decides without it.
    """
    asked = [found for found in scores.values() if any(each.slice == HELD_OUT for each in found)]
    lacking = [{row for rows in unmeasured(loop, found).values() for row in rows if row.startswith(f"{HELD_OUT}:")} for found in asked]
    unasked = set.intersection(*lacking) if lacking else set()
    return {role: [each for each in found if each.id not in unasked] for role, found in scores.items()}


def unmeasured(loop: LoopConfig, scores: Sequence[Score]) -> dict[str, list[str]]:
    """Metrics the loop's gates compare of which golden or held-out rows have no value, with the ids of these rows."""
    names = {gate.metric for gate in single_gates(loop.gates) if "." in gate.metric}
    further = {each.name for each in loop.sets}
    asked = [each for each in scores if each.slice not in further]
    lacking = {name: [each.id for each in asked if name not in each.values] for name in sorted(names)}
    return {name: rows for name, rows in lacking.items() if rows}
