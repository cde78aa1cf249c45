"""The loop files with which the gateway serves, so that a loop whose file breaks later is served on as it was."""

import logging
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ftassets.backends.control.base import Control
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import BrokenFile, loops_in
from ftassets.domain.canonical import canonical_json
from ftassets.domain.formats import Stored
from ftassets.errors import FtassetsError

FOLDER = "kept_loops"
log = logging.getLogger(__name__)


class KeptFile(Stored):
    """The text of a loop's file when it could be used, and its path."""

    KIND = "kept_loop"
    path: Path
    text: str


@dataclass(frozen=True)
class KeptLoop:
    """A loop as it was before its file broke, and what is wrong with the file now."""

    config: LoopConfig
    problem: str


def keep(control: Control, loop: str, path: Path) -> None:
    """Store the file of a loop if it is not what is stored. A file that cannot be used by now is not. Raises OSError."""
    content = path.read_bytes()
    try:
        if any(each.name == loop for each in loops_in(path, content)):
            document = canonical_json(KeptFile(path=path.absolute(), text=content.decode()).document())
            if control.read(_key(loop)) != document:
                control.write(_key(loop), document)
    except FtassetsError as error:
        log.warning("%s changed while it was read and is not kept: %s", path, error)


def kept_names(control: Control, broken: BrokenFile) -> list[str]:
    """Names of the loops that a file which cannot be used had when it could be. Raises OSError."""
    return [loop for loop, _ in _had(control, broken)]


def kept_loops(control: Control, broken: Iterable[BrokenFile], known: Container[str]) -> dict[str, KeptLoop]:
    """The loops of these files as they were last, by name, but those whose name is known. Raises OSError.

    One that cannot be used any more, such as with an environment variable that is not set, is left out, and logged.
    """
    found: dict[str, KeptLoop] = {}
    for file in broken:
        for loop, kept in _had(control, file):
            if loop in known:
                continue
            try:
                found |= {each.name: KeptLoop(each, file.problem) for each in loops_in(kept.path, kept.text.encode()) if each.name == loop}
            except FtassetsError as error:
                log.error("%s cannot be used as it was last either: %s", file.path, error)
    return found


def _had(control: Control, broken: BrokenFile) -> Iterator[tuple[str, KeptFile]]:
    """What is kept of the loops that a file had, or that it names."""
    for name in control.names(FOLDER):
        loop = name.removesuffix(".json")
        try:
            kept = KeptFile.parse(control.read(_key(loop)) or b"")
        except ValueError as error:
            log.error("%s cannot be read: %s", control.uri(_key(loop)), error)
            continue
        if kept.path == broken.path.absolute() or loop in broken.names:
            yield loop, kept


def _key(loop: str) -> str:
    return f"{FOLDER}/{loop}.json"
