"""Requests, answers and feedback of all loops: what the gateway writes and everything else reads."""

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from ftassets.domain.spending.served import ServedMinute
from ftassets.domain.traffic.exchange import ByUser, Exchange, Outcomes
from ftassets.domain.traffic.feedback import Feedback, FeedbackAge, FeedbackCounts, Reviewed, added_up
from ftassets.domain.traffic.lapses import Ended, FirstLapse, Lapse, LapseCounts, Limits, Pair
from ftassets.domain.traffic.retention import DayOfTraffic, day_of
from ftassets.domain.traffic.shadow_answer import Discordant, PairCounts, PairLapse, ShadowAnswer, ShadowCounts
from ftassets.errors import FtassetsError, InvalidInput, ServerUnreachable

__all__ = [
    "Arrival",
    "Discordant",
    "Ended",
    "Exchange",
    "Feedback",
    "FeedbackAge",
    "FeedbackCounts",
    "FirstLapse",
    "Lapse",
    "LapseCounts",
    "Limits",
    "LogSize",
    "LogUnreachable",
    "LogUnusable",
    "Outcomes",
    "Pair",
    "PairCounts",
    "PairLapse",
    "Reviewed",
    "ServedMinute",
    "ShadowAnswer",
    "ShadowCounts",
    "StillReadable",
    "TrafficLog",
    "UnknownAnswer",
    "check_forget",
    "probe",
    "storable",
]


PAGE = 1000  # rows read at once
SAMPLE = 10_000  # rows whose size is measured


class UnknownAnswer(FtassetsError):
    """Feedback names an answer that is missing in the log."""


class StillReadable(FtassetsError):
    """Rows are deleted, but their bytes could not be wiped yet; the message says what to do."""


class LogUnusable(FtassetsError):
    """The log cannot be used: a schema of another release, a damaged file or an invalid row; the message says what to do."""


class LogUnreachable(ServerUnreachable, ConnectionError):
    """The log cannot be used now: no server, a locked file, a full disk; the message says what to do."""


@dataclass(frozen=True)
class LogSize:
    """Bytes of the log on the disk, and how many of them are free for new rows; None where the server does not say."""

    bytes: int
    free: int | None


class Arrival(NamedTuple):
    """An exchange, and when it was stored: epoch seconds by the clock of the log."""

    stored_at: float
    exchange: Exchange


class TrafficLog(ABC):
    """A row is durable when the call returns, and never changed; only `forget` and `remove` take rows away.

    Any call raises LogUnreachable when the log is on a server that does not answer; `append` and `add_feedback` also when a file cannot be
    written now, whatever the row.
    """

    @abstractmethod
    def check(self) -> str:
        """Where the log is, in words, after a row was written to it and read back; the row is gone when this returns, and no reader saw it.

        A log that was not used yet is not made: where it will be must be writable. Raises LogUnreachable, LogUnusable, and
        ConfigurationError where its address is not one.
        """

    @abstractmethod
    def append(self, exchanges: Sequence[Exchange]) -> int:
        """Store finished exchanges; an id that is there already or was forgotten is ignored. Returns how many are new."""

    @abstractmethod
    def add_feedback(self, feedback: Feedback) -> bool:
        """Store feedback, and whether it is new: the same words at the same time are stored once. Raises UnknownAnswer."""

    @abstractmethod
    def stream(
        self, loop: str, since: float = 0.0, until: float = float("inf"), version: str | None = None, answered: bool = False
    ) -> Iterator[Exchange]:
        """Exchanges with since <= at < until, oldest first, read page by page.

        Only those of a version if one is named, only those with status 200 if `answered`. Rows that are stored meanwhile may be missed.
        """

    @abstractmethod
    def arrivals(self, loop: str, since: float = 0.0, asked_since: float = 0.0) -> Iterator[Arrival]:
        """Answered exchanges that were stored at `since` or later and began at `asked_since` or later, in the order of their arrival.

        Both in epoch seconds; `since` is by the clock of the log, which neither a wrong time in a row nor an import of old rows moves.
        What an earlier release stored has the arrival 0.
        """

    def exchanges(self, loop: str, since: float = 0.0, until: float = float("inf"), limit: int | None = None) -> list[Exchange]:
        """The first of the exchanges of `stream`, at most `limit`, or all of them in memory."""
        return list(islice(self.stream(loop, since, until), limit))

    @abstractmethod
    def named(self, loop: str | None, request_ids: Sequence[str]) -> list[Exchange]:
        """Those of these exchanges that the log has, of one loop or of all, in any order."""

    @abstractmethod
    def of_user(self, user: str) -> Iterator[Exchange]:
        """Exchanges of all loops of a user, as hashed in the log, oldest first, read page by page; none of the empty name."""

    @abstractmethod
    def derived(self, names: Collection[str]) -> set[str]:
        """Ids of all loops that begin with one of these names and a colon: what imports call further exchanges of one id."""

    @abstractmethod
    def count(self, loop: str, since: float = 0.0, until: float = float("inf"), answered: bool = False) -> int:
        """Number of exchanges that `stream` would read."""

    @abstractmethod
    def outcomes(self, loop: str, versions: Sequence[str], since: float = 0.0, until: float = float("inf")) -> list[Outcomes]:
        """How the exchanges of these versions with since <= at < until ended, one entry for those that ended alike, in any order."""

    @abstractmethod
    def first_lapses(self, loop: str, pair: Pair, since: float, window: float) -> list[FirstLapse]:
        """Each user's first lapse of each kind since then, by either version, once in each window of so many seconds, in any order.

        Windows are numbered from 0. An answer lapses at its time, and feedback at its own, if its answer is not older than `since`. Each
        exchange without a user counts: those that lapse with their answer are counted together, those of feedback are a user each.
        """

    @abstractmethod
    def lapse_counts(
        self, loop: str, version: str, since: float, until: float, limits: Limits, without: Collection[str] = ()
    ) -> Mapping[Lapse, LapseCounts]:
        """For each kind of lapse, sums over the users of the version, of answers with since <= at < until.

        Answers to the users `without` do not count, but for feedback.
        """

    @abstractmethod
    def ended(self, loop: str, version: str, since: float, until: float, most: int) -> list[Ended]:
        """How the newest of the version's exchanges with since <= at < until ended, at most so many, the newest first."""

    @abstractmethod
    def users(self, loop: str, version: str, since: float, most: int) -> int:
        """How many users the version's exchanges since then have, counted up to `most`; all that have no user may be of one."""

    @abstractmethod
    def outcomes_by_user(self, loop: str, version: str, since: float, until: float) -> tuple[ByUser, ByUser]:
        """Users by their share of requests without a failure of the server, and of judged answers that are well formed.

        Of the version's exchanges with since <= at < until. Requests that the client got wrong do not count, nor does an answer whose
        form the client's own settings explain. A request without a user counts as a user of its own.
        """

    @abstractmethod
    def time_of_newest(self, loop: str, version: str, number: int, since: float = 0.0) -> float | None:
        """When the version's newest `Outcomes.judged` exchange since then began; its second newest for the number 2, and so on.

        None if it has fewer.
        """

    @abstractmethod
    def last_time(self, loop: str, until: float) -> float | None:
        """When the loop's newest exchange with at < until began, whoever answered; None without one."""

    @abstractmethod
    def served(self, loop: str, since: float, until: float) -> list[ServedMinute]:
        """What versions answered in each minute, of the rows that were stored at since <= time < until by the clock of the log.

        In any order. Rows that were stored long after their answer, as by an import, are left out.
        """

    @abstractmethod
    def with_feedback(self, loop: str, since: float = 0.0) -> Iterator[Exchange]:
        """Exchanges since then that have feedback, oldest first, each once."""

    def feedback_on(self, request_ids: Sequence[str]) -> dict[str, Feedback]:
        """What the feedback on each of these exchanges that has any adds up to, see `added_up`."""
        return added_up(event for events in self.feedback_events(request_ids).values() for event in events)

    def reviewed(self, loop: str, since: float = 0.0) -> list[Reviewed]:
        """The exchanges of `with_feedback`, each with what its feedback adds up to."""
        found: list[Reviewed] = []
        exchanges = self.with_feedback(loop, since)
        while page := list(islice(exchanges, PAGE)):
            said = self.feedback_on([exchange.id for exchange in page])  # one that was forgotten meanwhile has none
            found += [Reviewed(exchange, said[exchange.id]) for exchange in page if exchange.id in said]
        return found

    @abstractmethod
    def feedback_counts(self, loop: str, version: str, since: float = 0.0, until: float = float("inf")) -> FeedbackCounts:
        """What the feedback on the version's exchanges with since <= at < until adds up to."""

    @abstractmethod
    def feedback_by_user(
        self, loop: str, version: str, since: float, until: float, age: float = float("inf"), arrived: float = float("inf")
    ) -> tuple[ByUser, ByUser]:
        """Users by their share of answers with feedback that have no thumb down at last, and of those that have no correction.

        Of the version's exchanges with since <= at < until that were stored until `arrived`, by the feedback that came up to so many
        seconds (`age`) after the answer, see `feedback_ages`. A request without a user counts as a user of its own.
        """

    @abstractmethod
    def feedback_ages(self, loop: str, since: float, until: float) -> list[FeedbackAge]:
        """How old answers were when their feedback came, of the exchanges with since <= at < until, in any order.

        From the answer to its feedback, and not less than from the arrival of one to that of the other: what an import brings later comes
        later.
        """

    @abstractmethod
    def corrected(self, loop: str, since: float = 0.0, asked_since: float = 0.0) -> dict[str, float]:
        """Ids of the exchanges that began at `asked_since` or later and whose correction is another one than what was stored before
        `since`; none counts as one. Each with the time at which its newest correction was stored, by the clock of the log: an import may
        bring corrections of any time.
        """

    @abstractmethod
    def append_shadow(self, answers: Sequence[ShadowAnswer]) -> int:
        """Store what candidates in shadow answered. They are no traffic: of the other methods only those that delete exchanges touch them.

        One whose exchange is not in the log any more is left out, and so is a second one of a version to one request. Returns how many
        are new.
        """

    @abstractmethod
    def shadow_answers(self, loop: str, version: str, since: float, most: int) -> list[ShadowAnswer]:
        """The newest answers of a version in shadow to requests since then (epoch seconds), at most so many, the newest first."""

    @abstractmethod
    def discordant(self, loop: str, pair: Pair, since: float, window: float) -> list[Discordant]:
        """Each user's first pair since then of each kind in which one answer lapsed, once in each window of so many seconds, in any order.

        Windows are numbered from 0. Pairs without a user are counted together. Only those of these two versions.
        """

    @abstractmethod
    def shadow_counts(self, loop: str, pair: Pair, since: float) -> ShadowCounts:
        """Sums over the pairs of these two versions since then."""

    @abstractmethod
    def forget(self, loop: str | None = None, user: str | None = None, request_ids: Sequence[str] = ()) -> list[str]:
        """Permanently delete exchanges with feedback and copies: a user's (as hashed in the log) and those named, of one loop or all.

        Nothing of their text stays in the log's own files; a server's journal and backups follow that server's rules. The ids are
        remembered, with the user if one is given, so that neither an import nor a late append brings them back; a named id that the log
        does not have is remembered too, one of another loop is left alone. Returns the ids it deleted or was named, sorted. Doing it
        again is safe. Raises InvalidInput when neither a user nor an id is given, or the user is blank; StillReadable when the rows are
        gone (their ids in `forgotten`) but their bytes could not be wiped.
        """

    @abstractmethod
    def forgotten(self, user: str | None = None) -> set[str]:
        """Ids of all loops that were forgotten; with a user only those that were forgotten as this user's."""

    @abstractmethod
    def first_time(self, loop: str, since: float = float("-inf")) -> float | None:
        """When the oldest exchange with since <= at began; None without one."""

    @abstractmethod
    def sampled(self, loop: str, since: float, until: float, share: float) -> tuple[int, int]:
        """Number of exchanges in a sample of this share of those with since <= at < until, and their size in bytes, indexes included."""

    def days(self, loop: str) -> list[DayOfTraffic]:
        """The loop's exchanges by day, oldest first. Sizes are estimated from a sample: no text of most rows is read."""
        counted, since = [], float("-inf")
        while (first := self.first_time(loop, since)) is not None:
            day = DayOfTraffic(day_of(first), 0, 0.0)
            counted.append(replace(day, rows=self.count(loop, day.begin, day.end)))
            since = day.end
        share = min(1.0, SAMPLE / max(1, sum(day.rows for day in counted)))
        samples = [self.sampled(loop, day.begin, day.end, share) for day in counted]
        mean = sum(size for _, size in samples) / max(1, sum(rows for rows, _ in samples))
        return [replace(day, bytes=day.rows * (size / rows if rows else mean)) for day, (rows, size) in zip(counted, samples, strict=True)]

    @abstractmethod
    def feedback_events(self, request_ids: Sequence[str]) -> dict[str, list[Feedback]]:
        """All feedback on each of these exchanges that has any, in the order in which it was stored."""

    @abstractmethod
    def remove(self, loop: str, events: Mapping[str, int]) -> int:
        """Delete exchanges with feedback and copies, by id with the number of feedback events that the caller knows; returns how many.

        One with more events stays: feedback came meanwhile. The ids are not remembered. Bytes of deleted rows may stay in the
        log's files until `forget` wipes them.
        """

    @abstractmethod
    def reclaim(self) -> None:
        """Give the space of removed rows back as far as that is cheap and blocks no other process; the rest is used for new rows."""

    @abstractmethod
    def size(self) -> LogSize:
        """Space of the log on the disk, all loops together."""


def check_forget(user: str | None, request_ids: Sequence[str]) -> None:
    """Raises InvalidInput unless it names somebody or something to forget."""
    if user is not None and not user.strip():  # requests without a user are stored under the empty name: this would forget all of them
        raise InvalidInput("the user to forget is empty: give the hash of one user, as the traffic log has it")
    if user is None and not request_ids:
        raise InvalidInput("nothing to forget: give a user or request ids")


def probe(content: str) -> Exchange:
    """A row that `check` writes and takes back; it is of no loop."""
    return Exchange(f"check:{uuid.uuid4()}", "", "", "", "", "[]", content, 200, time.time(), 0.0, None, None, None, 0.0)


def storable(value: object) -> object:
    """Half of a surrogate pair is valid in JSON but not in UTF-8; one such request must not fail a batch."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
