"""Files and folders that commands write where people say: what is there stays without `force`, and inputs stay in any case."""

from collections.abc import Sequence
from pathlib import Path

from ftassets.errors import InvalidInput


def check_new_file(path: Path, force: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Raise InvalidInput if writing `path` would lose something: a file with content without `force`, or one of the inputs."""
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder: name a file to write")
    _check_inputs(path, inputs)
    if path.is_file() and path.stat().st_size and not force:
        raise InvalidInput(f"{path} exists and is left as it is: name a new file, or write over it with --force")


def check_new_folder(path: Path, force: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Raise InvalidInput if writing into `path` would lose something: a folder with files without `force`, or one that holds an input."""
    if path.exists() and not path.is_dir():
        raise InvalidInput(f"{path} is a file: name a folder to write")
    if path.is_dir():
        _check_inputs(path, inputs)
        if any(path.iterdir()) and not force:
            raise InvalidInput(f"{path} is not empty and is left as it is: name a new folder, or write over its files with --force")


def write_file(path: Path, text: str, encoding: str = "utf-8") -> None:
    """Write a text in one step, through a link to the file it names; a device or a pipe gets it as it is. Raises OSError."""
    content = text.encode(encoding)
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    target = path.resolve()
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(content)
    partial.replace(target)


def _check_inputs(path: Path, inputs: Sequence[Path]) -> None:
    place = path.resolve()
    for source in inputs:
        if place == source.resolve() or place in source.resolve().parents or (path.exists() and source.exists() and path.samefile(source)):
            raise InvalidInput(f"{path} would be written over the input {source}: name another place; --force does not change this")
