"""Control as files below one folder, under their names; locks are files next to them."""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from filelock import FileLock, Timeout

from ftassets.backends.control.base import Control, Locked, Overtaken
from ftassets.domain.keys import LOCK, checked, is_part
from ftassets.durable import sync_folder, write_durably

log = logging.getLogger(__name__)
_BLOCK = 65_536  # bytes of a log that are read at once from its end


class FilesControl(Control):
    """For the processes of one machine, or of several that share a file system with locks.

    A link below the root is followed wherever it leads: who may make one there may change every file anyway.
    """

    shared = False  # as far as a gateway is concerned: two of them do not serve one home

    def __init__(self, root: Path) -> None:
        self._root = Path(root)

    def read(self, key: str) -> bytes | None:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes) -> None:
        write_durably(self._path(key), content)

    def update(self, key: str, change: Callable[[bytes | None], bytes | None], timeout: float | None = None) -> None:
        with self.lock(key, timeout):
            content = change(self.read(key))
            if content is not None:
                self.write(key, content)

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        sync_folder(path.parent)

    def names(self, folder: str) -> list[str]:
        try:
            found = os.listdir(self._path(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(filter(is_part, found))

    def append(self, key: str, line: bytes, after: int | None = None) -> int:
        if b"\n" in line:
            raise ValueError(f"{key} takes one line at a time")
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, also by a crash
            end, rest = _cut(file, path), line + b"\n"
            if after is not None and after != end:
                raise Overtaken(f"{path} has grown meanwhile")
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
                if end == 0:
                    sync_folder(path.parent)
            except OSError:
                file.truncate(end)  # half a line on a full disk would swallow the next one
                raise
            return end + len(line) + 1

    def lines_after(self, key: str, cursor: int = 0) -> tuple[list[bytes], int]:
        try:
            with self._path(key).open("rb") as file:
                begin = min(cursor, file.seek(0, os.SEEK_END))  # a person may have made it shorter
                file.seek(begin)
                content = file.read()
        except FileNotFoundError:
            return [], 0
        *whole, torn = content.split(b"\n")
        if torn:
            log.warning("%s ends in the middle of a line, which is left out", self._path(key))
        return whole, begin + len(content) - len(torn)

    def ends(self, key: str) -> tuple[bytes, bytes] | None:
        try:
            with self._path(key).open("rb") as file:
                first, tail = file.readline(), b""
                begin = file.seek(0, os.SEEK_END)
                while begin and tail.count(b"\n") < 2:
                    begin, end = max(begin - _BLOCK, 0), begin
                    file.seek(begin)
                    tail = file.read(end - begin) + tail
        except (FileNotFoundError, NotADirectoryError):
            return None
        *_, last = [b"", *tail.split(b"\n")[:-1]]
        return (first.rstrip(b"\n"), last) if first.endswith(b"\n") else None

    @contextmanager
    def lock(self, key: str, timeout: float | None = None) -> Iterator[None]:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(f"{path}{LOCK}", timeout=-1 if timeout is None else timeout)
        try:
            held.acquire()
        except Timeout as error:
            raise Locked(f"{path}{LOCK} is held by another process") from error
        try:
            yield
        finally:
            held.release()

    def uri(self, key: str) -> str:
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        return self._root / checked(key)


def _cut(file: FileIO, path: Path) -> int:
    """Cut off what stands behind the last whole line; the length of the file then."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return 0
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        log.warning("%s ended in the middle of a line, which was cut off", path)
        file.truncate(whole)
        return whole
    return end
