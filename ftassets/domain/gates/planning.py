"""What a gate can prove with the rows there are, before anything is trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ftassets.domain.gates.classes import named_by
from ftassets.domain.gates.composed import members
from ftassets.domain.gates.error_budget import at_level
from ftassets.domain.gates.presets import RULES, as_gate
from ftassets.domain.gates.report import HELD_OUT
from ftassets.domain.gates.result import about
from ftassets.domain.mean_bounds import pair_p_values
from ftassets.domain.power import EFFECT as EFFECT
from ftassets.domain.power import POWER, ROWS_LIMIT, pairs_power, share_power, smallest
from ftassets.errors import InvalidInput

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

# what a plan assumes unless it is told otherwise, besides EFFECT
DISCORDANCE = 0.10  # share of rows that only one of two models gets right
SPREAD = 0.3  # standard deviation of log response times


@dataclass(frozen=True)
class GatePlan:
    """Chance that a gate passes a model whose true difference to production is `effect`, with `rows` rows, and rows for power 0.8.

    `needed` is None above `ROWS_LIMIT`; `needed_for_all` is `needed` where all gates of the policy are to pass together with power 0.8,
    None also where that is not asked. For a latency gate rows are interleaved pairs of requests and the effect is 0; for a fixed
    bound the effect is the true value's distance to it. For a gate on the recall of several classes, rows are those of the rarest one and
    `needed` those of each; power is the chance that all of them pass. A gate that cannot be planned has power None and says why. `unit` is
    what `needed` counts, in words.
    """

    name: str
    effect: float | None
    rows: int
    needed: int | None
    power: float | None
    sentence: str
    needed_for_all: int | None = None
    unit: str = "rows"


@dataclass(frozen=True)
class PolicyPlan:
    """The plans of all gates, and the chance that those which can be planned all pass.

    `power` is the product of their chances, as if they were independent; whatever gates on the same rows have in common, the chance is
    at least `at_least` (Bonferroni) and at most `at_most`, that of the weakest one (Fréchet). All None if no gate can be planned.
    """

    gates: tuple[GatePlan, ...]
    power: float | None
    at_least: float | None
    at_most: float | None


@dataclass(frozen=True)
class RowCounts:
    """Rows a report will have: golden ones by slice, those without one as "golden" (and maybe the held-out ones), and further sets."""

    golden: Mapping[str, int]
    further: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, int]] | None = None  # rows of each class, by slice as `golden`; None where that is not known
    labels: Sequence[str] = ()  # classes that count where a gate names none

    @property
    def slices(self) -> list[str]:
        """Names of all slices that have a row."""
        return sorted(name for name, rows in {**self.golden, **self.further}.items() if rows)

    def of(self, gate: "Gate") -> int:
        """Rows that a gate which compares one metric will have, as the report chooses them; of its rarest class if it is on classes."""
        golden = sum(rows for name, rows in self.golden.items() if name != HELD_OUT)
        if gate.kind.counts == "pairs":
            return gate.pairs if golden else 0
        rows = {**self.golden, **self.further}.get(gate.slice, 0) if gate.slice else golden
        if (found := self.by_class(gate)) is not None:
            rarest = min(found.values(), default=0)
            return rarest if gate.metric == "recall" or not rarest else rows
        return min(gate.sample, rows) if gate.kind.counts == "sample" else rows

    def parts(self, gate: "Gate") -> list[int]:
        """Rows of each part of which a gate that compares one metric must pass all: of each class for recall, else its rows."""
        found = self.by_class(gate) if gate.metric == "recall" else None
        return list(found.values()) if found else [self.of(gate)]

    def by_class(self, gate: "Gate") -> dict[str, int] | None:
        """Rows of each class that a gate counts; None for a gate that counts no classes, and where they are not known."""
        if self.classes is None or gate.metric not in ("f1", "recall"):
            return None
        slices = [gate.slice] if gate.slice else [name for name in self.golden if name != HELD_OUT]
        there = [self.classes.get(name, {}) for name in slices]
        return {label: sum(each.get(label, 0) for each in there) for label in named_by(gate) or self.labels}


def passes(gate: "Gate", only_candidate: NDArray[np.int64], only_production: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    """Whether the gate passes each pair of counts of discordant rows among n. Raises ValueError for one that counts no rows."""
    if gate.kind.counts != "rows":
        raise ValueError(f"a gate on {gate.metric} does not count rows")
    below: NDArray[np.bool_] = pair_p_values(only_candidate, only_production, n, -(gate.margin or 0.0)) < 1 - gate.confidence
    return below


def power(gate: "Gate", n: int, effect: float, discordance: float) -> float:
    """Chance that the gate passes on n independent rows when the true difference to production is `effect`.

    `discordance` is the share of rows that only one of the two models gets right. Exact: summed over all outcomes. Scores between 0
    and 1 are taken as right or wrong, their widest spread.
    Raises ValueError unless |effect| <= discordance <= 1.
    """
    if not abs(effect) <= discordance <= 1:
        raise InvalidInput(f"a difference of {effect:g} needs a discordance between {abs(effect):g} and 1, not {discordance:g}")
    return pairs_power(n, (discordance + effect) / 2, (discordance - effect) / 2, -(gate.margin or 0.0), 1 - gate.confidence)


def rows_needed(gate: "Gate", effect: float, discordance: float, wanted: float = POWER) -> int | None:
    """Golden rows from which the gate passes that model with the wanted power; None above `ROWS_LIMIT`."""
    return smallest(lambda n: power(gate, n, effect, discordance) >= wanted)


def bound_power(gate: "Gate", n: int, effect: float) -> float:
    """Chance that an at_least or at_most gate passes on n independent rows whose true mean clears the bound by `effect`.

    Exact for right or wrong (Clopper-Pearson), as which scores between 0 and 1 are taken, their widest spread. A true mean beyond
    the end of the scale is taken as the end.
    """
    share = _share_allowed(gate)
    return share_power(n, min(1.0, max(0.0, share + effect)), share, gate.confidence)


def rows_chance(gate: "Gate", effect: float, discordance: float, spread: float) -> Callable[[int], float] | str:
    """Chance that a gate on row values passes, by number of rows, or why it is not known."""
    if gate.kind.value.largest is None:
        return f"how far {gate.metric} varies from row to row is not known before the first report"
    if gate.better_than is None and gate.no_worse_than is None:
        return lambda n: bound_power(gate, n, effect)
    return lambda n: power(gate, n, effect, discordance)


def fewest_rows(gate: "Gate") -> int:
    """Rows below which a gate that compares one metric passes no candidate, not even one that is right where production never is.

    1 where that is not known: for scores other than right or wrong, and for gates that do not count rows.
    """
    if gate.kind.counts != "rows" or not gate.kind.value.right_or_wrong:
        return 1
    chance = rows_chance(gate, 1.0, 1.0, 0.0)
    found = smallest(lambda n: chance(n) > 0.5) if not isinstance(chance, str) else 1  # the chance is 0 or 1
    return found or ROWS_LIMIT


def plan_policy(gates: "Sequence[Gate]", counts: RowCounts, effect: float, discordance: float, spread: float) -> PolicyPlan:
    """The plans of all gates of a loop with these rows, alone and together.

    Rows for all are those with which each of k gates misses a good candidate in a k-th of 20 % of cases, so that all pass in 80 % or
    more, however they depend on each other: a candidate has to get past all of them. Raises ValueError as `power` does.
    """
    alone = [plan(gate, counts, effect, discordance, spread) for gate in gates]
    chances = [each.power for each in alone if each.power is not None]
    if not chances:
        return PolicyPlan(tuple(alone), None, None, None)
    wanted = 1 - (1 - POWER) / len(chances)
    found = tuple(
        each if each.power is None else replace(each, needed_for_all=plan(gate, counts, effect, discordance, spread, wanted).needed)
        for gate, each in zip(gates, alone, strict=True)
    )
    most = [
        each.power if (highest := _most(gate, counts, effect, discordance, spread)) is None else highest
        for gate, each in zip(gates, alone, strict=True)
        if each.power is not None
    ]
    return PolicyPlan(found, float(np.prod(chances)), max(0.0, 1 - sum(1 - chance for chance in chances)), min(most))


def _most(gate: "Gate", counts: RowCounts, effect: float, discordance: float, spread: float) -> float | None:
    """The largest chance that any_of passes, however its gates depend on each other: the sum of theirs; None for other gates."""
    if not gate.any_of:
        return None
    return min(1.0, sum(1.0 if each.power is None else each.power for each in _members(gate, counts, effect, discordance, spread)))


def _members(gate: "Gate", counts: RowCounts, effect: float, discordance: float, spread: float) -> list[GatePlan]:
    return [plan_gate(each, counts.parts(each), effect, discordance, spread) for each in members(gate)]


def plan(gate: "Gate", counts: RowCounts, effect: float, discordance: float, spread: float, wanted: float = POWER) -> GatePlan:
    """The plan of any gate of a loop with these rows. Raises ValueError as `power` does."""
    if gate.any_of:
        return plan_any_of(gate, [counts.parts(each) for each in gate.any_of], effect, discordance, spread, wanted)
    return plan_gate(gate, counts.parts(as_gate(gate)), effect, discordance, spread, wanted)


def plan_gate(gate: "Gate", parts: Sequence[int], effect: float, discordance: float, spread: float, wanted: float = POWER) -> GatePlan:
    """The plan of one gate: better_than and fixed bounds at a true gain of `effect`, no_worse_than for an equal model.

    `parts` are the golden rows of the gate's slice, or pairs of requests for a latency gate, as one number; or those of each class, all of
    which must pass. A preset is planned as the gate it stands for, at the gain it names; any_of is planned by `plan_any_of`. Raises
    ValueError as `power` does.
    """
    if gate.preset:
        plan = plan_gate(as_gate(gate), parts, RULES[gate.preset].effect or effect, discordance, spread, wanted)
        return replace(plan, name=gate.name)
    assumed = 0.0 if gate.no_worse_than else effect
    chance = gate.kind.plan(gate, assumed, discordance, spread)
    rows = min(parts)
    if isinstance(chance, str):
        return GatePlan(gate.name, None, rows, None, None, f"cannot be planned: {chance}", unit=counted_by(gate))
    now, needed = of_all(chance, parts), smallest(lambda n: chance(n) ** len(parts) >= wanted)
    return GatePlan(gate.name, assumed, rows, needed, now, _sentence(gate, assumed, parts, needed, now), unit=counted_by(gate))


def counted_by(gate: "Gate") -> str:
    """What a gate that compares one metric needs more of if it lacks data."""
    if gate.metric == "recall":
        return f"rows of {f'class {gate.label}' if gate.label else 'each class'}"
    return "pairs of requests" if gate.kind.counts == "pairs" else "rows"


def of_all(chance: Callable[[int], float], parts: Sequence[int]) -> float:
    """The chance that all parts pass: they have no row in common, and are independent."""
    found = {rows: chance(rows) for rows in set(parts)}
    return float(np.prod([found[rows] for rows in parts]))


def plan_any_of(
    gate: "Gate", parts: Sequence[Sequence[int]], effect: float, discordance: float, spread: float, wanted: float = POWER
) -> GatePlan:
    """The plan of an any_of gate whose members have these rows, each at Holm's first step.

    Members in slices of their own have no row in common, and any of them passes as often as independent ones do. Otherwise it is the plan
    of the most powerful one: the chance that any passes is at least that. Raises ValueError as `power` does.
    """
    asked = members(gate)
    plans = [plan_gate(each, count, effect, discordance, spread, wanted) for each, count in zip(asked, parts, strict=True)]
    known = [plan for plan in plans if plan.power is not None]
    if not known:
        return replace(plans[0], name=gate.name, sentence=f"none of its gates can be planned; {plans[0].name}: {plans[0].sentence}")
    best = max(known, key=lambda plan: plan.power or 0.0)
    slices = {each.slice for each in asked}
    if len(known) < len(asked) or len(slices) < len(asked) or None in slices:
        return replace(best, name=gate.name, sentence=f"by its most powerful gate with Holm's correction, {best.name}: {best.sentence}")
    chances = [each.kind.plan(each, effect, discordance, spread) for each in asked]

    def any_passes(rows: Sequence[Sequence[int]]) -> float:
        each = (of_all(chance, count) for chance, count in zip(chances, rows, strict=True) if not isinstance(chance, str))
        return 1 - float(np.prod([1 - chance for chance in each]))

    now = any_passes(parts)
    needed = smallest(lambda n: any_passes([[n] * len(count) for count in parts]) >= wanted)
    text = f"any of {len(asked)} slices, with Holm's correction, passes a model better by {100 * effect:g} points in each with {now:.0%}"
    if now < POWER:
        text += f": it needs about {about(needed)} in each" if needed else f"; fewer than {ROWS_LIMIT:,} rows are not enough"
    unit = f"{counted_by(asked[0])} in each slice" if len({counted_by(each) for each in asked}) == 1 else "rows in each slice"
    return GatePlan(gate.name, effect, min(min(count) for count in parts), needed, now, text, unit=unit)


def held_back(gates: "Sequence[Gate]", counts: RowCounts, effect: float, discordance: float, level: float) -> float | None:
    """Least share of models better by `effect` that do not pass at this level, by the gate that holds most of them back.

    Of the gates that compare with production, those that can be planned; None without one. Raises ValueError as `power` does.
    """
    chances, discordance = [], max(discordance, effect)
    for gate in (at_level(each, level) for each in gates):
        if gate.any_of:  # at most the sum, however they depend on each other
            chances += [most] if (most := _most(gate, counts, effect, discordance, SPREAD)) is not None else []
        elif (stands_for := as_gate(gate)).better_than or stands_for.no_worse_than:
            chance = stands_for.kind.plan(stands_for, effect, discordance, SPREAD)
            chances += [] if isinstance(chance, str) else [of_all(chance, counts.parts(stands_for))]
        # how far it is from a fixed bound does not follow from its gain
    return 1 - min(chances) if chances else None


def _share_allowed(gate: "Gate") -> float:
    """The limit as the share of good rows that the lower confidence bound must exceed."""
    width = gate.kind.value.largest or 1.0
    return gate.at_least / width if gate.at_least is not None else 1 - (gate.at_most or 0.0) / width


def _sentence(gate: "Gate", effect: float, parts: Sequence[int], needed: int | None, now: float) -> str:
    rows, several = min(parts), len(parts) > 1
    unit = f"rows of the rarest of {len(parts)} classes" if several else counted_by(gate)
    if gate.better_than:
        test, model = "superiority", f"a model better by {100 * effect:g} points"
    elif gate.no_worse_than:
        test, model = f"non-inferiority with margin {gate.margin:g}", "an equal model"
    else:
        test = f"at least {gate.at_least:g}" if gate.at_least is not None else f"at most {gate.at_most:g}"
        model = f"a model that is better than that by {100 * effect:g} points"
    model += " in each" if several else ""
    if needed is None:
        return f"{test} cannot pass {model} reliably with fewer than {ROWS_LIMIT:,} {unit}: widen the margin or look for a larger effect"
    wanted = f"{about(needed)}{f' {counted_by(gate)}' if several else ''}"
    if not rows:
        return f"{test} has no {unit}: it never passes, and needs about {wanted}"
    if now >= POWER:
        return f"{test} on {rows:,} {unit} passes {model} with {now:.0%}"
    return f"{test} on {rows:,} {unit} passes {model} with only {now:.0%}: it needs about {wanted}"
