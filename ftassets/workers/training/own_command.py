"""Training by a command of the user's: conversations in, a PEFT adapter and its losses out. All else is as after our own training."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ftassets.backends.artifacts.version_folder import VersionDamaged, verify_folder
from ftassets.backends.trainer.checkpoints import key_of
from ftassets.config.home import Home
from ftassets.domain.chat import chat
from ftassets.domain.dataset.rows import Example
from ftassets.domain.release.version import ADAPTER, MERGED
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.domain.training.overfit import kept_loss
from ftassets.domain.training.points import LOSS, VALIDATION_LOSS
from ftassets.domain.training.recipe import same_steps
from ftassets.durable import file_digest
from ftassets.errors import FtassetsError, in_one_line
from ftassets.workers.process import KILLED, Ended, Report, Terminated, end_with_parent
from ftassets.workers.training.base_models import ensure_base
from ftassets.workers.training.environment import environment
from ftassets.workers.training.foreign_adapter import take_adapter
from ftassets.workers.training.methods.base import merge_adapter
from ftassets.workers.training.objectives import read_lines
from ftassets.workers.training.points import tracking
from ftassets.workers.training.sft import publish_training, started

METRICS = "metrics.json"
_GRACE = 30.0  # seconds that a command has to end after SIGTERM
_POLL = 0.2
_LAST_STEP = 2**63 - 1  # that MLflow takes


def _rising(curve: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Raises ValueError unless each step comes after the one before, and the last one is a step that was taken."""
    steps = [-1, *(step for step, _ in curve)]
    if any(later <= step for step, later in pairwise(steps)) or steps[-1] == 0 or steps[-1] > _LAST_STEP:
        raise ValueError("steps must rise, from 0 or more to 1 or more")
    return curve


_Curve = Annotated[list[tuple[int, float]], AfterValidator(_rising)]


class CommandMetrics(BaseModel):
    """What the command writes as metrics.json: (step, loss in nats per token) of training and, if it likes, of validation."""

    model_config = ConfigDict(allow_inf_nan=False)

    losses: _Curve = Field(min_length=1)
    validation_losses: _Curve = []


def train_by_command(job: TrainingJob, report: Report, stop_asked: Callable[[], bool] = lambda: False) -> TrainingResult:
    """Run `train.command`, check what it leaves, merge, reload and publish it below `job.versions`.

    Raises TrainingStopped, AdoptionRefused, BaseModelMissing, and Terminated once `stop_asked` returns true and the command has ended.
    """
    base_digest = ensure_base(job.base_model, job.versions, Home.from_env().cache)
    base = job.versions / base_digest / MERGED
    job, lineage, _ = started(job, base_digest)
    places = _places(job, base, base_digest)
    rows = _write_rows(job, places["dataset"])
    begun = time.monotonic()
    _run(job, {**{name: str(place) for name, place in places.items()}, "start_from": _start_from(job)}, report, stop_asked)
    seconds = time.monotonic() - begun
    try:
        verify_folder(base.parent)
    except VersionDamaged as error:
        text = f"train.command changed the base ({error}), which other loops use too: have it write below {{output}} only"
        raise TrainingStopped(text) from error
    metrics = _metrics(places["output"] / METRICS)
    track = tracking(job.points_file)
    for name, curve in ((LOSS, metrics.losses), (VALIDATION_LOSS, metrics.validation_losses)):
        for step, loss in curve:
            track(step, {name: loss})
    staging = job.work / "version"
    shutil.rmtree(staging, ignore_errors=True)
    report("checking, merging and reloading the adapter that the command left")
    try:
        trained = take_adapter(places["output"], base, staging / ADAPTER, job.base_model)
    except FtassetsError as error:
        raise TrainingStopped(f"the adapter that train.command left cannot be taken: {error}") from error
    merge_adapter(base, staging, base)
    result = publish_training(
        job,
        staging,
        ADAPTER,
        base_digest,
        lineage,
        rows=rows,
        trainable_parameters=trained,
        seconds=seconds,
        tokens_per_second=None,
        losses=metrics.losses,
        validation_losses=metrics.validation_losses,
        validation_loss=kept_loss(metrics.validation_losses, None),
        environment=environment(1, "as the command chose"),
    )
    shutil.rmtree(places["checkpoints"], ignore_errors=True)  # not before: a kill during the merge would cost the whole training
    return result


def _places(job: TrainingJob, base: Path, base_digest: str) -> dict[str, Path]:
    """What the command's {names} stand for. Checkpoints of the same training are there again after a kill, others are removed."""
    rows = [file_digest(job.train_file), file_digest(job.validation_file)]
    key = key_of({"base": base_digest, "rows": rows, "recipe": same_steps(job.task, job.train, job.parent)})  # also with half the batch
    places = {"dataset": job.work / "dataset", "output": job.work / "output", "checkpoints": job.checkpoints / f"command-{key[:16]}"}
    for other in job.checkpoints.glob("*"):
        if other != places["checkpoints"]:
            shutil.rmtree(other)
    for name in ("dataset", "output"):
        shutil.rmtree(places[name], ignore_errors=True)
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    return {**places, "base": base}


def _start_from(job: TrainingJob) -> str:
    """A copy of the adapter to continue from, empty without one: what production serves is not for a command to write to."""
    if job.start_from is None:
        return ""
    target = job.work / "start_from"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(job.start_from, target)
    return str(target)


def _write_rows(job: TrainingJob, folder: Path) -> int:
    """Write the conversations with their answers, and the settings; returns the number of training rows."""
    counts = []
    for name, file in (("train", job.train_file), ("validation", job.validation_file)):
        count = 0
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as out:
            for row in read_lines(file, Example):
                messages, tools = chat(job.task.system_prompt, row, row.completion)
                written = {"messages": messages, **({"tools": tools} if tools else {})}
                out.write(json.dumps(written, ensure_ascii=False) + "\n")
                count += 1
        counts.append(count)
    (folder / "settings.json").write_text(job.train.model_dump_json(indent=2))
    if not counts[0]:
        raise TrainingStopped(f"{job.train_file.name} has no rows: the dataset's train split is empty")
    return counts[0]


def _run(job: TrainingJob, places: dict[str, str], report: Report, stop_asked: Callable[[], bool]) -> None:
    assert job.train.command is not None
    command = [_filled(argument, places) for argument in job.train.command]
    report(f"running {command[0]}; its output is in the run's compute logs")
    try:
        process = subprocess.Popen(command, cwd=job.train.command_folder, preexec_fn=end_with_parent, start_new_session=True)
    except OSError as error:
        raise TrainingStopped(f"train.command cannot be run: {in_one_line(error)}") from error
    try:
        while (code := process.poll()) is None:
            if stop_asked():
                os.killpg(process.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)
                raise Terminated("train.command was asked to end: start the run again, it finds its {checkpoints} as it left them")
            time.sleep(_POLL)
    finally:
        with suppress(ProcessLookupError):  # nothing that it started trains on: a shell or a launcher may end before its processes do
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if Ended((), code, None).killed:
        os._exit(KILLED)  # as if we had been killed ourselves
    if code:
        raise TrainingStopped(f"train.command ended with exit code {code}: its own words are in the run's compute logs")


def _filled(argument: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        argument = argument.replace(f"{{{name}}}", place)
    return argument


def _metrics(file: Path) -> CommandMetrics:
    wanted = '{"losses": [[step, loss], ...]}, and validation_losses alike if it measures them'
    try:
        return CommandMetrics.model_validate_json(file.read_bytes())
    except OSError:
        raise TrainingStopped(f"train.command ended well but left no {METRICS} in {{output}}: write {wanted}") from None
    except ValidationError as error:
        raise TrainingStopped(f"{METRICS} of train.command cannot be read ({in_one_line(error)}): write {wanted}") from error
