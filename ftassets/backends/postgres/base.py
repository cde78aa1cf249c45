"""Tables on a server that a backup of the home takes along."""

from abc import ABC, abstractmethod
from pathlib import Path

from ftassets.errors import FtassetsError


class DumpFailed(FtassetsError):
    """Tables could not be copied from a database, or brought back into it; the message has the words of the program that does it."""


class DatabaseTables(ABC):
    """The tables of one capability in a database."""

    name: str  # of their file in a backup, such as `traffic_log`
    place: str  # of the database, for messages
    variable: str  # environment variable with its URL

    @abstractmethod
    def dump(self, to: Path) -> bool:
        """Write them into a file, all as they were at one moment; False if none was made yet. Readers and writers go on meanwhile.

        Raises PackageMissing if the program that does it is not installed, DumpFailed, ServerUnreachable.
        """

    @abstractmethod
    def check_empty(self) -> None:
        """Raises InvalidInput if there is a row in them, PackageMissing if the program that loads them is not installed."""

    @abstractmethod
    def load(self, source: Path) -> None:
        """Make them from such a file, all or none. Raises what `dump` raises, and InvalidInput if there is a row in them."""

    @abstractmethod
    def drop(self) -> None:
        """Remove them, with all that is in them."""
