"""Files and folders that must be whole after a crash: state, jobs, reports, versions, attestations, secrets."""

import hashlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path


def write_durably(path: Path, content: bytes | str) -> None:
    """Replace a file in one step; it is on the disk when this returns. Raises OSError and leaves the old file then."""
    partial = _written_beside(path, content)
    try:
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_durably(path: Path, content: bytes | str) -> bool:
    """Make a file in one step, on the disk when this returns; False, and nothing changes, when there is one already. Raises OSError."""
    if path.exists():
        return False
    return _link(_written_beside(path, content), path)


def keep_file(source: Path, target: Path) -> bool:
    """Move a finished file to its place in one step; False when a file is there already, which is kept. `source` is gone then.

    Raises OSError.
    """
    if _same(source, target):
        _sync_file(target)
        sync_folder(target.parent)
        return True
    _make_folder(target.parent)
    _sync_file(source)
    return _link(source, target)


def keep_folder(source: Path, target: Path, last: str) -> bool:
    """Move a finished folder to its place in one step; False when a finished one is there already, which is kept. `source` is gone then.

    A folder is finished when it has a file named `last`. Raises OSError, also when a folder without that file is in the way.
    """
    in_place = _same(source, target)
    if not in_place and (target / last).exists():
        shutil.rmtree(source)
        return False
    for top, _, names in os.walk(source, topdown=False):
        for name in names:
            _sync_file(Path(top, name))
        sync_folder(Path(top))
    if not in_place:
        _make_folder(target.parent)
        try:
            source.rename(target)
        except OSError:
            if not (target / last).exists():  # else another process was first
                raise
            shutil.rmtree(source)
            return False
    sync_folder(target.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make renames and new files in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def secret(path: Path) -> str:
    """The secret in a file only its owner can read; made at the first call, the same for everybody who asks at once."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)  # fails when another process was first: then its secret counts
        except FileExistsError:
            pass
        finally:
            os.unlink(name)
    return path.read_text().strip()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written_beside(path: Path, content: bytes | str) -> Path:
    """A file on the disk in the folder of `path`, under a name that begins with a dot."""
    _make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _same(source: Path, target: Path) -> bool:
    return source == target or (target.exists() and source.samefile(target))


def _link(source: Path, target: Path) -> bool:
    """Give a finished file its name unless something has that name; `source` is gone then."""
    try:
        os.link(source, target)  # a rename would replace what is there
    except FileExistsError:
        return False
    finally:
        source.unlink()
    sync_folder(target.parent)
    return True


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they survive a power cut."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
