"""Where small things are kept that change: a few primitives on names, which databases have too."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ClassVar

from ftassets.errors import FtassetsError, ServerUnreachable


class Locked(FtassetsError, TimeoutError):
    """Another process holds a lock, and did not let go of it in time."""


class Overtaken(FtassetsError):
    """Somebody else added to a log meanwhile: read what is new, and decide again."""


class ControlUnreachable(ServerUnreachable, ConnectionError):
    """The server cannot be used now; whether a change was made is unknown."""


class ControlUnusable(FtassetsError, OSError):
    """The database is not one for control, or refuses; the message says what to do."""


class Control(ABC):
    """Documents and logs under names such as `pauses/support.txt`; whole after a crash, durable on return.

    Names follow `domain.keys.checked`; every method raises InvalidInput for another one, and OSError when the store cannot be read or
    written (a backend on a network raises a subclass of it). Safe under several threads and processes. A time to wait is in seconds;
    without one a method waits for as long as it takes.
    """

    shared: ClassVar[bool]  # whether processes of other machines see the same

    @abstractmethod
    def read(self, key: str) -> bytes | None:
        """A document, None when it does not exist."""

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Replace a document, or make it. What was there stays when this fails."""

    @abstractmethod
    def update(self, key: str, change: Callable[[bytes | None], bytes | None], timeout: float | None = None) -> None:
        """Replace a document by what `change` makes of it, while no other `update` of it runs; None leaves it as it is. Raises Locked.

        What `change` raises is passed on, and nothing is written then. `change` gets None where there is no document, and must not update
        the same one.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a document; does nothing when it does not exist."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Names of the documents and folders directly in a folder, sorted; none when there is no such folder."""

    @abstractmethod
    def append(self, key: str, line: bytes, after: int | None = None) -> int:
        """Add a line to a log; half a line that a crash left at its end is cut off first, and logged. Returns the cursor behind it.

        With `after`, a cursor, the line is added only if none is behind that; else Overtaken is raised. Raises ValueError for content of
        more than one line. When it fails, nothing was added.
        """

    @abstractmethod
    def lines_after(self, key: str, cursor: int = 0) -> tuple[list[bytes], int]:
        """The whole lines of a log behind a cursor, oldest first, and the cursor behind them; 0 is the beginning.

        Only these are read. Half a line at the end is left out, and logged.
        """

    def lines(self, key: str) -> list[bytes]:
        """All whole lines of a log, oldest first."""
        return self.lines_after(key)[0]

    @abstractmethod
    def ends(self, key: str) -> tuple[bytes, bytes] | None:
        """The first and the last line of `lines`, None without any. The lines between them are not read."""

    @abstractmethod
    def lock(self, key: str, timeout: float | None = None) -> AbstractContextManager[None]:
        """Held by one at a time, until the block or the process ends; `key` is a name of its own, not that of a document. Raises Locked.

        On a network it can be lost all the same, while nothing reaches the server: the block then ends with ControlUnreachable.
        """

    @abstractmethod
    def uri(self, key: str) -> str:
        """Where a person finds it: a path on this machine, or a URL."""
