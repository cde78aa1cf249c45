"""How far the gates' own measurement wavers: production evaluated twice on the same rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.evaluation.second_answers import SecondAnswers
from ftassets.domain.gates.independent_units import in_conversations
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.statistics import share_interval
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate
    from ftassets.domain.gates.report import EvalReport


class Flip(NamedTuple):
    """A gate whose verdict is another one with production's second answers."""

    gate: str
    first: str
    second: str


def with_second_answers(report: "EvalReport") -> "EvalReport":
    """The report with production's second answers in place of the first, where there are some; it keeps values that are not of answers."""
    second = {score.id: score for score in report.second_answers.scores} if report.second_answers else {}

    def of(first: Score) -> Score:
        found = second.get(first.id)
        return first if found is None else found.model_copy(update={"values": {**first.values, **found.values}})

    production = [of(score) for score in report.scores["production"]]
    return report.model_copy(update={"scores": {**report.scores, "production": production}})


def flips(gates: "Sequence[Gate]", report: "EvalReport", review: Review | None = None) -> list[Flip]:
    """The gates whose verdict changes with production's second answers."""
    before, after = (evaluate_gates(gates, each, review) for each in (report, with_second_answers(report)))
    return [
        Flip(one.name, one.verdict.value, other.verdict.value)
        for one, other in zip(before, after, strict=True)
        if one.verdict is not other.verdict
    ]


def rests_on_answers(gate: "Gate") -> bool:
    """Whether production's answers decide in this gate; those to fixed bounds, speed and people's or a judge's choices do not."""
    return any((each.better_than or each.no_worse_than) and each.kind.counts == "rows" for each in single_gates([gate]))


def noise_sentence(gates: "Sequence[Gate]", report: "EvalReport", noise: SecondAnswers, found: Sequence[Flip]) -> str:
    """What the second evaluation found, in words; `found` are its `flips`."""
    n, first = len(noise.scores), {score.id: score for score in report.scores["production"]}
    if not n:
        return "production answered no golden row twice"
    low, high = share_interval(noise.differing, n)
    interval = "" if in_conversations(noise.scores) else f", 95 % interval {low:.1%} to {high:.1%}"  # which holds for independent answers
    fixed, broken = (sum(second.exact is now and first[second.id].exact is not now for second in noise.scores) for now in (True, False))
    resting = sum(map(rests_on_answers, gates))
    changed = "; ".join(f"{gate}: {before}, then {after}" for gate, before, after in found) or "none"
    share = noise.seconds / noise.of_seconds if noise.of_seconds else 0.0
    return (
        f"production answered {n} golden rows twice: "
        f"{amount(noise.differing, 'answer differs', 'answers differ')} ({noise.differing / n:.1%}{interval}), "
        f"{fixed} became right and {broken} wrong. Verdicts that change with the second answers: {changed} "
        f"({resting} of {amount(len(gates), 'gate')} compare answers with production's). It took {noise.seconds:.0f} s of the evaluation's "
        f"{noise.of_seconds:.0f} s ({share:.0%})"
    )
