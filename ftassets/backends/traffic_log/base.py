"""Requests, answers and feedback of all loops: what the gateway writes and everything else reads."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ftassets.domain.traffic.exchange import Exchange, Feedback, Reviewed
from ftassets.errors import FtassetsError, InvalidInput, ServerUnreachable

__all__ = [
    "Exchange",
    "Feedback",
    "LogUnreachable",
    "LogUnusable",
    "Reviewed",
    "StillReadable",
    "TrafficLog",
    "UnknownAnswer",
    "check_forget",
    "storable",
]


class UnknownAnswer(FtassetsError):
    """Feedback names an answer that is missing in the log."""


class StillReadable(FtassetsError):
    """Rows are deleted, but their bytes could not be wiped yet; the message says what to do."""


class LogUnusable(FtassetsError):
    """The log cannot be used: a schema of another release, a damaged file or an invalid row; the message says what to do."""


class LogUnreachable(ServerUnreachable, ConnectionError):
    """The log's server does not answer; the message has its address and what to do."""


class TrafficLog(ABC):
    """A row is durable when the call returns, and never changed; only `forget` takes rows away.

    Any call raises LogUnreachable when the log is on a server that does not answer.
    """

    @abstractmethod
    def check(self) -> str:
        """Where the log is, in words."""

    @abstractmethod
    def append(self, exchanges: Sequence[Exchange]) -> int:
        """Store finished exchanges; an id that is there already or was forgotten is ignored. Returns how many are new."""

    @abstractmethod
    def add_feedback(self, feedback: Feedback) -> None:
        """Store feedback. Raises UnknownAnswer."""

    @abstractmethod
    def exchanges(self, loop: str, since: float = 0.0, until: float = float("inf"), limit: int | None = None) -> list[Exchange]:
        """Exchanges with since <= at < until, oldest first."""

    @abstractmethod
    def reviewed(self, loop: str, since: float = 0.0) -> list[Reviewed]:
        """Exchanges since then that have feedback, oldest first."""

    @abstractmethod
    def count(self, loop: str, since: float = 0.0) -> int:
        """Exchanges since then."""

    @abstractmethod
    def forget(self, loop: str | None = None, user: str | None = None, request_ids: Sequence[str] = ()) -> list[str]:
        """Permanently delete exchanges with their feedback: those of a user (as hashed in the log) and those named, of one loop or of all.

        Nothing of their text stays in the log's own files; a server's journal and backups follow that server's rules. The ids are
        remembered, so that neither an import nor a late append brings them back; a named id that the log does not have is remembered
        too, one of another loop is left alone. Returns the ids it deleted or was named, sorted. Doing it again is safe. Raises
        InvalidInput when neither a user nor an id is given, or the user is blank; StillReadable when the rows are gone (their ids in
        `forgotten`) but their bytes could not be wiped.
        """

    @abstractmethod
    def forgotten(self) -> set[str]:
        """Ids of all loops that were forgotten."""


def check_forget(user: str | None, request_ids: Sequence[str]) -> None:
    """Raises InvalidInput unless it names somebody or something to forget."""
    if user is not None and not user.strip():  # requests without a user are stored under the empty name: this would forget all of them
        raise InvalidInput("the user to forget is empty: give the hash of one user, as the traffic log has it")
    if user is None and not request_ids:
        raise InvalidInput("nothing to forget: give a user or request ids")


def storable(value: object) -> object:
    """Half of a surrogate pair is valid in JSON but not in UTF-8; one such request must not fail a batch."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
