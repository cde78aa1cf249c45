"""Whether the gates of a loop can ever pass with the golden rows there are, and whether they hold an absolute floor."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ftassets.domain.gates.classes import more_rows
from ftassets.domain.gates.inputs import some
from ftassets.domain.gates.planning import DISCORDANCE, EFFECT, POWER, SPREAD, RowCounts, counted_by, fewest_rows, plan
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.result import about
from ftassets.domain.loop_check.finding import LOOP, LoopFinding
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate


def gate_rows(loop: "LoopConfig", counts: RowCounts) -> Iterator[LoopFinding]:
    """A finding for each gate that no candidate can pass with the rows there are, or that a good one passes too rarely."""
    for place, gate in enumerate(loop.gates):
        if found := _gate(gate, place, counts):
            yield found


def _gate(gate: "Gate", place: int, counts: RowCounts) -> LoopFinding | None:
    singles = single_gates([gate])
    empty = [each for each in singles if not counts.of(each)]
    if len(empty) == len(singles):
        first = empty[0]
        without = sorted(label for label, rows in (counts.by_class(first) or {}).items() if not rows)
        if first.slice and not (without and first.slice in counts.slices):
            text = f"gate {gate.name}: no row is in slice {first.slice}; there are {', '.join(counts.slices) or 'no rows'}"
            advice = "the gate can never pass: give rows of the golden set this slice, or name another one"
            return LoopFinding("error", "unknown_slice", LOOP, text, advice, field=("gates", place))
        if without:
            text = f"gate {gate.name}, which counts each class: no row is of {some(without)}"
            return LoopFinding("error", "no_golden_rows", LOOP, text, more_rows(first), field=("gates", place))
        return LoopFinding("error", "no_golden_rows", LOOP, f"gate {gate.name}: no golden row", "add golden rows", field=("gates", place))
    short = [(each, needed) for each in singles if counts.of(each) < (needed := fewest_rows(each))]
    planned = plan(gate, counts, EFFECT, DISCORDANCE, SPREAD)
    enough = planned.sentence
    if planned.needed:
        enough = f"about {about(planned.needed)} {planned.unit} are enough for {POWER:.0%} of good candidates"
    if len(short) == len(singles):
        least, needed = short[0]
        text = (
            f"gate {gate.name} can never pass with {amount(counts.of(least), 'row')}{_of_class(least)}: it needs {needed} "
            f"{counted_by(least)} even if every answer is right"
        )
        return LoopFinding("error", "too_few_golden_rows", LOOP, text, f"add golden rows: {enough}", field=("gates", place))
    if planned.power is None or planned.power >= POWER:
        return None
    text = f"gate {gate.name}: {planned.sentence}"
    more = "raise its `pairs`" if gate.metric and gate.kind.counts == "pairs" else "add golden rows"
    advice = f"{more}, or accept that good candidates are held back for lack of data; `ftassets plan` takes other assumptions"
    return LoopFinding("warning", "weak_gate", LOOP, text, advice, field=("gates", place))


def _of_class(gate: "Gate") -> str:
    """Of which class the fewest rows are, for a gate on the recall of one or of all."""
    return "" if gate.metric != "recall" else f" of class {gate.label}" if gate.label else " of a class"


def scales(loop: "LoopConfig") -> Iterator[LoopFinding]:
    """A warning for each fixed bound of at most 1 on a metric whose scale goes further: it was meant for a scale from 0 to 1."""
    for place, gate in enumerate(loop.gates):
        for each in single_gates([gate]):
            bound, largest = each.at_least if each.at_least is not None else each.at_most, each.kind.value.largest
            if largest is not None and largest > 1 and bound is not None and 0 < bound <= 1:
                text = f"gate {gate.name}: {each.metric} goes from 0 to {largest:g}, and {bound:g} is next to nothing on that scale"
                advice = f"write {bound * largest:g} if {bound:g} of the scale is meant"
                yield LoopFinding("warning", "other_scale", LOOP, text, advice, field=("gates", place))


def floor(loop: "LoopConfig") -> Iterator[LoopFinding]:
    """A warning if no gate holds an absolute bound on the answers' quality."""
    for gate in single_gates(loop.gates):
        if (
            gate.at_least is not None
            and gate.metric != "parity"
            or gate.at_most is not None
            and gate.kind.counts not in ("pairs", "prompts")
        ):
            return
    text = "all gates compare with production: a first release only has to beat the untuned base model, however bad both are"
    advice = "add a floor, for example {metric: exact_match, at_least: 0.7}"
    yield LoopFinding("warning", "no_floor", LOOP, text, advice, field=("gates",))
