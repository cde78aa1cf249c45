"""Files and folders that commands write where people say: what is there stays without `force`, and inputs stay in any case."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ftassets.errors import InvalidInput


def check_new_file(path: Path, force: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Raise InvalidInput if writing `path` would lose something: a file with content without `force`, or one of the inputs."""
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder: name a file to write")
    _check_inputs(path, inputs)
    if path.is_file() and path.stat().st_size and not force:
        raise InvalidInput(f"{path} exists and is left as it is: name a new file, or write over it with --force")


def check_new_folder(path: Path, force: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Raise InvalidInput if writing into `path` would lose something: a folder with files without `force`, or one that holds an input.

    Also a folder that has a link to another one, whose files would be written over. Links to files are harmless, see `replacing`.
    """
    if path.exists() and not path.is_dir():
        raise InvalidInput(f"{path} is a file: name a folder to write")
    if path.is_dir():
        _check_inputs(path, inputs)
        if any(path.iterdir()) and not force:
            raise InvalidInput(f"{path} is not empty and is left as it is: name a new folder, or write over its files with --force")
        if link := next((member for member in sorted(path.iterdir()) if member.is_symlink() and member.is_dir()), None):
            raise InvalidInput(f"{link} is a link to another folder, which would be written into: remove the link, or name a new folder")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the name `path` in one step once it is whole; nothing changes if the block raises.

    What had the name only loses the name: a file that a link points to, or that has a second name elsewhere, stays as it is. Makes the
    folder. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)  # of a killed process, or a link
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_file(path: Path, text: str, encoding: str = "utf-8") -> None:
    """Write a text in one step, through a link to the file it names; a device or a pipe gets it as it is.

    Makes the folder. Raises OSError.
    """
    content = text.encode(encoding)
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    with replacing(path.resolve()) as file:
        file.write(content)


def _check_inputs(path: Path, inputs: Sequence[Path]) -> None:
    """Raise InvalidInput if `path` is one of the inputs, holds one, or is there and inside one that is a folder."""
    place = path.resolve()
    for source in inputs:
        own = source.resolve()
        same = path.exists() and source.exists() and path.samefile(source)
        if place == own or place in own.parents or same or (own in place.parents and path.exists()):
            raise InvalidInput(f"{path} would be written over the input {source}: name another place; --force does not change this")
