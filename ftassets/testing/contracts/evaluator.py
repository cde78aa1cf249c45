"""What every evaluator must do, with a model of random weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftassets.backends.evaluator.base import Evaluator
from ftassets.domain.chat import Asked, question
from ftassets.domain.evaluation.jobs import (
    Answered,
    AnswerJob,
    Ask,
    ForgettingJob,
    Likelihood,
    Measurements,
    MetricsJob,
    PerplexityJob,
    Prompt,
)
from ftassets.domain.evaluation.parity import Agreement, ParityJob, ParityRow
from ftassets.testing.tiny_model import make_tiny_model

DOOR = [{"role": "user", "content": "open the door"}]

MakeEvaluator = Callable[[], Evaluator]


def run(evaluator: Evaluator, job: AnswerJob | PerplexityJob | MetricsJob | ParityJob) -> Any:
    """Answer, read, measure or compare within a Dagster run."""
    found: list[Measurements | Agreement] = []

    @dg.op
    def evaluation(context: dg.OpExecutionContext) -> None:
        if isinstance(job, AnswerJob):
            evaluator.answer(job, context)
        elif isinstance(job, PerplexityJob):
            evaluator.perplexity(job, context)
        elif isinstance(job, MetricsJob):
            found.append(evaluator.measure(job, context))
        else:
            found.append(evaluator.parity(job, context))

    @dg.job(executor_def=dg.in_process_executor)
    def the_job() -> None:
        evaluation()

    the_job.execute_in_process(raise_on_error=True)
    return found[0] if found else None


def answer_job(folder: Path, model: Path) -> AnswerJob:
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"id": f"p{n}", "messages": DOOR}) + "\n" for n in range(3)))
    ask = Ask(model=model, prompts_file=folder / "prompts.jsonl", output=folder / "out.parquet")
    return AnswerJob(system_prompt="Answer as JSON.", max_tokens=3, asks=[ask], work=folder)


def perplexity_job(folder: Path, model: Path) -> PerplexityJob:
    rows = [{"id": f"p{n}", "messages": DOOR, "expected": "yes " * n, "slice": "known"} for n in range(3)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    one = Likelihood(model=model, rows_file=folder / "rows.jsonl", output=folder / "out.parquet", system_prompt="Answer as JSON.")
    return PerplexityJob(likelihoods=[one], work=folder)


def metrics_job(folder: Path, *metrics: str) -> MetricsJob:
    (folder / "prompts.jsonl").write_text(json.dumps({"id": "p0", "messages": DOOR, "expected": "yes", "slice": "known"}))
    pq.write_table(pa.table({"id": ["p0"], "answer": ["yes"], "tokens_out": [1], "truncated": [False]}), folder / "answers.parquet")
    one = Answered(role="candidate", prompts_file=folder / "prompts.jsonl", answers=folder / "answers.parquet")
    return MetricsJob(metrics=list(metrics), task="text", label="intent", answered=[one], output=folder / "metrics.json", work=folder)


def parity_job(folder: Path) -> ParityJob:
    """An adapter as PEFT makes a new one, which changes nothing: all three forms are the base."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = make_tiny_model(folder / "base")
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(task_type="CAUSAL_LM")).save_pretrained(str(folder / "adapter"))
    rows = [ParityRow(asked=Asked.of("open the door"), merged="open it", server=said) for said in ("open it", "shut it", "")]
    where: dict[str, Any] = {"base": base, "adapter": folder / "adapter", "merged": base, "output": folder / "parity.json", "work": folder}
    return ParityJob(**where, system_prompt="Answer as JSON.", rows=rows)


class EvaluatorContract:
    """Subclass it with a fixture `make`: a function that makes the evaluator."""

    @pytest.fixture
    def make(self) -> MakeEvaluator:
        raise NotImplementedError("a contract is run by a subclass with a fixture `make`")

    @pytest.fixture
    def evaluator(self, make: MakeEvaluator) -> Evaluator:
        return make()

    @pytest.mark.parametrize("again", [False, True])
    def test_each_prompt_has_an_answer_and_the_file_is_not_written_again(self, evaluator: Evaluator, tmp_path: Path, again: bool) -> None:
        job = answer_job(tmp_path, make_tiny_model(tmp_path / "base")).model_copy(update={"again": again})
        run(evaluator, job)
        answers = pq.read_table(tmp_path / "out.parquet")
        assert answers.schema.names == ["id", "answer", "tokens_in", "tokens_out", "truncated"]
        assert answers["id"].to_pylist() == ["p0", "p1", "p2"]
        assert set(answers["tokens_out"].to_pylist()) <= {1, 2, 3}
        (tmp_path / "out.parquet").write_text("mine")
        run(evaluator, job)
        assert (tmp_path / "out.parquet").read_text() == "mine"

    def test_a_candidate_is_compared_with_others_on_general_prompts(self, evaluator: Evaluator, tmp_path: Path) -> None:
        base = make_tiny_model(tmp_path / "base")
        prompts = [Prompt(id=f"g{n}", messages=question("open " * n)) for n in (1, 2)]
        general = ForgettingJob(
            base=base, candidate=base, others={"base": base}, prompts=prompts, output=tmp_path / "kl.parquet", work=tmp_path
        )  # fmt: skip
        run(evaluator, answer_job(tmp_path, base).model_copy(update={"forgetting": general}))
        found = pq.read_table(tmp_path / "kl.parquet")
        assert found.schema.names == ["role", "id", "kl"]
        assert (found["role"].to_pylist(), found["id"].to_pylist()) == (["base", "base"], ["g1", "g2"])
        assert found["kl"].to_pylist() == pytest.approx([0.0, 0.0], abs=1e-6), "a model does not differ from itself"

    def test_each_expected_answer_has_a_likelihood_and_the_file_is_not_written_again(self, evaluator: Evaluator, tmp_path: Path) -> None:
        job = perplexity_job(tmp_path, make_tiny_model(tmp_path / "base"))
        run(evaluator, job)
        found = pq.read_table(tmp_path / "out.parquet")
        assert (found.schema.names, found["id"].to_pylist()) == (["id", "nll", "tokens"], ["p0", "p1", "p2"])
        nats = found["nll"].to_pylist()
        assert 0 < nats[0] < nats[1] < nats[2], "each expected answer is longer than the one before"
        (tmp_path / "out.parquet").write_text("mine")
        run(evaluator, job)
        assert (tmp_path / "out.parquet").read_text() == "mine"

    def test_metrics_are_measured_anew_and_returned(self, evaluator: Evaluator, tmp_path: Path) -> None:
        job = metrics_job(tmp_path, "exact_match")
        job.output.write_text("of an earlier attempt")
        assert run(evaluator, job) == {"exact_match": {"candidate": {"known": {"exact_match": 1.0}}}}
        assert json.loads(job.output.read_text()) == {"exact_match": {"candidate": {"known": {"exact_match": 1.0}}}}

    def test_a_comparison_counts_agreeing_tokens_of_each_prompt(self, evaluator: Evaluator, tmp_path: Path) -> None:
        job = parity_job(tmp_path)
        job.output.write_text("of an earlier attempt")
        found = run(evaluator, job)
        assert isinstance(found, Agreement)
        assert len({total for _, total in found.adapter}) == 1  # the merged copy's answers, the same thrice
        assert all(agree == total for agree, total in found.adapter)
        assert [agree == total for agree, total in found.server] == [True, False, False]
        assert found.server[2][0] == 0
        assert found.logprob_gap == pytest.approx(0, abs=1e-6)
        assert found.tokenizer_same
        assert found == Agreement.model_validate_json(job.output.read_bytes())
