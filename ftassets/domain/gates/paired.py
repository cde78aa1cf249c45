"""Better than production, and no worse than production: two versions on the same rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.evidence import Ends, Evidence, differences, mean_evidence, pairs_evidence, tested
from ftassets.domain.gates.independent_units import WHOLE, counted, in_conversations, pooled, unit_of
from ftassets.domain.gates.measured import clipped, row_values
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.statistics import Pairs

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

OUTSIDE = 0.01  # share of values beyond the scale that may count as its end


def evaluate_paired(gate: "Gate", report: EvalReport, needed: bool = True) -> GateResult:
    """The verdict of a gate with better_than or no_worse_than; not `needed`, without the rows that would tell, which take longest to find.

    Raises ValueError when the two were not scored on the same rows, or when a score is not finite.
    """
    candidate, production = same_rows(gate, report)
    if not candidate:
        return no_rows(gate)
    ours, theirs = row_values(gate.metric, candidate), row_values(gate.metric, production)
    if ours is None or theirs is None:
        return not_measured(gate, len(candidate))
    ours, theirs = (pooled(gate.metric, scores, values) for scores, values in ((candidate, ours), (production, theirs)))
    if right_or_wrong(gate, candidate):
        return _right_or_wrong(gate, candidate, [value > 0 for value in ours], [value > 0 for value in theirs], needed)
    return _scores(gate, candidate, ours, theirs, needed)


def right_or_wrong(gate: "Gate", scores: Sequence[Score]) -> bool:
    """Whether a unit's value is 0 or 1: not the share of a conversation's answers."""
    return gate.kind.value.right_or_wrong and (gate.metric == WHOLE or not in_conversations(scores))


def same_rows(gate: "Gate", report: EvalReport) -> tuple[list[Score], list[Score]]:
    """Scores of candidate and production on the gate's rows. Raises ValueError when these are not the same rows."""
    candidate, production = report.rows("candidate", gate.slice), report.rows("production", gate.slice)
    if [s.id for s in candidate] != [s.id for s in production]:
        raise ValueError(f"gate {gate.name}: candidate and production were not scored on the same rows")
    return candidate, production


def no_rows(gate: "Gate") -> GateResult:
    """The result of a gate whose slice has no row."""
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, 0, f"no golden row in slice {gate.slice!r}")


def not_measured(gate: "Gate", n: int) -> GateResult:
    """The result of a gate whose metric the report does not hold."""
    text = f"{gate.metric} was not measured for each row: materialize eval_report again"
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, n, text)


def scores_beyond(gate: "Gate", outside: int, n: int) -> GateResult:
    """The result of a gate whose values too often lie beyond the scale it assumes."""
    text = (
        f"{outside} of {n} values of {gate.metric} lie outside 0 to {gate.top:g}, which is what the gate's bounds assume: "
        "write `clip` in the gate, the largest value that counts"
    )
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, n, text)


def _right_or_wrong(gate: "Gate", scores: Sequence[Score], ours: list[bool], theirs: list[bool], needed: bool) -> GateResult:
    """Where lower is better, as for refusals, a candidate wins a row by not having what production has."""
    lower, n = gate.kind.value.lower_is_better, len(ours)
    pairs = Pairs.of(theirs, ours) if lower else Pairs.of(ours, theirs)
    limit = 0.0 if gate.better_than else 0.0 - (gate.margin or 0.0)
    found = pairs_evidence(pairs, limit, gate.confidence) if needed else tested(differences(pairs), (-1.0, 1.0), limit, gate.confidence)
    both = sum(c and p for c, p in zip(ours, theirs, strict=True))
    neither = n - both - pairs.only_candidate - pairs.only_production
    fixed, broken, wrong = ("had only by production", "only by the candidate", both) if lower else ("fixed", "broken", neither)
    text = (
        f"{'candidate' if lower else 'right: candidate'} {np.mean(ours):.3f}, production {np.mean(theirs):.3f} of {counted(scores, n)}; "
        f"{fixed} {pairs.only_candidate}, {broken} {pairs.only_production}, {'both' if lower else 'both wrong'} {wrong}"
    )
    test = "exact McNemar test" if limit == 0 else "exact test"
    return _result(gate, found, limit, n, text, test, -1 if lower else 1, unit=unit_of(scores))


def _scores(gate: "Gate", scores: Sequence[Score], ours: list[float], theirs: list[float], needed: bool) -> GateResult:
    """Values of any size up to the gate's `top`."""
    known, n, top = gate.kind.value, len(ours), gate.top
    (ours, beyond), (theirs, more) = clipped(ours, top), clipped(theirs, top)
    if beyond + more > OUTSIDE * 2 * n:
        return scores_beyond(gate, beyond + more, 2 * n)
    text = f"candidate {np.mean(ours):.3f}, production {np.mean(theirs):.3f} on {counted(scores, n)}"
    if beyond + more:
        text += f", {beyond + more} values beyond 0 to {top:g} counted as these"
    text += ", lower is better" if known.lower_is_better else ""
    gains, ends, limit, sign = differences_of(gate, ours, theirs)
    found = (mean_evidence if needed else tested)(gains, ends, limit, gate.confidence)
    of = f" to {1 + (gate.margin or 0.0):.2f} times production's" if known.relative_margin else ""
    return _result(gate, found, limit, n, text, "test of the mean (Gaffke)", sign, of, unit_of(scores))


def differences_of(gate: "Gate", ours: Sequence[float], theirs: Sequence[float]) -> tuple[list[float], Ends, float, int]:
    """The candidate's gain on each row, its ends, the limit its mean must be above, and -1 where a gain is a lower value.

    Then rows are production's value less the candidate's, or its multiple less the candidate's for a relative margin.
    """
    known, margin, top = gate.kind.value, gate.margin or 0.0, gate.top
    (mine, _), (other, _) = clipped(ours, top), clipped(theirs, top)
    limit = 0.0 if known.relative_margin else 0.0 - margin * (known.largest or 1.0)
    if not known.lower_is_better:
        return [c - p for c, p in zip(mine, other, strict=True)], (-top, top), limit, 1
    times = 1 + margin if known.relative_margin else 1.0
    return [times * p - c for c, p in zip(mine, other, strict=True)], (-top, times * top), limit, -1


def _result(
    gate: "Gate", found: Evidence, limit: float, n: int, text: str, test: str, sign: int, of: str = "", unit: str = "rows"
) -> GateResult:
    """The result in the metric's own direction: `sign` is -1 where the evidence is of production less the candidate."""
    bound, fail_bound, wanted = (found.lower, found.upper, "above") if sign > 0 else (-found.lower, -found.upper, "below")
    margin = -limit if not of and gate.no_worse_than else None
    equivalent = None if margin is None else -margin < found.lower and found.upper < margin
    low, high = sorted((bound, fail_bound))
    threshold = sign * limit + 0.0  # no minus before a zero
    text += (
        f"; difference{of} {sign * found.value:+.3f}, {100 * gate.confidence:g} % lower bound {low:+.3f}, upper {high:+.3f}, "
        f"needs {'a lower' if sign > 0 else 'an upper'} bound {wanted} {threshold:+.3f}; {test} p = {found.p_value:.2g}"
    )
    if equivalent:
        text += f"; equivalent within {margin:g}"
    return GateResult.of(
        gate, found.verdict, sign * found.value, bound, threshold, n, text,
        p_value=found.p_value if gate.better_than else None, rows_needed=found.rows_needed, fail_bound=fail_bound,
        equivalent=equivalent, unit=unit,
    )  # fmt: skip
