"""Faults of a version: it is slower, has learnt nothing, or comes with another tokenizer."""

from typing import Any

from ftassets.backends.model_client.latency import interleaved_latency
from ftassets.backends.serving.base import Refused
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.scoring import Score, score
from ftassets.domain.gates.policy import evaluate_gates, passed
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.drill.copied_loop import LEASE, CopiedLoop
from ftassets.drill.faulty_server import Behaviour

PAIRS = 100  # requests that both versions answer, at most
OWN = ("exact_match", "fields", "well_formed", "f1", "recall")  # gates that need no further measurement than the answers
SLOWER = 0.1  # seconds that each answer of the slower version takes longer


def slower_model(copy: CopiedLoop) -> tuple[bool, str]:
    """A candidate whose server takes a tenth of a second longer, measured as the eval report measures it."""
    gates = [gate for gate in copy.loop.gates if any(each.metric == "latency_p95" for each in single_gates([gate]))]
    if not gates:
        return False, "no gate on latency_p95: add one to the loop file, for example no_worse_than production with a margin of 20%"
    with copy.serving() as running:
        slow = running.released("slower", Behaviour(delay=SLOWER))
        urls = {
            "candidate": running.serving_api.stage(copy.loop.name, slow, LEASE),
            "production": running.host_url(running.production),
        }
        times = interleaved_latency(urls, [copy.golden[n % len(copy.golden)] for n in range(PAIRS)], copy.loop.task)
    whole = {role: [each.whole_ms for each in found] for role, found in times.items()}
    results = evaluate_gates(gates, _report(copy, _answered(copy), _answered(copy), whole))
    return any(each.verdict is Verdict.FAIL for each in results), _words(results)


def adapter_that_does_nothing(copy: CopiedLoop) -> tuple[bool, str]:
    """A candidate whose answers to the golden rows are those of production, row by row; half of them are right."""
    scores = _answered(copy)
    there = {None, *(each.slice for each in scores)}
    gates = [gate for gate in copy.loop.gates if all(each.metric in OWN and each.slice in there for each in single_gates([gate]))]
    results = evaluate_gates(gates, _report(copy, scores, scores, {}))
    if not results or passed(results):
        found = f" ({_words(results)})" if results else ""
        return False, f"no gate on the golden rows asks for more than production has{found}: add exact_match better_than production"
    return True, _words(results)


def another_tokenizer(copy: CopiedLoop) -> tuple[bool, str]:
    """The tokenizer of a released version is replaced after its release."""
    with copy.serving() as running:
        digest = running.released("tokenizer", Behaviour(), parts=("merged/tokenizer.json",))
        (running.home.versions / digest / "merged" / "tokenizer.json").write_text('{"another": "tokenizer"}')
        try:
            running.start(digest, copy.loop.rollout.steps[0])
        except Refused as error:
            return running.state().candidate is None, str(error)
        return False, "the version took traffic with a tokenizer that was not released"


def _answered(copy: CopiedLoop) -> list[Score]:
    """Scores of answers of which every second one is right."""
    other = copy.golden[0].completion
    return [_scored(copy, row, row.completion if n % 2 else other) for n, row in enumerate(copy.golden)]


def _scored(copy: CopiedLoop, row: Example, said: str) -> Score:
    return score(row.id, row.slice or "golden", said, row.completion, copy.loop.task.form, False, labelled=True)


def _report(copy: CopiedLoop, candidate: list[Score], production: list[Score], latency: dict[str, list[float]]) -> EvalReport:
    fixed: dict[str, Any] = dict.fromkeys(
        ("run_id", "candidate", "production", "base", "dataset_commit", "golden_commit", "policy_digest"), "drill"
    )
    scores = {"candidate": candidate, "production": production, "base": production}
    classes = tuple(copy.loop.task.labels or ())
    return EvalReport(
        loop=copy.loop.name,
        production_is_base=False,
        generation={},
        scores=scores,
        latency_ms=latency,
        answers={},
        classes=classes,
        **fixed,
    )


def _words(results: list[GateResult]) -> str:
    return "; ".join(f"{each.name} {each.verdict.value}: {each.sentence}" for each in results)
