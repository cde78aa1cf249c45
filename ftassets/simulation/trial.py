"""A simulated candidate before the loop's own gates: rows that it and production answer, and the verdicts on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import RULE, evaluate_gates
from ftassets.domain.gates.report import HELD_OUT, EvalReport
from ftassets.domain.gates.result import GateResult

KNOWN, NEW = "established", "drifted"  # slices of golden rows: topics that production was trained on, and others
_METRICS = ("exact_match", "field_accuracy")  # an answer is right or wrong here


@dataclass(frozen=True)
class Candidate:
    """Chance of a right answer by topic, of a candidate and of production."""

    version: str
    production: str
    ours: Callable[[str], float]
    theirs: Callable[[str], float]


def is_simulated(gate: Gate) -> bool:
    """Whether a gate is on what is simulated; others count as passed."""
    return not gate.any_of and not gate.preset and gate.metric in _METRICS and gate.slice in (None, KNOWN, NEW, HELD_OUT)


def judge(
    loop: LoopConfig, candidate: Candidate, known: frozenset[str], golden: Sequence[str], held_out: Sequence[str], rng: np.random.Generator
) -> list[GateResult]:
    """The verdicts of the loop's gates that are simulated, on golden and held-out rows of these topics; none without such a gate.

    `known` are the topics that production was trained on. Answers of two versions are independent.
    """
    gates = [gate for gate in loop.gates if is_simulated(gate)]
    if not gates:
        return []
    rows = [(f"golden{place}", topic, KNOWN if topic in known else NEW) for place, topic in enumerate(golden)]
    rows += [(f"held{place}", topic, HELD_OUT) for place, topic in enumerate(held_out)]
    chances = {"candidate": candidate.ours, "production": candidate.theirs, "base": lambda topic: 0.0}
    scores = {
        role: _scores(rows, rng.uniform(size=len(rows)) < [chance(topic) for _, topic, _ in rows]) for role, chance in chances.items()
    }
    report = EvalReport(
        loop=loop.name, run_id="simulated", candidate=candidate.version, production=candidate.production, production_is_base=False,
        base="simulated", dataset_commit="simulated", golden_commit="simulated", policy_digest="simulated", generation={}, scores=scores,
        latency_ms={}, answers={}, gate_rule=RULE,
    )  # fmt: skip
    return evaluate_gates(gates, report)


def _scores(rows: Sequence[tuple[str, str, str]], right: NDArray[np.bool_]) -> list[Score]:
    return [
        Score(id=name, slice=part, exact=good, fields=float(good), valid=True)
        for (name, _, part), good in zip(rows, right.tolist(), strict=True)
    ]
