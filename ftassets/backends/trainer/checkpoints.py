"""Checkpoint folders of one loop: written whole or not at all, and used by the same training only."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets.domain.canonical import digest_of
from ftassets.durable import file_digest, write_durably

FORMAT = 1  # part of the key: raise it when a checkpoint holds something else
COMPLETE = "complete.json"  # written last; a folder without it is what a killed process left behind
_PREFIX = "checkpoint-"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint after `step` steps; `progress` is what the training noted besides its weights."""

    folder: Path
    step: int
    progress: Mapping[str, Any]


def key_of(facts: Mapping[str, Any]) -> str:
    """Names a training by what decides its result, given as JSON values: a checkpoint of another one must not be used."""
    return digest_of({"format": FORMAT, **facts})


def complete(folder: Path, key: str, step: int, progress: Mapping[str, Any]) -> None:
    """Declare a checkpoint folder whole, and remove those before it."""
    files = {path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    write_durably(folder / COMPLETE, json.dumps({"key": key, "step": step, "files": files, "progress": dict(progress)}))
    for other in _folders(folder.parent):
        if other != folder:
            shutil.rmtree(other)


def newest(checkpoints: Path, key: str) -> Checkpoint | None:
    """The latest whole checkpoint of the training `key`. All others are removed."""
    found = None
    for folder in _folders(checkpoints):
        if found is None and (each := _read(folder)) is not None and each[0] == key:
            found = each[1]
        else:
            shutil.rmtree(folder)
    return found


def newest_step(checkpoints: Path) -> int:
    """Steps of the latest whole checkpoint of any training; 0 without one."""
    return max((each[1].step for folder in _folders(checkpoints) if (each := _read(folder)) is not None), default=0)


def _folders(checkpoints: Path) -> list[Path]:
    """The latest first."""
    numbered = [(path.name.removeprefix(_PREFIX), path) for path in checkpoints.glob(f"{_PREFIX}*")]
    return [path for _, path in sorted(((int(number), path) for number, path in numbered if number.isdecimal()), reverse=True)]


def _read(folder: Path) -> tuple[str, Checkpoint] | None:
    """Key and content of a checkpoint whose files are all there, byte by byte."""
    try:
        noted = json.loads((folder / COMPLETE).read_bytes())
        if any(file_digest(folder / name) != digest for name, digest in noted["files"].items()):
            return None
    except (OSError, ValueError):
        return None
    return noted["key"], Checkpoint(folder, noted["step"], noted["progress"])
