"""Training jobs over made-up rows, for a tiny model."""

import json
from pathlib import Path
from typing import Any

from ftassets.config.loop import Task, Train
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example, to_jsonl
from ftassets.domain.training.job import TrainingJob

ROOMS = ("kitchen", "hall", "attic", "garage")


def example_rows(verbs: tuple[str, ...]) -> list[Example]:
    """One row per verb and room."""
    return [
        Example(
            id=f"{verb}-{room}", messages=question(f"{verb} the light in the {room}"), completion=json.dumps({"intent": verb, "area": room})
        )
        for verb in verbs
        for room in ROOMS
    ]


def tiny_job(folder: Path, base: Path, verbs: tuple[str, ...] = ("dim", "light", "open", "shut"), **changes: Any) -> TrainingJob:
    """A job of a few steps below `folder`; keyword arguments change the training settings, `start_from` the adapter."""
    folder.mkdir(parents=True, exist_ok=True)
    start_from = changes.pop("start_from", None)
    settings = {
        "epochs": 2,
        "batch_size": 8,
        "gradient_accumulation_steps": 1,
        "learning_rate": 1e-2,
        "lora_r": 4,
        "lora_alpha": 8,
        "max_length": 128,
    }
    (folder / "train.jsonl").write_text(to_jsonl(example_rows(verbs)))
    (folder / "validation.jsonl").write_text(to_jsonl(example_rows(("raise",))))
    return TrainingJob(
        loop="tiny",
        base_model=str(base),
        task=Task(system_prompt="Answer as JSON.", max_tokens=8),
        train=Train(**{**settings, **changes}),
        dataset_commit="c" * 40,
        train_file=folder / "train.jsonl",
        validation_file=folder / "validation.jsonl",
        start_from=start_from,
        work=folder / "work",
        home=folder / "home",
        checkpoints=folder / "checkpoints",
        versions=folder.parent / "versions",
    )
