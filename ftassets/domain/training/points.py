"""What a training notes of itself while it runs: numbers at a step, a line of JSON each."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LOSS, VALIDATION_LOSS = "loss", "validation_loss"
FIRST_AFTER, EVERY_AT_LEAST, EVERY_SHARE = 10.0, 30.0, 0.1


@dataclass(frozen=True)
class Point:
    """Numbers by name after a step. `at` in epoch seconds; losses are in nats per token, memory in MiB."""

    step: int
    values: Mapping[str, float]
    at: float


def to_line(point: Point) -> str:
    """One line of JSON, with its end. A loss may be NaN, which JSON takes from Python."""
    return json.dumps({"step": point.step, "at": point.at, "values": dict(point.values)}) + "\n"


def from_line(line: str | bytes) -> Point:
    """The point that `to_line` wrote. Raises ValueError, KeyError."""
    read = json.loads(line)
    return Point(int(read["step"]), {name: float(value) for name, value in read["values"].items()}, float(read["at"]))


@dataclass
class Curves:
    """All numbers of a training so far. It repeats steps when it resumes from a checkpoint: then the first of each counts."""

    last: dict[str, int] = field(default_factory=dict)  # metric -> its last step
    now: dict[str, float] = field(default_factory=dict)  # metric -> its newest value
    of: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: {LOSS: [], VALIDATION_LOSS: []})  # finite losses by step

    def add(self, points: Iterable[Point]) -> list[Point]:
        """Take points in; returns what was new of them."""
        new = []
        for point in points:
            for fresh in unrecorded([point], self.last):
                new.append(fresh)
                self.now |= fresh.values
                self.last |= dict.fromkeys(fresh.values, fresh.step)
                for name, value in fresh.values.items():
                    if name in self.of and math.isfinite(value):
                        self.of[name].append((fresh.step, value))
        return new


def unrecorded(points: Iterable[Point], recorded: Mapping[str, int]) -> list[Point]:
    """What of the points comes after the last recorded step of its metric."""
    new = [
        Point(point.step, {name: value for name, value in point.values.items() if point.step > recorded.get(name, -1)}, point.at)
        for point in points
    ]
    return [point for point in new if point.values]


def shown_again(since_start: float, since_shown: float | None) -> bool:
    """Whether a running training's page is due: its number grows with the logarithm of the time, because each stays in Dagster's log.

    Times in seconds; None: it was not shown yet.
    """
    if since_shown is None:
        return since_start >= FIRST_AFTER
    return since_shown >= max(EVERY_AT_LEAST, EVERY_SHARE * since_start)
