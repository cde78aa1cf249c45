import json
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftassets.backends.evaluator.base import EvaluationFailed, EvaluationKilled
from ftassets.backends.evaluator.subprocess import SubprocessEvaluator
from ftassets.domain.evaluation.jobs import Answered, AnswerJob, Ask, Likelihood, Measurements, MetricsJob, PerplexityJob
from ftassets.domain.evaluation.parity import Agreement, ParityJob, ParityRow
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.evaluation.__main__ import _do, _Job
from ftassets_tests import ROOT

pytestmark = pytest.mark.models


def run(evaluator: SubprocessEvaluator, job: AnswerJob | PerplexityJob | MetricsJob | ParityJob) -> Any:
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


def stand_in(folder: Path, body: str) -> SubprocessEvaluator:
    """An evaluator whose process is a few lines of Python."""
    path = folder / "stand_in.py"
    path.write_text("import os, sys, pathlib\nfrom dagster_pipes import open_dagster_pipes\n" + body)
    return SubprocessEvaluator((str(path),))


def use_this_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))


def a_job(folder: Path, model: Path) -> AnswerJob:
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"id": f"p{n}", "prompt": "open the door"}) + "\n" for n in range(3)))
    ask = Ask(model=model, prompts_file=folder / "prompts.jsonl", output=folder / "out.parquet")
    return AnswerJob(system_prompt="Answer as JSON.", max_tokens=3, asks=[ask], work=folder)


def perplexity_job(folder: Path, model: Path) -> PerplexityJob:
    rows = [{"id": f"p{n}", "prompt": "open the door", "expected": "yes " * n, "slice": "known"} for n in range(3)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    one = Likelihood(model=model, rows_file=folder / "rows.jsonl", output=folder / "out.parquet", system_prompt="Answer as JSON.")
    return PerplexityJob(likelihoods=[one], work=folder)


def metrics_job(folder: Path, *metrics: str) -> MetricsJob:
    (folder / "prompts.jsonl").write_text(json.dumps({"id": "p0", "prompt": "open the door", "expected": "yes", "slice": "known"}))
    pq.write_table(pa.table({"id": ["p0"], "answer": ["yes"], "tokens_out": [1], "truncated": [False]}), folder / "answers.parquet")
    one = Answered(role="candidate", prompts_file=folder / "prompts.jsonl", answers=folder / "answers.parquet")
    return MetricsJob(metrics=list(metrics), task="text", label="intent", answered=[one], output=folder / "metrics.json", work=folder)


def parity_job(folder: Path) -> ParityJob:
    """An adapter as PEFT makes a new one, which changes nothing: all three forms are the base."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = make_tiny_model(folder / "base")
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(task_type="CAUSAL_LM")).save_pretrained(str(folder / "adapter"))
    rows = [ParityRow(prompt="open the door", merged="open it", server=said) for said in ("open it", "shut it", "")]
    where: dict[str, Any] = {"base": base, "adapter": folder / "adapter", "merged": base, "output": folder / "parity.json", "work": folder}
    return ParityJob(**where, system_prompt="Answer as JSON.", rows=rows)


def test_nothing_is_started_when_the_answers_are_there(tmp_path):
    (tmp_path / "out.parquet").write_text("mine")
    run(stand_in(tmp_path, "sys.exit(1)\n"), a_job(tmp_path, tmp_path))
    run(stand_in(tmp_path, "sys.exit(1)\n"), perplexity_job(tmp_path, tmp_path))


def test_exit_0_without_the_file_is_a_failure(tmp_path):
    with pytest.raises(EvaluationFailed, match=r"did not write out\.parquet"):
        run(stand_in(tmp_path, "with open_dagster_pipes(): pass\n"), a_job(tmp_path, tmp_path))


def test_a_killed_process_is_named(tmp_path):
    with pytest.raises(EvaluationFailed, match="killed.*memory"):
        run(stand_in(tmp_path, "os.kill(os.getpid(), 9)\n"), a_job(tmp_path, tmp_path))


def test_the_sentence_of_the_process_is_passed_on(tmp_path):
    body = "pathlib.Path(sys.argv[1]).with_suffix('.failed').write_text('no such model')\nsys.exit(1)\n"
    with pytest.raises(EvaluationFailed, match="failed: no such model$"):
        run(stand_in(tmp_path, body), a_job(tmp_path, tmp_path))


def test_an_old_sentence_is_not_taken_for_a_new_one(tmp_path):
    (tmp_path / "answers.failed").write_text("of last week")
    with pytest.raises(EvaluationFailed, match="exit code 3"):
        run(stand_in(tmp_path, "sys.exit(3)\n"), a_job(tmp_path, tmp_path))


def test_the_process_knows_its_other_jobs_by_their_files(tmp_path):
    likelihoods = perplexity_job(tmp_path, make_tiny_model(tmp_path / "base"))
    _do(_Job.model_validate_json(likelihoods.model_dump_json()), print)
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == ["p0", "p1", "p2"]
    assert all(nll > 0 for nll in pq.read_table(tmp_path / "out.parquet")["nll"].to_pylist())
    metrics = metrics_job(tmp_path, "exact_match")
    _do(_Job.model_validate_json(metrics.model_dump_json()), print)
    assert json.loads(metrics.output.read_text()) == {"exact_match": {"candidate": {"known": {"exact_match": 1.0}}}}


def test_a_measurement_returns_its_table_and_measures_anew(tmp_path):
    job = metrics_job(tmp_path, "exact_match")
    job.output.write_text("of an earlier attempt")
    write = "with open_dagster_pipes(): pathlib.Path(sys.argv[1]).with_name('metrics.json').write_text('{\"rows\": 3}')\n"
    assert run(stand_in(tmp_path, write), job) == {"rows": 3}


def test_a_table_of_an_earlier_attempt_does_not_pass(tmp_path):
    job = metrics_job(tmp_path, "exact_match")
    job.output.write_text("{}")
    with pytest.raises(EvaluationFailed, match=r"did not write metrics\.json"):
        run(stand_in(tmp_path, "with open_dagster_pipes(): pass\n"), job)


def test_a_killed_measurement_is_worth_one_more_try(tmp_path):
    with pytest.raises(EvaluationKilled, match="memory ran out$"):
        run(stand_in(tmp_path, "os.kill(os.getpid(), 9)\n"), metrics_job(tmp_path, "exact_match"))


def test_a_real_comparison_counts_agreeing_tokens_of_each_prompt(tmp_path, monkeypatch):
    use_this_tree(monkeypatch)
    job = parity_job(tmp_path)
    job.output.write_text("of an earlier attempt")
    found = run(SubprocessEvaluator(), job)
    assert isinstance(found, Agreement)
    assert len({total for _, total in found.adapter}) == 1  # the merged copy's answers, the same thrice
    assert all(agree == total for agree, total in found.adapter)
    assert [agree == total for agree, total in found.server] == [True, False, False]
    assert found.server[2][0] == 0
    assert found.logprob_gap == pytest.approx(0, abs=1e-6)
    assert found.tokenizer_same
    assert found == Agreement.model_validate_json(job.output.read_bytes())


def test_a_comparison_of_an_earlier_attempt_does_not_pass(tmp_path):
    job = parity_job(tmp_path)
    job.output.write_text("{}")
    with pytest.raises(EvaluationFailed, match=r"did not write parity\.json"):
        run(stand_in(tmp_path, "with open_dagster_pipes(): pass\n"), job)
