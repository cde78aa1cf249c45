"""Where finished things are kept that never change: a few primitives on names, which object stores have too."""

from abc import ABC, abstractmethod
from pathlib import Path

from ftassets.errors import FtassetsError


class ArtifactMissing(FtassetsError):
    """Nothing is stored under a name."""


class ArtifactConflict(FtassetsError):
    """Something else is stored under a name already: what was written once is not replaced."""


class Artifacts(ABC):
    """Files and folders under names such as `reports/support/eval-1f3a.json`; written once, whole or not at all, durable on return.

    Names follow `domain.keys.checked`; every method raises InvalidInput for another one, and OSError when the store cannot be read or
    written (a backend on a network raises a subclass of it). Safe under several threads and processes.
    """

    @abstractmethod
    def put(self, key: str, content: bytes) -> None:
        """Store a file. The same content again changes nothing. Raises ArtifactConflict when other content is there."""

    @abstractmethod
    def put_file(self, key: str, source: Path) -> None:
        """Take in a finished file of this machine, which is gone then unless it is that of `draft`; one that is stored already is kept."""

    @abstractmethod
    def put_folder(self, key: str, source: Path, last: str) -> None:
        """Take in a finished folder of this machine, which is gone then unless it is that of `draft`; one that is stored is kept.

        It counts as stored once it has its file named `last`. Raises ArtifactConflict when something without that file is in the way.
        """

    @abstractmethod
    def get(self, key: str) -> bytes:
        """A file's content. Raises ArtifactMissing."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether a file or a folder is there."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Names of the files and folders directly in a folder, those stored last first; none when there is no such folder."""

    @abstractmethod
    def local(self, key: str) -> Path:
        """Path of a file or folder on this machine, downloaded first if the store is remote; read-only. Raises ArtifactMissing."""

    @abstractmethod
    def draft(self, key: str) -> Path:
        """The path on this machine, the same at each call, where a program writes the file or folder before `put_file` or `put_folder`.

        For long work that resumes after a crash. The parent folder exists.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Delete a file whose texts somebody wants to be forgotten, a monitor's old report or a checkpoint; nothing if it is not there."""

    @abstractmethod
    def uri(self, key: str) -> str:
        """Where a person finds it: a path on this machine, or a URL."""
