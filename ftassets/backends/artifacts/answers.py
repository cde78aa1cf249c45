"""Stored answers, likelihoods and row scores among the artifacts: Parquet files that workers write and reports name."""

from pathlib import Path

from ftassets.backends.artifacts.base import Artifacts

FOLDER = "answers"


def answers_key(name: str) -> str:
    """Name among the artifacts of the file that reports call `name`."""
    return f"{FOLDER}/{name}"


def answers_file(artifacts: Artifacts, name: str) -> Path:
    """The stored file on this machine; where a worker may write it, while it is not there."""
    key = answers_key(name)
    return artifacts.local(key) if artifacts.exists(key) else artifacts.draft(key)


def keep_answers(artifacts: Artifacts, path: Path, name: str | None = None) -> Path:
    """Store a finished file, by its own name without another one; the stored file."""
    key = answers_key(name or path.name)
    artifacts.put_file(key, path)
    return artifacts.local(key)
