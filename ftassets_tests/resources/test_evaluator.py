import json
import os
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from ftassets.domain.answers import AnswerJob, Ask
from ftassets.resources.evaluator.base import EvaluationFailed
from ftassets.resources.evaluator.embedded import SubprocessEvaluator
from ftassets_tests.tiny_model import make_tiny_model


def run(evaluator: SubprocessEvaluator, job: AnswerJob) -> None:
    """Answer within a Dagster run."""

    @dg.op
    def evaluation(context: dg.OpExecutionContext) -> None:
        evaluator.answer(job, context)

    @dg.job(executor_def=dg.in_process_executor)
    def the_job() -> None:
        evaluation()

    the_job.execute_in_process(raise_on_error=True)


def stand_in(folder: Path, body: str) -> SubprocessEvaluator:
    """An evaluator whose process is a few lines of Python."""
    path = folder / "stand_in.py"
    path.write_text("import os, sys, pathlib\nfrom dagster_pipes import open_dagster_pipes\n" + body)
    return SubprocessEvaluator((str(path),))


def a_job(folder: Path, model: Path) -> AnswerJob:
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"id": f"p{n}", "prompt": "open the door"}) + "\n" for n in range(3)))
    ask = Ask(model=model, prompts_file=folder / "prompts.jsonl", output=folder / "out.parquet")
    return AnswerJob(system_prompt="Answer as JSON.", max_tokens=3, asks=[ask], work=folder)


def test_a_real_evaluation_writes_its_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])))
    run(SubprocessEvaluator(), a_job(tmp_path, make_tiny_model(tmp_path / "base")))
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == ["p0", "p1", "p2"]


def test_nothing_is_started_when_the_answers_are_there(tmp_path):
    (tmp_path / "out.parquet").write_text("mine")
    run(stand_in(tmp_path, "sys.exit(1)\n"), a_job(tmp_path, tmp_path))


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
