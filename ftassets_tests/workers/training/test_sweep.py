import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from ftassets.config.loop import Sweep
from ftassets.domain.training.sweep import Tried, best_of
from ftassets.domain.training.sweep_job import SweepJob, SweepResult
from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.process import TERMINATED, last_words, terminations, write_job
from ftassets.workers.training.sweep import main, search
from ftassets_tests.workers.started import log_of, start

pytest.importorskip("optuna", reason="needs the extra sweep: pip install 'ftassets[sweep]'")

pytestmark = [pytest.mark.slow, pytest.mark.models, pytest.mark.timeout(500)]


def searched() -> int:
    """Search as a worker does, and write the result into the file that the second argument names."""
    sweep = SweepJob.model_validate_json(Path(sys.argv[1]).read_text())
    with terminations() as stop_asked:
        Path(sys.argv[2]).write_text(search(sweep, print, stop_asked).model_dump_json())
    return 0


def job(tmp_path: Path, base: Path, trials: int = 5, **sweep: object) -> SweepJob:
    training = tiny_job(tmp_path / "job", base, learning_rate=1e-5, epochs=1, batch_size=4)
    space = {"learning_rate": [1e-4, 3e-2], "lora_r": [2, 4], "epochs": [1, 2], **sweep}
    return SweepJob(training=training, sweep=Sweep(trials=trials, **space), folder=tmp_path / "sweep")


def found(tmp_path: Path, sweep: SweepJob) -> SweepResult:
    process = start(searched, write_job(sweep, tmp_path / "sweep.json"), tmp_path / "found.json")
    process.join(280)
    assert process.exitcode == 0, log_of(tmp_path / "sweep.json").read_text()
    return SweepResult.model_validate_json((tmp_path / "found.json").read_text())


def test_a_better_recipe_than_a_poor_one_is_found_by_validation_rows_alone_and_a_kill_loses_no_recipe(tmp_path, tiny_base, monkeypatch):
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))
    sweep = job(tmp_path, tiny_base)
    for number in (signal.SIGKILL, signal.SIGTERM):
        begun = time.time()
        process = start(main, write_job(sweep, tmp_path / "sweep.json"))
        deadline = time.monotonic() + 120
        while not [path for path in (tmp_path / "sweep").glob("*/recipe-*/seconds.json") if path.stat().st_mtime > begun]:
            assert process.is_alive(), log_of(tmp_path / "sweep.json").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert process.pid
        os.kill(process.pid, number)
        process.join(150)
        assert process.exitcode == (TERMINATED if number == signal.SIGTERM else -signal.SIGKILL)
    assert "resumes" in (last_words(tmp_path / "sweep.json") or "")

    result = found(tmp_path, sweep)
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

    assert found(tmp_path, sweep) == result, "nothing is trained twice"
    short = sweep.model_copy(update={"sweep": sweep.sweep.model_copy(update={"max_time": 0.1, "trials": 9})})
    over = found(tmp_path, short)
    assert over.trials == result.trials
    assert over.ended == "sweep.max_time was over after 5 recipes"
