import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ftassets.config.loop import Sweep
from ftassets.domain.training.sweep import Tried, best_of
from ftassets.domain.training.sweep_job import SweepJob, SweepResult
from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.process import TERMINATED, last_words, write_job
from ftassets_tests import ROOT

pytest.importorskip("optuna", reason="needs the extra sweep: pip install 'ftassets[sweep]'")

pytestmark = [pytest.mark.slow, pytest.mark.models, pytest.mark.timeout(500)]

RUN = (
    "import sys; from pathlib import Path; from ftassets.domain.training.sweep_job import SweepJob; "
    "from ftassets.workers.process import terminations; from ftassets.workers.training.sweep import search; "
    "job = SweepJob.model_validate_json(Path(sys.argv[1]).read_text());\n"
    "with terminations() as stop: result = search(job, lambda text: print(text, file=sys.stderr, flush=True), stop)\n"
    "print(result.model_dump_json())"
)


def job(tmp_path: Path, base: Path, trials: int = 5, **sweep: object) -> SweepJob:
    training = tiny_job(tmp_path / "job", base, learning_rate=1e-5, epochs=1, batch_size=4)
    space = {"learning_rate": [1e-4, 3e-2], "lora_r": [2, 4], "epochs": [1, 2], **sweep}
    return SweepJob(training=training, sweep=Sweep(trials=trials, **space), folder=tmp_path / "sweep")


def command(tmp_path: Path, sweep: SweepJob, *code: str) -> dict:
    here = {**os.environ, "PYTHONPATH": str(ROOT), "FTASSETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, *code, str(write_job(sweep, tmp_path / "sweep.json"))]
    return {"args": arguments, "env": here, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def test_a_better_recipe_than_a_poor_one_is_found_by_validation_rows_alone_and_a_kill_loses_no_recipe(tmp_path, tiny_base):
    sweep = job(tmp_path, tiny_base)
    for number in (signal.SIGKILL, signal.SIGTERM):
        begun = time.time()
        with subprocess.Popen(**command(tmp_path, sweep, "-m", "ftassets.workers.training.sweep")) as process:
            deadline = time.monotonic() + 120
            while not [path for path in (tmp_path / "sweep").glob("*/recipe-*/seconds.json") if path.stat().st_mtime > begun]:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(number)
            process.communicate(timeout=150)
            assert process.returncode == (TERMINATED if number == signal.SIGTERM else -signal.SIGKILL)
    assert "resumes" in (last_words(tmp_path / "sweep.json") or "")

    done = subprocess.run(**command(tmp_path, sweep, "-c", RUN), timeout=280, check=True)
    result = SweepResult.model_validate_json(done.stdout.splitlines()[-1])
    assert [trial.choice for trial in result.trials][0] == {}
    assert len(result.trials) == 5
    assert result.ended == "5 recipes were tried, as sweep.trials asks for"
    assert len({json.dumps(trial.choice) for trial in result.trials}) == 5
    trained = [trial for trial in result.trials if trial.state == "trained"]
    assert len(trained) >= 3, "none is stopped early before"
    for trial in trained:
        assert len(trial.row_losses) == len(trial.row_tokens) == 4, "the validation rows"
        assert trial.loss == pytest.approx(trial.curve[-1][1], rel=2e-2), "one row at a time or in a batch"
        assert trial.curve[-1][0] == 1
    best = best_of(result.trials[0].number, [Tried(each.number, each.row_losses, each.row_tokens) for each in trained])
    assert best.better, "the loop's own learning rate teaches nothing"
    assert best.loss == min(each.loss for each in trained if each.loss is not None)

    again = SweepResult.model_validate_json(
        subprocess.run(**command(tmp_path, sweep, "-c", RUN), timeout=120, check=True).stdout.splitlines()[-1]
    )
    assert again == result, "nothing is trained twice"
    short = sweep.model_copy(update={"sweep": sweep.sweep.model_copy(update={"max_time": 0.1, "trials": 9})})
    over = SweepResult.model_validate_json(
        subprocess.run(**command(tmp_path, short, "-c", RUN), timeout=120, check=True).stdout.splitlines()[-1]
    )
    assert over.trials == result.trials
    assert over.ended == "sweep.max_time was over after 5 recipes"
