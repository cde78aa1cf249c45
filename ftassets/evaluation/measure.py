"""Metrics over stored answers: each metric for each role and slice, written as one JSON file."""

import inspect
import json
import math
import uuid
from collections import Counter
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ftassets.domain.answers import Answered, ExpectedAnswer, Measurements, MetricsJob
from ftassets.evaluation.metrics.registry import MetricFailed, load
from ftassets.resources.child import Report
from ftassets.resources.files import write_durably

if TYPE_CHECKING:
    import evaluate

_Pairs = tuple[list[str], list[str]]  # answers, and the answers they should have been


def measure(job: MetricsJob, report: Report) -> Measurements:
    """Write the job's output, `{metric: {role: {slice: {value name: number}}}}`, and return it.

    A metric whose `_compute` takes `task` or `label` is given the job's. Raises MetricFailed for a metric that cannot be had or gives
    anything but finite numbers, ValueError when answers and expected answers, or two roles, are not about the same rows.
    """
    experiment = uuid.uuid4().hex  # parallel processes may share a work folder
    metrics = {name: load(name, job.work / "metrics", experiment) for name in job.metrics}
    roles = _roles(job.answered)
    table: Measurements = {}
    for name, metric in metrics.items():
        report(f"metric {name}")
        takes = inspect.signature(metric._compute).parameters
        settings = {setting: value for setting, value in (("task", job.task), ("label", job.label)) if setting in takes}
        table[name] = {
            role: {part: _values(metric, f"metric {name}, {role}, slice {part}", pairs, settings) for part, pairs in slices.items()}
            for role, slices in roles.items()
        }
    write_durably(job.output, json.dumps(table, indent=2, allow_nan=False))
    return table


def _values(metric: "evaluate.Metric", where: str, pairs: _Pairs, settings: dict[str, str]) -> dict[str, float]:
    try:
        found = metric.compute(predictions=pairs[0], references=pairs[1], **settings)
    except Exception as error:  # a metric of the user's own may raise anything
        raise MetricFailed(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(found, dict) or not found:
        raise MetricFailed(f"{where}: the result must be a dict of numbers, it is {_short(found)}")
    if bad := {key: value for key, value in found.items() if not isinstance(value, Real) or not math.isfinite(value)}:
        raise MetricFailed(f"{where}: every value must be one finite number, not {_short(bad)}")
    return {str(key): float(value) for key, value in found.items()}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _roles(answered: Sequence[Answered]) -> dict[str, dict[str, _Pairs]]:
    """Answers and expected answers by role and slice, in the order of the prompts files."""
    rows: dict[str, list[tuple[str, str]]] = {}
    roles: dict[str, dict[str, _Pairs]] = {}
    for each in answered:
        expected = _expected(each.prompts_file)
        answers = _answers(each.answers)
        if missing := [row.id for row in expected if row.id not in answers]:
            raise ValueError(f"{each.role}: {each.answers.name} has no answer to {_some(missing)} of {each.prompts_file.name}")
        if surplus := answers.keys() - {row.id for row in expected}:
            raise ValueError(f"{each.role}: {each.prompts_file.name} has no row {_some(sorted(surplus))}, answered in {each.answers.name}")
        for row in expected:
            said, wanted = roles.setdefault(each.role, {}).setdefault(row.slice, ([], []))
            said.append(answers[row.id])
            wanted.append(row.expected)
            rows.setdefault(each.role, []).append((row.slice, row.id))
    first, *others = rows
    if different := [role for role in others if sorted(rows[role]) != sorted(rows[first])]:
        raise ValueError(f"{first} and {different[0]} did not answer the same rows: their metrics cannot be compared")
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
                raise ValueError(f"{file.name} line {number} is not a row with id, expected and slice: {error}") from error
    if not rows:
        raise ValueError(f"{file.name} has no rows")
    _each_once(file, [row.id for row in rows])
    return rows


def _answers(file: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    table = pq.read_table(file, columns=["id", "answer"]).to_pydict()
    _each_once(file, table["id"])
    return dict(zip(table["id"], table["answer"], strict=True))


def _each_once(file: Path, ids: Sequence[str]) -> None:
    if twice := [row_id for row_id, times in Counter(ids).items() if times > 1]:
        raise ValueError(f"{file.name} has more than one row {_some(twice)}")
