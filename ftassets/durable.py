"""Small files that must be whole after a crash: state, jobs, attestations, secrets."""

import os
import secrets
import tempfile
from pathlib import Path


def write_durably(path: Path, content: bytes | str) -> None:
    """Replace a file in one step; it is on the disk when this returns. Raises OSError and leaves the old file then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


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
