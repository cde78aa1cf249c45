"""Artifacts as files below one folder, under their names."""

import errno
import os
from pathlib import Path

from ftassets.backends.artifacts.base import ArtifactConflict, ArtifactMissing, Artifacts
from ftassets.domain.keys import checked, is_part
from ftassets.durable import create_durably, keep_file, keep_folder, sync_folder

_NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FolderArtifacts(Artifacts):
    """Drafts are made in place, so that nothing is copied: a worker's file is there once the worker gave it its name.

    A link below the root is followed wherever it leads, for example to a larger disk: who may make one there may change every file anyway.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root)

    def put(self, key: str, content: bytes) -> None:
        path = self._path(key)
        try:
            same = create_durably(path, content) or path.read_bytes() == content
        except FileExistsError as error:
            raise _in_the_way(path, error) from error
        if not same:
            raise ArtifactConflict(f"{path} was changed after it was written, or is another thing: move it away, then try again")

    def put_file(self, key: str, source: Path) -> None:
        path = self._path(key)
        try:
            keep_file(source, path)
        except FileExistsError as error:
            raise _in_the_way(path, error) from error

    def put_folder(self, key: str, source: Path, last: str) -> None:
        path = self._path(key)
        try:
            keep_folder(source, path, last)
        except OSError as error:
            if os.path.lexists(path) and not (path / last).exists():
                raise ArtifactConflict(f"{path} is in the way and has no {last}: move it away, then try again") from error
            raise

    def get(self, key: str) -> bytes:
        path = self._path(key)
        try:
            return path.read_bytes()
        except _NOT_THERE as error:
            raise ArtifactMissing(f"{path} is not there") from error

    def exists(self, key: str) -> bool:
        return self._path(key).exists()

    def names(self, folder: str) -> list[str]:
        try:
            with os.scandir(self._path(folder)) as entries:
                stored = [entry for entry in entries if is_part(entry.name)]
        except _NOT_THERE:
            return []
        found = []
        for entry in stored:
            try:
                found.append((entry.stat().st_mtime_ns, entry.name))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP):  # removed since, or a link that leads nowhere
                    raise
        return [name for _, name in sorted(found, reverse=True)]

    def local(self, key: str) -> Path:
        path = self._path(key)
        if not path.exists():
            raise ArtifactMissing(f"{path} is not there")
        return path

    def draft(self, key: str) -> Path:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def remove(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)

    def uri(self, key: str) -> str:
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        return self._root / checked(key)


def _in_the_way(path: Path, error: OSError) -> ArtifactConflict:
    return ArtifactConflict(f"{path} cannot be stored: {error.filename} is in the way and is of another kind; move it away, then try again")
