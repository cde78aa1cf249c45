"""The evaluator's process on this machine: how it ends, and what it leaves."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ftassets.backends.evaluator.base import EvaluationFailed, EvaluationKilled
from ftassets.backends.evaluator.subprocess import SubprocessEvaluator
from ftassets.testing.contracts.evaluator import answer_job, metrics_job, parity_job, perplexity_job, run
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.evaluation.__main__ import _do, _Job

pytestmark = pytest.mark.models


def stand_in(folder: Path, body: str) -> SubprocessEvaluator:
    """An evaluator whose process is a few lines of Python."""
    path = folder / "stand_in.py"
    path.write_text("import os, sys, pathlib\nfrom dagster_pipes import open_dagster_pipes\n" + body)
    return SubprocessEvaluator((str(path),))


def test_nothing_is_started_when_the_answers_are_there(tmp_path):
    (tmp_path / "out.parquet").write_text("mine")
    run(stand_in(tmp_path, "sys.exit(1)\n"), answer_job(tmp_path, tmp_path))
    run(stand_in(tmp_path, "sys.exit(1)\n"), perplexity_job(tmp_path, tmp_path))
    assert (tmp_path / "out.parquet").read_text() == "mine"


def test_exit_0_without_the_file_is_a_failure(tmp_path):
    with pytest.raises(EvaluationFailed, match=r"did not write out\.parquet"):
        run(stand_in(tmp_path, "with open_dagster_pipes(): pass\n"), answer_job(tmp_path, tmp_path))


def test_a_killed_process_is_named(tmp_path):
    with pytest.raises(EvaluationFailed, match="killed.*memory"):
        run(stand_in(tmp_path, "os.kill(os.getpid(), 9)\n"), answer_job(tmp_path, tmp_path))


def test_the_sentence_of_the_process_is_passed_on(tmp_path):
    body = "pathlib.Path(sys.argv[1]).with_suffix('.failed').write_text('no such model')\nsys.exit(1)\n"
    with pytest.raises(EvaluationFailed, match="failed: no such model$"):
        run(stand_in(tmp_path, body), answer_job(tmp_path, tmp_path))


def test_an_old_sentence_is_not_taken_for_a_new_one(tmp_path):
    (tmp_path / "answers.failed").write_text("of last week")
    with pytest.raises(EvaluationFailed, match="exit code 3"):
        run(stand_in(tmp_path, "sys.exit(3)\n"), answer_job(tmp_path, tmp_path))


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


def test_a_comparison_of_an_earlier_attempt_does_not_pass(tmp_path):
    job = parity_job(tmp_path)
    job.output.write_text("{}")
    with pytest.raises(EvaluationFailed, match=r"did not write parity\.json"):
        run(stand_in(tmp_path, "with open_dagster_pipes(): pass\n"), job)
