"""Training jobs over made-up rows and preferences, for a tiny model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftassets.config.loop import Align, Task, Train
from ftassets.domain.chat import question
from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rated import Rated
from ftassets.domain.dataset.rows import Example, to_jsonl
from ftassets.domain.release.version import ADAPTER
from ftassets.domain.training.aligned_train import aligned_train
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


def made_up_pairs(verbs: tuple[str, ...]) -> list[Pair]:
    """One pair per verb and room: the right answer, and one that names another room."""
    pairs = []
    for place, row in enumerate(example_rows(verbs)):
        wrong = json.dumps({"intent": json.loads(row.completion)["intent"], "area": ROOMS[(place + 1) % len(ROOMS)]})
        known: dict[str, Any] = {"request_id": row.id, "user": f"user-{place}", "at": float(place), "version": "a" * 64, "weight": 100.0}
        pairs.append(Pair(messages=row.messages, chosen=row.completion, rejected=wrong, source="correction", **known))
    return pairs


def rated_apart(pairs: Sequence[Pair]) -> list[Rated]:
    """The answers of pairs, each with its rating; of the last two pairs the rejected one alone."""
    known = [pair.model_dump(exclude={"chosen", "rejected"}) for pair in pairs]
    rows = [Rated(**of, answer=pair.chosen, rating="up") for of, pair in zip(known[:-2], pairs, strict=False)]
    return rows + [Rated(**of, answer=pair.rejected, rating="down") for of, pair in zip(known, pairs, strict=True)]


def preference_job(folder: Path, tuned: TrainingJob, digest: str, verbs: tuple[str, ...] = ("dim", "light"), **align: Any) -> TrainingJob:
    """A job that trains the version `digest` of the job `tuned` on preferences; keyword arguments change the settings of `align`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = Align(**{"method": "dpo", "learning_rate": 1e-3, "epochs": 4, "min_rows": 1, **align})
    for name, pairs in (("train", made_up_pairs(verbs)), ("validation", made_up_pairs(("raise",)))):
        (folder / f"{name}.jsonl").write_text(to_jsonl(pairs if settings.method == "dpo" else rated_apart(pairs)))
    return tuned.model_copy(
        update={
            "train": aligned_train(tuned.train, settings),
            "align": settings,
            "preferences_commit": "e" * 40,
            "train_file": folder / "train.jsonl",
            "validation_file": folder / "validation.jsonl",
            "start_from": tuned.versions / digest / ADAPTER,
            "work": folder / "work",
            "checkpoints": folder / "checkpoints",
            "home": folder / "home",
        }
    )
