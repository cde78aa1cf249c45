"""Plots as Markdown images for asset metadata: small PNGs, since they are kept in the event log."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

INK, CALM, ALERT, PALE = "#1f2a44", "#2a7f9e", "#c8553d", "#b9c3cf"


def _image(alt: str, draw: Callable[[Any], None], size: tuple[float, float] = (8.0, 3.6)) -> str:
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)
    draw(axes)
    return _png(alt, figure)


def _png(alt: str, figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return f"![{alt}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def loss_curve(losses: Sequence[tuple[int, float]], validation: Sequence[tuple[int, float]] = ()) -> str:
    """Training loss over steps, and the validation loss at some of them."""

    def draw(axes: Any) -> None:
        axes.plot(*zip(*losses, strict=True), color=CALM, label="training")
        if validation:
            axes.plot(*zip(*validation, strict=True), color=ALERT, marker="o", markersize=3, label="validation")
            axes.legend(fontsize=8)
        axes.set_xlabel("step", fontsize=8)
        axes.set_ylabel("loss", fontsize=8)
        axes.set_ylim(bottom=0)

    return _image("training loss", draw)


def recipe_curves(curves: Sequence[tuple[str, Sequence[tuple[float, float]], bool]]) -> str:
    """Validation loss over the share of the steps, a line a recipe: its name, its points, and whether it is the best."""

    def draw(axes: Any) -> None:
        for name, points, best in curves:
            if points:
                shares, losses = zip(*points, strict=True)
                axes.plot([100 * share for share in shares], losses, color=ALERT if best else PALE, marker="o", markersize=3)
                axes.annotate(name, (100 * shares[-1], losses[-1]), fontsize=7, xytext=(3, 0), textcoords="offset points")
        axes.set_xlabel("% of the steps", fontsize=8)
        axes.set_ylabel("validation loss", fontsize=8)

    return _image("validation loss of each recipe", draw)


def funnel(steps: Sequence[tuple[str, int]]) -> str:
    """Rows left after each curation step."""
    return bars("rows per curation step", steps)


def bars(title: str, counts: Sequence[tuple[str, int]]) -> str:
    """One horizontal bar per name."""

    def draw(axes: Any) -> None:
        names, values = zip(*counts, strict=True)
        axes.bar_label(axes.barh(names, values, color=CALM), fontsize=8, padding=3)
        axes.invert_yaxis()

    return _image(title, draw, (6.0, 0.9 + 0.22 * len(counts)))


def stacked_months(unit: str, months: Sequence[tuple[str, float, float]]) -> str:
    """A bar a month: (month, what making versions took, what watching took), in one unit."""

    def draw(axes: Any) -> None:
        names, making, watching = zip(*months, strict=True)
        axes.bar(names, making, color=CALM, label="making versions")
        axes.bar(names, watching, bottom=making, color=PALE, label="watching")
        axes.set_ylabel(unit, fontsize=8)
        axes.tick_params(axis="x", labelrotation=20, labelsize=7)
        axes.legend(fontsize=8)

    return _image(f"{unit} by month", draw)


def histogram(title: str, values: Sequence[float]) -> str:
    """How often each size occurs."""

    def draw(axes: Any) -> None:
        axes.hist(values, bins=30, color=CALM)
        axes.set_xlabel(title, fontsize=8)
        axes.set_ylabel("rows", fontsize=8)

    return _image(title, draw)


def drift_map(reference: np.ndarray, window: np.ndarray, novel: np.ndarray) -> str:
    """Reference (m, d), window (n, d) and its novel queries (n, bool) on the two main axes of both together."""

    def draw(axes: Any) -> None:
        both = np.concatenate([reference, window])
        centred = both - both.mean(axis=0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        flat = centred @ directions[:2].T
        old, new = flat[: len(reference)], flat[len(reference) :]
        axes.scatter(*old.T, s=6, color=PALE, label="reference")
        axes.scatter(*new[~novel].T, s=12, color=CALM, label="window")
        axes.scatter(*new[novel].T, s=12, color=ALERT, label="window, new")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.legend(fontsize=7, frameon=False)

    return _image("map of reference and window", draw, (6.0, 3.6))


def accuracy_bars(shares: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> str:
    """Accuracy with interval: slice -> model -> (share, low, high)."""

    def draw(axes: Any) -> None:
        models = list(next(iter(shares.values())))
        width = 0.8 / len(models)
        for number, (model, colour) in enumerate(zip(models, (PALE, CALM, ALERT), strict=False)):
            values = [shares[name][model] for name in shares]
            share = np.array([v[0] for v in values])
            errors = np.abs(np.array([[v[0] - v[1], v[2] - v[0]] for v in values]).T)
            axes.bar(np.arange(len(values)) + number * width, share, width, yerr=errors, color=colour, label=model, capsize=2, ecolor=INK)
        axes.set_xticks(np.arange(len(shares)) + width * (len(models) - 1) / 2, list(shares))
        axes.set_ylim(0, 1)
        axes.set_ylabel("exact match", fontsize=8)
        axes.legend(fontsize=7, frameon=False)

    return _image("exact match per slice and model", draw)


def gate_marks(gates: Sequence[tuple[str, str, float, float, float]]) -> str:
    """One line a gate (name, verdict, estimate, one-sided bound, threshold), each on an axis of its own, for units differ."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 0.5 + 0.6 * len(gates)), layout="constrained")
    for axes, (name, verdict, estimate, bound, threshold) in zip(figure.subplots(len(gates), squeeze=False)[:, 0], gates, strict=True):
        colour = {"PASS": CALM, "FAIL": ALERT}.get(verdict, PALE)
        axes.plot([estimate, bound], [0, 0], color=colour, linewidth=3, solid_capstyle="butt")
        axes.plot(estimate, 0, "o", color=colour, markersize=6)
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1)
        axes.set_title(f"{name}: {verdict}", fontsize=8, loc="left", pad=2, color=INK)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.set_yticks([])
        axes.margins(x=0.1)
        axes.tick_params(labelsize=7, colors=INK)
    return _png("estimate (dot), its one-sided bound (end of the line) and threshold (dashed) of each gate", figure)


def rollout_plot(
    weights: Sequence[tuple[float, int]], guardrails: Mapping[str, Sequence[tuple[float, float | None, float | None, float, float]]]
) -> str:
    """A candidate's weight (epoch seconds, percent of traffic), and below it how each guardrail stood over the same time.

    A guardrail's points are (epoch seconds, estimate, bound, what the bound must be below, e-value in parts of its limit); the first
    three differences of shares, candidate less production, None where they are not known. The ends of points past the last weight count.
    """
    from matplotlib.figure import Figure

    start = weights[0][0]
    end = max([weights[-1][0], *(point[0] for points in guardrails.values() for point in points)])
    size, unit = next((size, unit) for size, unit in ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
                      if end - start >= 3 * size or size == 1.0)  # fmt: skip

    def since(at: float) -> float:
        return (at - start) / size

    figure = Figure(figsize=(8.0, 2.2 + 1.1 * len(guardrails)), layout="constrained")
    heights = [2.0, *([1.0] * len(guardrails))]
    top, *rest = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    steps = [*weights, (end, weights[-1][1])]
    top.step([since(at) for at, _ in steps], [weight for _, weight in steps], where="post", color=CALM, marker="o", markersize=4)
    top.set_ylim(-5, 105)
    top.set_ylabel("candidate, %\nof traffic", fontsize=8)
    for axes, (name, points) in zip(rest, guardrails.items(), strict=True):
        _guardrail(axes, name, [(since(at), *figures) for at, *figures in points])
    for axes in (top, *rest):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7, colors=INK)
    (rest or [top])[-1].set_xlabel(f"{unit} since the start of the rollout", fontsize=8)
    return _png("weight of the candidate over time, and how each guardrail stood", figure)


def _guardrail(axes: Any, name: str, points: Sequence[tuple[Any, ...]]) -> None:
    known = [(at, 100 * estimate, 100 * bound) for at, estimate, bound, _, _ in points if estimate is not None and bound is not None]
    worse = max((part for *_, part in points), default=0.0)
    said = f"{name}: evidence that it is worse at most {100 * worse:.3g} % of the limit"
    if known:
        at, estimates, bounds = zip(*known, strict=True)
        axes.fill_between(at, estimates, bounds, color=PALE, alpha=0.6, linewidth=0)
        axes.plot(at, estimates, color=ALERT if worse >= 1 else CALM, linewidth=1.2)
        axes.plot(at, bounds, color=INK, linewidth=0.8)
        axes.axhline(100 * points[-1][3], color=INK, linestyle="--", linewidth=0.8)
    else:
        said += "; too few users to compare"
        axes.set_yticks([])
    axes.set_title(said, fontsize=8, loc="left", pad=2, color=ALERT if worse >= 1 else INK)
    axes.set_ylabel("points", fontsize=7)
