"""What a training notes step by step, whole and taken up again."""

from pathlib import Path

import pytest

from ftassets.domain.training.points import Curves, Point, from_line
from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.process import Terminated
from ftassets.workers.training.points import whole_lines
from ftassets.workers.training.sft import train

pytestmark = [pytest.mark.models]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))


def noted(file: Path) -> list[Point]:
    return [from_line(line) for line in file.read_text().splitlines()]


def curve(points: list[Point], name: str) -> list[tuple[int, float]]:
    return [(point.step, point.values[name]) for point in points if name in point.values]


def test_every_step_notes_its_numbers(tmp_path: Path, tiny_base: Path) -> None:
    job = tiny_job(tmp_path / "job", tiny_base, epochs=2, batch_size=4, save_steps=3, max_grad_norm=1.0)
    result = train(job, lambda _: None)
    points = noted(job.points_file)
    assert curve(points, "loss") == result.losses
    assert curve(points, "validation_loss") == result.validation_losses
    assert len(result.losses) == 8  # 16 rows, 4 a step, twice
    assert [step for step, _ in curve(points, "checkpoint")] == [3, 6]
    assert [epoch for _, epoch in curve(points, "epoch")] == [step / 4 for step in range(1, 9)]
    rates = [rate for _, rate in curve(points, "learning_rate")]
    assert max(rates) <= job.train.learning_rate
    assert rates[-1] < max(rates)  # it falls to the end
    for name, low in (("tokens_per_second", 1), ("memory_mib", 100), ("gradient_norm", 0)):
        assert all(value > low for _, value in curve(points, name)), name
    losses = [loss for _, loss in result.losses]
    assert curve(points, "loss_of_epoch") == [(4, pytest.approx(sum(losses[:4]) / 4)), (8, pytest.approx(sum(losses[4:]) / 4))]


def test_a_training_that_is_taken_up_elsewhere_tells_its_whole_curve(tmp_path: Path, tiny_base: Path) -> None:
    changes = {"epochs": 2, "batch_size": 4, "save_steps": 1, "lora_dropout": 0.3}
    whole = train(tiny_job(tmp_path / "whole", tiny_base, **changes), lambda _: None)
    job, asked = tiny_job(tmp_path / "job", tiny_base, **changes), []

    def stop_asked() -> bool:
        asked.append(None)
        return len(asked) >= 5

    with pytest.raises(Terminated, match="after step 5"):
        train(job, lambda _: None, stop_asked=stop_asked)
    job.points_file.unlink()  # with the folder of the run that died
    train(job, lambda _: None)
    assert curve(noted(job.points_file), "loss") == whole.losses
    curves = Curves()
    curves.add(noted(job.points_file))
    assert curves.of == {"loss": whole.losses, "validation_loss": whole.validation_losses}


def test_a_line_is_read_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "points.jsonl"
    assert whole_lines(file, 0) == ([], 0)
    file.write_bytes(b"one\ntwo\nthr")
    assert whole_lines(file, 0) == ([b"one", b"two"], 8)
    assert whole_lines(file, 8) == ([], 8)
    with file.open("ab") as out:
        out.write(b"ee\n")
    assert whole_lines(file, 8) == ([b"three"], 14)
