"""One worker of a training on Ray: the training of one machine, with files from the depot and gradients shared with the others."""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from ftassets import metering
from ftassets.code_identity import code_identity
from ftassets.config.home import Home
from ftassets.domain.spending.usage import Usage
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import POINTS, TrainingJob
from ftassets.errors import FtassetsError, in_one_line
from ftassets.workers.process import Terminated, set_up_libraries
from ftassets.workers.training.points import whole_lines
from ftassets.workers.training.ray_depot import fetch, send
from ftassets.workers.training.replicas import Member
from ftassets.workers.training.sft import train_on_base

TRAIN, VALIDATION, COLD = "train.jsonl", "validation.jsonl", "cold.jsonl"
_WORK = "work"
_TELL_EVERY = 0.5  # seconds
# by which accelerate would spread the training a second time
_OF_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "ACCELERATE_TORCH_DEVICE")


def software() -> dict[str, str]:
    """What must be the same on every machine of a training, by name."""
    libraries = {name: version(name) for name in ("ray", "torch", "transformers", "trl", "peft")}
    return {"Python": python_version(), **libraries, "ftassets": (code_identity()["code_digest"] or "")[:12]}


def check_software(wanted: Mapping[str, str]) -> None:
    """Raises TrainingStopped, with the differences, if this machine has other software than the one that asked for the training."""
    here = software()
    if other := [f"{name} {here.get(name)} instead of {wanted[name]}" for name in wanted if here.get(name) != wanted[name]]:
        raise TrainingStopped(f"a node of the Ray cluster has {', '.join(other)}: give it the same image or packages as this machine")


def train_loop(told: Mapping[str, Any]) -> None:
    """What Ray Train runs in each worker. It tells the depot a failure that a new attempt does not change, and raises others."""
    import ray

    set_up_libraries()
    context = ray.train.get_context()
    rank, count, depot = context.get_world_rank(), context.get_world_size(), told["depot"]
    for name in _OF_TORCHRUN:
        os.environ.pop(name, None)
    place = Path(f"worker-{rank}").resolve()
    shutil.rmtree(place, ignore_errors=True)  # of a worker before that was killed
    used: list[Usage] = []
    failure, made = None, None
    with metering.metered(used.append), _telling(depot, used, place) as (lines, stop_asked):
        try:
            check_software(told["software"])
            job = _unpacked(depot, told, place)

            def report(text: str) -> None:
                if rank == 0:
                    lines.append(text)

            def keep(checkpoint: Path) -> None:
                ray.get(depot.keep_checkpoint.remote(send(depot, _files(checkpoint, f"{checkpoint.name}/"))))

            result = train_on_base(job, told["base"], report, 1, stop_asked.is_set, Member(rank, count), keep)
            if result is not None:
                made = (result.model_dump(mode="json"), send(depot, _files(job.versions / result.digest)))
        except Terminated as error:
            failure = str(error) if rank == 0 else None
        except FtassetsError as error:
            failure = str(error)
        except Exception as error:
            if "out of memory" not in str(error).lower():
                raise
            failure = in_one_line(error)
    if made:  # the last numbers are there
        ray.get(depot.finished.remote(*made))
    elif failure:
        ray.get(depot.failed.remote(failure))


def _unpacked(depot: Any, told: Mapping[str, Any], place: Path) -> TrainingJob:
    """The job with its files on this machine, and the newest checkpoint in its folder."""
    import ray

    job = TrainingJob.model_validate_json(told["job"])
    fetch(depot, told["rows"], place)
    fetch(depot, told["base_files"], place / "versions", cache=Home.from_env().cache / "by_digest")
    fetch(depot, told["start_files"], place / "versions")
    if checkpoint := ray.get(depot.newest_checkpoint.remote()):
        fetch(depot, checkpoint, place / "checkpoints")
    start = place / "versions" / job.start_from.parent.name / job.start_from.name if job.start_from else None
    cold = place / COLD if job.cold_file else None
    files = {"train_file": place / TRAIN, "validation_file": place / VALIDATION, "cold_file": cold, "start_from": start}
    folders = {"work": place / _WORK, "home": place / "home", "checkpoints": place / "checkpoints", "versions": place / "versions"}
    return job.model_copy(update={**files, **folders})


@contextmanager
def _telling(depot: Any, used: list[Usage], place: Path) -> Iterator[tuple[list[str], threading.Event]]:
    """Tell the depot lines, numbers and usage every half second in the block, and at its end; the event: the training is to end."""
    import ray

    lines, stop_asked, over = list[str](), threading.Event(), threading.Event()
    name, read = ray.get_runtime_context().get_worker_id(), 0

    def tell() -> None:
        nonlocal read
        count = len(lines)
        points, end = whole_lines(place / _WORK / POINTS, read)
        if ray.get(depot.tell.remote(name, lines[:count], points, used[-1] if used else None)):
            stop_asked.set()
        del lines[:count]
        read = end

    def watch() -> None:
        while not over.wait(_TELL_EVERY):
            tell()

    watcher = threading.Thread(target=watch, name="depot", daemon=True)
    watcher.start()
    try:
        yield lines, stop_asked
    finally:
        over.set()
        watcher.join()
        tell()


def _files(folder: Path, before: str = "") -> dict[str, Path]:
    return {before + path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
