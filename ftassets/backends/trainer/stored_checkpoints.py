"""Checkpoints of one loop in the artefact store, from which any machine resumes: files under their digests, a list last."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.backends.trainer.checkpoints import COMPLETE, Checkpoint, newest, newest_step
from ftassets.domain.keys import checked
from ftassets.durable import file_digest, write_durably
from ftassets.errors import InvalidInput

FOLDER = "checkpoints"
_COPY = ".store-"


class _Listed(NamedTuple):
    """The list of a stored checkpoint, by its name: `STEP-TRAINING-DIGEST.json`, the digest being that of its content."""

    step: int
    training: str
    digest: str
    name: str


def store_checkpoint(artifacts: Artifacts, loop: str, folder: Path) -> None:
    """Store a complete checkpoint folder, and remove those stored before it. Raises OSError."""
    content = (folder / COMPLETE).read_bytes()
    noted = json.loads(content)
    files: dict[str, str] = noted["files"]
    for left in folder.parent.glob(f"{_COPY}*"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
    for name, digest in files.items():
        if not artifacts.exists(stored_key(loop, digest)):
            with _copy(folder / name, folder.parent) as copy:
                artifacts.put_file(stored_key(loop, digest), copy)
    listed = f"{noted['step']:09d}-{noted['key'][:16]}-{hashlib.sha256(content).hexdigest()}.json"
    artifacts.put(stored_key(loop, listed), content)
    _keep_only(artifacts, loop, {listed, *files.values()})


def newest_anywhere(artifacts: Artifacts, loop: str, key: str, checkpoints: Path) -> Checkpoint | None:
    """The latest whole checkpoint of the training `key`, of this machine or from the store; as a folder below `checkpoints`.

    One whose files are not all in the store, byte by byte, is passed over. Raises OSError when the store cannot be read.
    """
    here = newest(checkpoints, key)
    for listed in _lists(artifacts, loop):
        if listed.training == key[:16] and (here is None or listed.step > here.step):
            try:
                _fetch(artifacts, loop, listed, checkpoints)
            except (ArtifactMissing, InvalidInput, ValueError):
                continue
            return newest(checkpoints, key)
    return here


def reached_step(artifacts: Artifacts, loop: str, checkpoints: Path) -> int:
    """Steps of the latest checkpoint of any training of the loop, of this machine or in the store; 0 without one."""
    return max([newest_step(checkpoints), *(listed.step for listed in _lists(artifacts, loop))])


def forget_checkpoints(artifacts: Artifacts, loop: str) -> None:
    """Remove all checkpoints that are stored for a loop. Raises OSError."""
    _keep_only(artifacts, loop, set())


def stored_key(loop: str, name: str) -> str:
    """Name among the artifacts of a file of a checkpoint, or of its list."""
    return f"{FOLDER}/{loop}/{name}"


def _lists(artifacts: Artifacts, loop: str) -> list[_Listed]:
    """The furthest first."""
    found = []
    for name in artifacts.names(f"{FOLDER}/{loop}"):
        step, _, rest = name.removesuffix(".json").partition("-")
        training, _, digest = rest.partition("-")
        if name.endswith(".json") and step.isdecimal() and digest:
            found.append(_Listed(int(step), training, digest, name))
    return sorted(found, reverse=True)


def _fetch(artifacts: Artifacts, loop: str, listed: _Listed, checkpoints: Path) -> None:
    """Make the folder of a stored checkpoint. Raises ArtifactMissing, ValueError for content that does not have its digest."""
    content = artifacts.get(stored_key(loop, listed.name))
    if hashlib.sha256(content).hexdigest() != listed.digest:
        raise ValueError(f"{listed.name} was changed after it was written")
    folder = checkpoints / f"checkpoint-{listed.step}"
    shutil.rmtree(folder, ignore_errors=True)
    for name, digest in json.loads(content)["files"].items():
        target = folder / checked(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(artifacts.local(stored_key(loop, digest)), target)
        if file_digest(target) != digest:
            raise ValueError(f"{name} of {listed.name} was changed after it was written")
    write_durably(folder / COMPLETE, content)


def _keep_only(artifacts: Artifacts, loop: str, kept: set[str]) -> None:
    """Lists go before the files that they name: files without a list are removed the next time."""
    for name in sorted(artifacts.names(f"{FOLDER}/{loop}"), key=lambda name: not name.endswith(".json")):
        if name not in kept:
            artifacts.remove(stored_key(loop, name))


@contextmanager
def _copy(source: Path, beside: Path) -> Iterator[Path]:
    """The file once more, for a store that takes it away; without a copy of its bytes where the file system can.

    Not in the checkpoint: what a killed process leaves there would be read as an adapter by the next one.
    """
    with tempfile.TemporaryDirectory(dir=beside, prefix=_COPY) as folder:
        target = Path(folder) / source.name
        _link_or_copy(source, target)
        yield target


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
