"""Plots of what changes from report to report, as Markdown images."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ftassets.reporting.plots import ALERT, CALM, INK, PALE, _image


@dataclass(frozen=True)
class Point:
    """One report: when (epoch seconds), the value with its interval, and the version it is about."""

    at: float
    value: float
    low: float
    high: float
    version: str


def trend(title: str, points: Sequence[Point], limit: float | None = None, limit_name: str = "limit") -> str:
    """A share (0..1) over time with its intervals; a new version is marked where its first report is."""

    def draw(axes: Any) -> None:
        times = [datetime.fromtimestamp(p.at, UTC) for p in points]
        values = np.array([p.value for p in points])
        errors = np.clip([[p.value - p.low for p in points], [p.high - p.value for p in points]], 0, None)
        axes.errorbar(times, values, yerr=errors, color=CALM, ecolor=PALE, marker="o", markersize=3, linewidth=1, capsize=2)
        for number, point in enumerate(points):
            if number == 0 or point.version != points[number - 1].version:
                axes.axvline(times[number], color=PALE, linewidth=0.8, linestyle=":")
                axes.annotate(point.version[:8], (times[number], 0.02), (3, 0), textcoords="offset points", fontsize=7)
        if limit is not None:
            axes.axhline(limit, color=ALERT, linewidth=1, linestyle="--")
            axes.text(1.0, limit, limit_name, fontsize=7, color=ALERT, ha="right", va="bottom", transform=axes.get_yaxis_transform())
        axes.set_ylim(0, 1.02)
        axes.set_ylabel(title, fontsize=8)
        axes.set_xlabel("UTC", fontsize=7)
        axes.tick_params(axis="x", labelrotation=20, labelsize=7)

    return _image(title, draw)


def retrains(title: str, made: Sequence[tuple[float, int, str]], wanted: int) -> str:
    """Retrains over time: when (epoch seconds), new labels it had, and its trigger; `wanted` are the labels that one needs."""

    def draw(axes: Any) -> None:
        for number, trigger in enumerate(sorted({each[2] for each in made})):
            mine = [each for each in made if each[2] == trigger]
            times = [datetime.fromtimestamp(at, UTC) for at, _, _ in mine]
            colour = (CALM, ALERT, INK, PALE)[number % 4]
            axes.vlines(times, 0, [labels for _, labels, _ in mine], color=colour, linewidth=2)
            axes.plot(times, [labels for _, labels, _ in mine], "o", color=colour, markersize=5, label=trigger)
        axes.axhline(wanted, color=PALE, linewidth=1, linestyle="--")
        axes.text(1.0, wanted, "min_new_labels", fontsize=7, ha="right", va="bottom", transform=axes.get_yaxis_transform())
        axes.set_ylim(bottom=0)
        axes.set_ylabel("new labels", fontsize=8)
        axes.set_xlabel("UTC", fontsize=7)
        axes.tick_params(axis="x", labelrotation=20, labelsize=7)
        axes.legend(fontsize=7, frameon=False)

    return _image(title, draw)


def before_and_now(title: str, rows: Sequence[tuple[str, float, float]]) -> str:
    """Pairs of horizontal bars: (name, before, now)."""

    def draw(axes: Any) -> None:
        places = np.arange(len(rows))
        axes.barh(places - 0.2, [row[1] for row in rows], 0.38, color=PALE, label="baseline")
        axes.barh(places + 0.2, [row[2] for row in rows], 0.38, color=CALM, label="window")
        axes.set_yticks(places, [row[0] for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel(title, fontsize=8)
        axes.legend(fontsize=7, frameon=False)

    return _image(title, draw, (6.0, 0.9 + 0.3 * len(rows)))
