"""A real evaluation: tiny models, the process of its own, the evaluation process below it, and a gateway for response times."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ftassets.assets.eval_report.answering import answer_file
from ftassets.assets.eval_report.rows import RowSet, read_answers
from ftassets.backends.control.error_budget import read_ledger
from ftassets.backends.control.usage import read_usage
from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.config.loop import Budget, Prices
from ftassets.config.profiles import artifacts, control
from ftassets.domain.evaluation.answer_form import ToolCall
from ftassets.gate_service.contract import BadRequest, GateAnswer
from ftassets.gate_service.evaluation import evaluate
from ftassets.gate_service.turns import run_process
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets.testing.tiny_loop import taught_model
from ftassets.testing.tiny_model import make_tiny_model
from ftassets_tests import ROOT
from ftassets_tests.gate_service.world import LOOP, World, make_world

pytestmark = pytest.mark.slow

GATES = [
    {"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.5},
    {"metric": "latency_p95", "no_worse_than": "production", "margin": 100, "pairs": 80},
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The candidate says {"intent": "dim"} whatever it is asked, which is the label of half the golden rows."""
    folder = tmp_path_factory.mktemp("evaluation")
    base = make_tiny_model(folder / "untaught")
    candidate = taught_model(folder / "taught", '{"intent": "dim"}')
    return make_world(folder, base, candidate, gates=GATES, task={"system_prompt": "Answer as JSON.", "max_tokens": 12})


@pytest.fixture(scope="module")
def answer(world: World) -> Iterator[tuple[GateAnswer, set[str]]]:
    """What the service says while the gateway is up, and the versions that stayed staged."""
    host = ThreadHost()
    try:
        with run_gateway_in_thread(world.home, {LOOP: world.loop}, host) as (serving, _), this_tree():
            found = asyncio.run(run_process(world.job(baseline_f1=0.2)))
            yield found, set(serving.state(LOOP).staged)
    finally:
        host.close()


@contextmanager
def this_tree() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        yield


def test_a_version_is_answered_scored_timed_and_judged(world: World, answer: tuple[GateAnswer, set[str]]) -> None:
    from sklearn.metrics import f1_score

    found, staged = answer
    said = read_answers([answer_file(artifacts(world.home), world.loop, world.candidate, RowSet(world.golden), world.base)])
    labels = [ToolCall().label(row.completion) for row in world.golden], [ToolCall().label(said[row.id]) for row in world.golden]
    assert found.f1_score == pytest.approx(f1_score(*labels, labels=["dim", "open"], average="macro"))
    assert found.f1_score == pytest.approx(1 / 3)
    assert world.candidate in {each.candidate for each in read_ledger(artifacts(world.home), control(world.home), LOOP).decisions}, (
        "it is a decision that counts"
    )
    assert found.latency_ms_p99 is not None
    assert found.latency_ms_p99 > 0
    assert {result.name: result.verdict.value for result in found.verdicts} == {
        "exact_match_established_no_worse": "PASS", "latency_p95_no_worse": "PASS", "caller_f1": "PASS",
    }  # fmt: skip
    assert (found.passed, found.compared_with) == (True, world.base)
    assert staged == set()


def test_what_an_evaluation_used_is_recorded_and_none_begins_on_a_spent_budget(world: World, answer: tuple[GateAnswer, set[str]]) -> None:
    [used] = [each for each in read_usage(control(world.home), LOOP, 0, 4e9) if each.node == "gate_service"]
    assert used.ended == "done"
    assert used.usage.cpu_seconds > 1  # its own process and the evaluator's
    assert used.usage.tokens_written > 0
    poor = {"prices": Prices(usd_per_cpu_hour=1), "budget": Budget(usd_per_month=1e-9)}
    job = world.job()
    with this_tree(), pytest.raises(EvaluationFailed, match=r"refused by the budget: runs of .* cost .* USD"):
        asyncio.run(run_process(job.model_copy(update={"loop": job.loop.model_copy(update=poor)})))


def test_it_leaves_answers_for_the_loops_report_and_nothing_else(world: World, answer: tuple[GateAnswer, set[str]]) -> None:
    assert len(list(world.home.answers.iterdir())) == 5  # two models, golden and held-out rows, and how far they are apart
    assert not os.listdir(world.home.root / "work")
    assert not world.home.releases.exists()
    assert not world.home.reports.exists()


def test_changed_weights_are_a_bad_request(world: World, answer: tuple[GateAnswer, set[str]]) -> None:
    weights = world.home.versions / world.candidate / "merged" / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + b"\0")
    try:
        with pytest.raises(BadRequest, match="is missing or was changed"):
            evaluate(world.job(), world.home, artifacts(world.home), control(world.home), world.store, None, None, None)  # type: ignore[arg-type]  # nobody is asked
    finally:
        weights.write_bytes(before)
