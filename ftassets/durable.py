"""Files and folders that must be whole after a crash: state, jobs, reports, versions, attestations, secrets."""

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_NO_LINK = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}  # other file system, or one without hard links

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# of libraries that raise errors of their own; the last two are torch's about a file that it could not write whole
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "PytorchStreamWriter failed writing", "unexpected pos")


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
    """Make a file in one step, on the disk when this returns; False, and nothing changes, when there is one already.

    Raises OSError; FileExistsError when something that is not a file has the name.
    """
    if path.is_file():
        return False
    partial = _written_beside(path, content)
    try:
        return _move(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def keep_file(source: Path, target: Path) -> bool:
    """Move a finished file to its place in one step; False when a file is there already, which is kept. `source` is gone then.

    They may be on different file systems. Raises OSError and keeps `source`; FileExistsError when the name belongs to something that is
    not a file.
    """
    if _same(source, target):
        _sync_file(target)
        sync_folder(target.parent)
        return True
    _make_folder(target.parent)
    _sync_file(source)
    return _move(source, target)


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
            _publish(Path(name), path)  # False when another process was first: then its secret counts
        finally:
            Path(name).unlink(missing_ok=True)
    return path.read_text().strip()


def prove_writable(folder: Path) -> None:
    """Write a file in a folder, or where the folder would be made, and read it back; nothing of it stays. Raises OSError."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    content = os.urandom(64 * 1024)
    with tempfile.TemporaryFile(dir=existing) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        if file.read() != content:
            raise OSError(errno.EIO, "what was written is not what is read", str(existing))


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


def _move(source: Path, target: Path) -> bool:
    """Give a finished file its name unless a file has that name; `source` is gone then. Raises OSError and keeps `source`."""
    stored = _publish(source, target)
    if not stored and not target.is_file():
        raise FileExistsError(errno.EEXIST, "something that is not a file has this name", str(target))
    source.unlink(missing_ok=True)
    sync_folder(target.parent)
    return stored


def _publish(source: Path, target: Path) -> bool:
    """Give a finished file its name; False when something has that name. `source` may still be there."""
    try:
        os.link(source, target)  # a rename would replace what is there
        return True
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
    try:
        return _rename_to_new(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    copy = Path(name)
    try:
        os.close(handle)
        shutil.copyfile(source, copy)
        shutil.copymode(source, copy)
        _sync_file(copy)
        return _publish(copy, target)
    finally:
        copy.unlink(missing_ok=True)


def _rename_to_new(source: Path, target: Path) -> bool:
    """Rename without replacing; False when something has the name. The check and the rename are two steps: our processes take turns."""
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # a few file systems have no locks either
            fcntl.flock(folder, fcntl.LOCK_EX)
        if os.path.lexists(target):
            return False
        source.rename(target)
        return True
    finally:
        os.close(folder)


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


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that a file could not grow."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL or any(words in str(error) for words in _FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False
