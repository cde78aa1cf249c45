"""The settings that decide what a training makes of its rows."""

from collections.abc import Mapping
from typing import Any

from ftassets.config.loop import Task, Train
from ftassets.domain.canonical import digest_of
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.method import unread

DECIDES_NOTHING = {
    "preset",
    "save_steps",
    "command_folder",
    "max_time",
    "max_left_out",
    "ray",
}  # a preset is there as what it set; where things lie changes nothing
_ONLY_IF_SET = ("command", "class_weights")
_ONE_STEP = {"batch_size", "gradient_accumulation_steps"}  # of the same rows, in however many passes


def recipe(task: Task, train: Train, parent: str | None, alignment: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The recipe of a version, as its manifest has it; `parent` is the version whose adapter the training starts from.

    `alignment` is what a training on preferences has besides.
    """
    without = DECIDES_NOTHING | unread(train.method) | {name for name in _ONLY_IF_SET if getattr(train, name) in (None, "none")}
    settings = train.model_dump(mode="json", exclude=without)
    aligned = {"align": dict(alignment)} if alignment else {}
    return {**settings, **aligned, "system_prompt": task.system_prompt, "start_from": parent}


def same_steps(task: Task, train: Train, parent: str | None, alignment: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What recipes have in common that a training may change between one step and the next: more or fewer rows in a pass."""
    common = {name: value for name, value in recipe(task, train, parent, alignment).items() if name not in _ONE_STEP}
    return {**common, "rows_a_step": train.batch_size * train.gradient_accumulation_steps}


def training_key(job: TrainingJob) -> str:
    """Names a training among all of its loop, whichever run does it: the same rows, base and recipe."""
    rows = job.dataset_hash or job.dataset_commit
    return digest_of({"base": job.base_model, "rows": rows, "recipe": same_steps(job.task, job.train, job.parent, job.alignment)})
