"""One condition of a promotion, as the loop file states it."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema, model_validator

from ftassets.config.units import Fraction, OneOf, Strict
from ftassets.domain.canonical import digest_of
from ftassets.domain.evaluation.metrics import row_values
from ftassets.domain.gates.inputs import some
from ftassets.domain.gates.kinds import COMPARISONS, KINDS, GateKind, kind_of
from ftassets.domain.gates.presets import RULES

_MEASURED = re.compile(r"^[A-Za-z_][\w:.]*\.[A-Za-z_][\w-]*$")  # rouge.rougeL: a metric of the loop and one of its values
_PLAIN = WithJsonSchema(
    {"type": "array", "items": {"type": "object"}}
)  # Dagster's sample of a component cannot follow a schema into itself
_NAMED = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


_RELATIVE = [name for name, kind in KINDS.items() if kind.value.relative_margin]
_RELATIVE += [name for name, value in row_values().items() if value.relative_margin]
_CLIPS = _listed(f"{value.clip:,g} for {name}" for name, value in row_values().items() if value.clip)
_SAMPLED, _PAIRED = (_listed(name for name, kind in KINDS.items() if kind.counts == counts) for counts in ("sample", "pairs"))


class Gate(Strict):
    """One condition of a promotion: a metric, what it is compared with, and at which confidence."""

    metric: str = Field(
        "",
        description=f"{', '.join(KINDS)}, or a value of one of the loop's `metrics` such as rouge.rougeL. Left out with preset or any_of.",
    )
    preset: Annotated[str, OneOf(RULES)] | None = Field(
        None,
        description="A well-known rule instead of metric and comparison. The report also says what its usual reading would have been.",
    )
    any_of: Annotated[list["Gate"], _PLAIN] = Field(
        [], description="Two or more better_than gates of which one must pass, with Holm's correction."
    )
    slice: _NAMED | None = Field(None, description="Slice of the rows that is compared. Default: all golden rows.")
    label: str | None = Field(
        None, min_length=1, description="The class that a gate on recall is about. Default: every class, of which each must pass."
    )
    labels: list[Annotated[str, Field(min_length=1)]] = Field(
        [],
        description="The classes that a gate on f1 or recall counts, for a slice that is about some of them. "
        "Default: task.labels, else the classes of the golden rows, in a slice too.",
    )
    better_than: Literal["production"] | None = Field(
        None, description="Superiority: the candidate must be better, at the gate's confidence."
    )
    no_worse_than: Literal["production"] | None = Field(
        None, description="Non-inferiority: the candidate may be worse by less than margin, at the gate's confidence."
    )
    margin: Fraction | None = Field(
        None,
        description="How much worse than production still counts as no worse. Relative to production's value for "
        f"{_listed(_RELATIVE)}, else absolute. Required with no_worse_than.",
    )
    at_least: float | None = Field(
        None, allow_inf_nan=False, description="Fixed bound: the lower confidence bound of the metric must reach it."
    )
    at_most: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Fixed bound: the upper confidence bound of the metric must not exceed it. In milliseconds for latency_p95.",
    )
    clip: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="The largest value of a row that counts, for metrics without a largest value: rows above it count as it. "
        f"Default: {_CLIPS}, 1 for a metric of your own.",
    )
    pairs: int = Field(400, ge=20, description=f"Requests that both versions answer in turns, for {_PAIRED}.")
    sample: int = Field(100, ge=10, description=f"Rows sampled, for {_SAMPLED}.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="One-sided confidence of the gate's test or bound.")

    @model_validator(mode="after")
    def _possible(self) -> "Gate":
        comparisons = [name for name in COMPARISONS if getattr(self, name) is not None]
        if self.any_of or self.preset:
            if self.metric or comparisons or self.margin is not None or (self.any_of and self.preset):
                raise ValueError("a gate has a metric with one comparison, or a preset, or any_of, not several of them")
            if self.any_of and (len(self.any_of) < 2 or any(gate.better_than is None for gate in self.any_of)):
                raise ValueError("any_of holds two or more gates with better_than")
            if self.label:
                raise ValueError("a label belongs to a gate on recall")
            if self.labels and self.preset != "f1":
                raise ValueError("labels belong to a gate on f1 or recall")
            if self.slice and self.any_of:
                raise ValueError("a slice belongs to the gates inside any_of")
            if self.slice and self.preset and not kind_of(RULES[self.preset].metric).groups:
                raise ValueError(f"{self.preset} is measured over all rows")
            return self
        if not (self.metric in KINDS or _MEASURED.match(self.metric)):
            meant = [name for name in row_values() if name.startswith(f"{self.metric}.")]
            known = " or ".join(meant) or f"one of {', '.join(KINDS)}, or METRIC.VALUE such as rouge.rougeL"
            raise ValueError(f"there is no metric {self.metric!r}: write {known}")
        if len(comparisons) != 1:
            raise ValueError("a gate has one of better_than, no_worse_than, at_least and at_most")
        if (self.no_worse_than is None) != (self.margin is None):
            raise ValueError("no_worse_than needs a margin (0.02, or 20% for latency), the other comparisons take none")
        kind, value = self.kind, self.kind.value
        if comparisons[0] not in kind.compared_with:
            raise ValueError(f"{self.metric} is compared with {' or '.join(kind.compared_with)}")
        if self.label and self.metric != "recall":
            raise ValueError(f"{self.metric} is not compared class by class: a label belongs to a gate on recall")
        if self.labels and (self.metric not in ("f1", "recall") or self.label):
            raise ValueError("labels belong to a gate on f1, or on recall without a label")
        if value.lower_is_better and self.metric not in KINDS and comparisons[0] not in ("no_worse_than", "at_most"):
            raise ValueError(f"{self.metric} is better when lower: it is compared with no_worse_than or at_most")
        if self.slice and not kind.groups:
            raise ValueError(f"{self.metric} is compared over all rows")
        width = value.largest
        if width is not None and not (self.at_least is None or self.at_least < width) & (self.at_most is None or self.at_most > 0):
            raise ValueError(f"with {self.metric} from 0 to {width:g}, no number of rows can show that limit reached: leave room")
        if self.clip is not None and (value.largest is not None or self.metric == "cost"):
            end = "the largest of task.costs" if value.largest is None else f"{value.largest:g}"
            raise ValueError(f"{self.metric} ends at {end}: clip is for metrics without a largest value")
        scaled = self.metric != "cost" and kind.counts != "pairs"
        if scaled and any(limit is not None and limit >= self.top for limit in (self.at_least, self.at_most)):
            more = ", or a larger clip" if value.largest is None else ""
            raise ValueError(f"{self.metric} counts from 0 to {self.top:g}: write a limit below {self.top:g}{more}")
        open_ended = value.relative_margin or value.largest is None and value.clip is None
        if not open_ended and self.margin is not None and self.margin >= 1:
            raise ValueError(f"margin {self.margin:g} would let any {self.metric} pass: write 0.02 or 2% for two points")
        return self

    @property
    def top(self) -> float:
        """The end of the scale on which its bounds take a row's value to be; it begins at 0."""
        value = self.kind.value
        return value.largest or self.clip or value.clip or 1.0

    @property
    def kind(self) -> GateKind:
        """What its metric is. Raises KeyError for a preset or any_of: ask `presets.single_gates` of it."""
        return kind_of(self.metric)

    @property
    def sentence(self) -> str:
        """The condition in words."""
        rows = f" on slice {self.slice}" if self.slice else ""
        if self.metric == "recall":
            rows = f" of {f'class {self.label}' if self.label else f'each of {some(self.labels)}' if self.labels else 'every class'}{rows}"
        elif self.labels:
            rows = f" over {some(self.labels)}{rows}"
        if self.any_of:
            return f"At least one of: {' '.join(gate.sentence for gate in self.any_of)}"
        if self.preset:
            return f"The rule {self.preset}{rows}, at {100 * self.confidence:g} % confidence or more."
        if self.better_than:
            goal = "is better than production's"
        elif self.no_worse_than:
            goal = f"is no worse than production's by more than {self.margin:g}"
        else:
            goal = f"is at least {self.at_least:g}" if self.at_least is not None else f"is at most {self.at_most:g}"
        return f"{self.metric}{rows} {goal}, at {100 * self.confidence:g} % confidence or more."

    @property
    def name(self) -> str:
        """Name of the gate's check, for example `exact_match_established_no_worse`."""
        if self.any_of:
            return "any_of_" + "_or_".join("_".join(filter(None, [re.sub(r"\W", "_", g.metric), g.slice])) for g in self.any_of)
        if self.preset:
            return "_".join(filter(None, ["preset", self.preset, self._classes, self.slice]))
        kind = (
            "better" if self.better_than else "no_worse" if self.no_worse_than else "at_least" if self.at_least is not None else "at_most"
        )
        return "_".join(filter(None, [re.sub(r"\W", "_", self.metric), self._classes, self.slice, kind]))

    @property
    def _classes(self) -> str | None:
        return _in_a_name(self.label or "+".join(sorted(self.labels)) or None)


def _in_a_name(label: str | None) -> str | None:
    """A label as Dagster takes it in the name of a check: one of other characters has the beginning of its digest besides."""
    if label is None or re.fullmatch("[A-Za-z0-9_]{1,60}", label):
        return label
    return f"{re.sub('[^A-Za-z0-9]+', '_', label)[:50]}_{digest_of(label)[:6]}"
