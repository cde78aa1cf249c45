"""Metrics over stored answers: each metric for each role and slice, written as one JSON file."""

import inspect
import io
import json
import math
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ftassets.domain.evaluation.answer_form import form_of
from ftassets.domain.evaluation.jobs import Answered, ExpectedAnswer, Measurements, MetricsJob
from ftassets.durable import write_durably
from ftassets.errors import InvalidInput, in_one_line
from ftassets.wording import amount
from ftassets.workers.evaluation.metrics.loading import MetricFailed, load
from ftassets.workers.process import Report

if TYPE_CHECKING:
    import evaluate


@dataclass
class _Part:
    """One role's rows of one slice: answers, what they should have been and how likely, whether they were cut, where each comes from."""

    said: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    cut: list[bool] = field(default_factory=list)
    nll: list[float | None] = field(default_factory=list)  # None of a row that the chat template does not take
    tokens: list[int | None] = field(default_factory=list)
    origin: list[tuple[int, str]] = field(default_factory=list)  # number of the answered set, row id

    def likely(self) -> "_Part":
        """The rows whose likelihood is known."""
        known = [place for place, nll in enumerate(self.nll) if nll is not None]
        return _Part(**{each.name: [getattr(self, each.name)[place] for place in known] for each in fields(self)})


_RowScores = dict[int, dict[str, dict[str, float]]]  # number of the answered set -> row id -> dotted name -> value


def measure(job: MetricsJob, report: Report) -> Measurements:
    """Write the job's output, `{metric: {role: {slice: {value name: number}}}}`, and return it; and row scores where they are asked for.

    A metric whose `_compute` (or `rows`) takes `task`, `label`, `form`, `truncated`, `nll` or `tokens` is given the job's; one that
    takes `nll` is not taken of roles without likelihoods, and of the others without the rows that have none. One that has a method
    `rows` gives a value for each answer, `{value name: values}`, besides. Raises MetricFailed for a metric that cannot be had or gives
    anything but finite numbers, InvalidInput when answers, likelihoods and expected answers, or two roles, are not about the same rows.
    """
    experiment = uuid.uuid4().hex  # parallel processes may share a work folder
    metrics = {name: load(name, job.work / "metrics", experiment) for name in job.metrics}
    roles = _roles(job.answered)
    table: Measurements = {}
    row_scores: _RowScores = {number: {} for number in range(len(job.answered))}
    blind = {each.role for each in job.answered if each.likelihoods is None}
    for name, metric in metrics.items():
        of_likelihoods = "nll" in inspect.signature(metric._compute).parameters
        without = blind if of_likelihoods else set()
        if without >= roles.keys():
            raise MetricFailed(f"metric {name}: no model's likelihood of the expected answers is known; it needs weights on this machine")
        report(f"metric {name}")
        table[name] = {
            role: {
                part: _values(name, metric, job, f"{role}, slice {part}", asked, row_scores)
                for part, rows in slices.items()
                if (asked := rows.likely() if of_likelihoods else rows).origin
            }
            for role, slices in roles.items()
            if role not in without
        }
    for number, each in enumerate(job.answered):
        if each.row_scores is not None:
            _write_rows(row_scores[number], each.row_scores)
    write_durably(job.output, json.dumps(table, indent=2, allow_nan=False))
    return table


def _values(name: str, metric: "evaluate.Metric", job: MetricsJob, place: str, part: _Part, row_scores: _RowScores) -> dict[str, float]:
    """The metric's values of a slice; those of its rows are added to `row_scores`."""
    where, rows = f"metric {name}, {place}", getattr(metric, "rows", None)
    form = form_of(job.task, job.label, job.labels, job.call_schema, job.calls)
    known = {
        "task": job.task, "label": job.label, "form": form, "truncated": part.cut, "nll": part.nll, "tokens": part.tokens,
    }  # fmt: skip
    try:
        each = rows(part.said, part.wanted, **_taken(rows, known)) if rows else {}
        if isinstance(metric, _row_metric()):
            found: Any = {key: float(sum(values)) / len(values) for key, values in each.items()}
        else:
            found = metric.compute(predictions=part.said, references=part.wanted, **_taken(metric._compute, known))
    except Exception as error:  # a metric of the user's own may raise anything
        raise MetricFailed(f"{where}: {type(error).__name__}: {error}") from error
    for key, values in each.items():
        if len(values) != len(part.origin):
            raise MetricFailed(f"{where}: {len(values)} values of {key} for {amount(len(part.origin), 'row')}")
        for (number, row_id), value in zip(part.origin, values, strict=True):
            if not isinstance(value, Real) or not math.isfinite(value):
                raise MetricFailed(f"{where}: row {row_id} must have one finite number as {key}, not {_short(value)}")
            row_scores[number].setdefault(row_id, {})[f"{name}.{key}"] = float(value)
    if not isinstance(found, dict) or not found:
        raise MetricFailed(f"{where}: the result must be a dict of numbers, it is {_short(found)}")
    if bad := {key: value for key, value in found.items() if not isinstance(value, Real) or not math.isfinite(value)}:
        raise MetricFailed(f"{where}: every value must be one finite number, not {_short(bad)}")
    return {str(key): float(value) for key, value in found.items()}


def _row_metric() -> type:
    from ftassets.workers.evaluation.metrics.base import RowMetric

    return RowMetric


def _taken(function: Callable[..., Any], known: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    return {setting: value for setting, value in known.items() if setting in parameters}


def _write_rows(rows: dict[str, dict[str, float]], target: Path) -> None:
    """One line a row in the order of the ids, one column a value: the same scores are the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = sorted({name for values in rows.values() for name in values})
    ids = sorted(rows)
    columns = {"id": pa.array(ids, pa.string())} | {name: pa.array([rows[i].get(name) for i in ids], pa.float64()) for name in names}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    write_durably(target, buffer.getvalue())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _roles(answered: Sequence[Answered]) -> dict[str, dict[str, _Part]]:
    """Answers and expected answers by role and slice, in the order of the prompts files."""
    rows: dict[str, list[tuple[str, str]]] = {}
    roles: dict[str, dict[str, _Part]] = {}
    for number, each in enumerate(answered):
        expected = _expected(each.prompts_file)
        answers = _answers(each.answers)
        if missing := [row.id for row in expected if row.id not in answers]:
            raise InvalidInput(f"{each.role}: {each.answers.name} has no answer to {_some(missing)} of {each.prompts_file.name}")
        if surplus := answers.keys() - {row.id for row in expected}:
            raise InvalidInput(
                f"{each.role}: {each.prompts_file.name} has no row {_some(sorted(surplus))}, answered in {each.answers.name}"
            )
        likelihoods = _likelihoods(each.likelihoods) if each.likelihoods else {}
        if each.likelihoods and likelihoods.keys() != answers.keys():
            raise InvalidInput(f"{each.role}: {each.likelihoods.name} is not about the rows of {each.prompts_file.name}")
        for row in expected:
            part = roles.setdefault(each.role, {}).setdefault(row.slice, _Part())
            said, cut = answers[row.id]
            if row.id in likelihoods:
                nll, tokens = likelihoods[row.id]
                part.nll.append(nll)
                part.tokens.append(tokens)
            part.said.append(said)
            part.cut.append(cut)
            part.wanted.append(row.expected)
            part.origin.append((number, row.id))
            rows.setdefault(each.role, []).append((row.slice, row.id))
    first, *others = rows
    if different := [role for role in others if sorted(rows[role]) != sorted(rows[first])]:
        raise InvalidInput(f"{first} and {different[0]} did not answer the same rows: their metrics cannot be compared")
    return roles


def _some(ids: Sequence[str]) -> str:
    return f"{', '.join(ids[:3])}{f' and {len(ids) - 3} more' if len(ids) > 3 else ''}"


def _expected(file: Path) -> list[ExpectedAnswer]:
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                rows.append(ExpectedAnswer.model_validate_json(line))
            except ValidationError as error:
                raise InvalidInput(f"{file.name} line {number} is not a row with id, expected and slice: {in_one_line(error)}") from error
    if not rows:
        raise InvalidInput(f"{file.name} has no rows")
    _each_once(file, [row.id for row in rows])
    return rows


def _answers(file: Path) -> dict[str, tuple[str, bool]]:
    """Each row's answer, and whether it was cut at the token limit."""
    import pyarrow.parquet as pq

    table = pq.read_table(file, columns=["id", "answer", "truncated"]).to_pydict()
    _each_once(file, table["id"])
    return dict(zip(table["id"], zip(table["answer"], table["truncated"], strict=True), strict=True))


def _likelihoods(file: Path) -> dict[str, tuple[float | None, int | None]]:
    """Each expected answer's negative log likelihood in nats, and its tokens; None of a row that the chat template does not take."""
    import pyarrow.parquet as pq

    table = pq.read_table(file, columns=["id", "nll", "tokens"]).to_pydict()
    _each_once(file, table["id"])
    return dict(zip(table["id"], zip(table["nll"], table["tokens"], strict=True), strict=True))


def _each_once(file: Path, ids: Sequence[str]) -> None:
    if twice := [row_id for row_id, times in Counter(ids).items() if times > 1]:
        raise InvalidInput(f"{file.name} has more than one row {_some(twice)}")
