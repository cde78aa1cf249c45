"""The numbers of an eval report as a release publishes them: one value per model, slice and metric, with its interval."""

from collections.abc import Iterator
from math import isfinite
from statistics import fmean
from typing import NamedTuple

import numpy as np

from ftassets.domain.gates.independent_units import share_with_interval
from ftassets.domain.gates.report import EvalReport, in_slice

CANDIDATE, PRODUCTION = "candidate", "production"
REQUESTS = "requests"  # slice of response times: they are of the same requests for all models
_DIGITS = 6


class Result(NamedTuple):
    """A value of a model on the rows of a slice; `low` and `high` are its 95 % interval, None for values without one."""

    role: str
    slice: str
    metric: str
    value: float
    rows: int | None
    low: float | None = None
    high: float | None = None


def results(report: EvalReport) -> list[Result]:
    """All of a report: shares (0 to 1) per slice, the loop's further metrics, and the 95th percentile of response times in milliseconds."""
    return [*_shares(report), *_metrics(report), *_times(report)]


def _shares(report: EvalReport) -> Iterator[Result]:
    for role, scores in report.scores.items():
        for name in sorted({score.slice for score in scores}):
            rows = in_slice(scores, name)
            for metric, right in (("exact_match", [row.exact for row in rows]), ("well_formed", [row.valid for row in rows])):
                share, low, high = (round(each, _DIGITS) for each in share_with_interval(rows, right))
                yield Result(role, name, metric, share, len(rows), low, high)
            yield Result(role, name, "fields", round(fmean(row.fields for row in rows), _DIGITS), len(rows))


def _metrics(report: EvalReport) -> Iterator[Result]:
    for metric, by_role in sorted(report.metrics.items()):
        for role, by_slice in by_role.items():
            for name, values in sorted(by_slice.items()):
                for value, number in sorted(values.items()):
                    if isfinite(number):
                        yield Result(role, name, f"{metric}.{value}", round(number, _DIGITS), None)


def _times(report: EvalReport) -> Iterator[Result]:
    for role, times in report.latency_ms.items():
        if times:
            yield Result(role, REQUESTS, "latency_p95_ms", round(float(np.quantile(times, 0.95)), 3), len(times))
