"""Writes the traffic log from one thread, so that rows of requests that end together share one commit."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from queue import SimpleQueue

from ftassets.backends.traffic_log.base import Exchange, Feedback, LogUnreachable, ShadowAnswer, TrafficLog, UnknownAnswer
from ftassets.errors import FtassetsError
from ftassets.wording import amount

log = logging.getLogger(__name__)

WAITING = 2000  # rows that may wait to be written; with more, answers are refused at once
PATIENCE = 4.0  # seconds that a write waits for other processes
DEADLINE = 10.0  # seconds until a row counts as not stored: one failed write before it, and its own
FRESH = 5.0  # seconds for which the last write says whether the log can be written
_BATCH = 500


class NotRecorded(FtassetsError):
    """The row of a request could not be stored, so the request must fail."""


@dataclass(frozen=True)
class _Check:
    """Not a row: the log is to be written and read back."""


@dataclass(frozen=True)
class _Copies:
    """What a candidate in shadow answered: rows of their own, which no client waits for."""

    answers: tuple[ShadowAnswer, ...]


_Row = Exchange | Feedback | _Copies | _Check
_Item = tuple[_Row, asyncio.AbstractEventLoop, "asyncio.Future[None]"]

_Ended = tuple["asyncio.Future[None]", Exception | None]


class Recorder:
    """`await record(...)` returns when the row is durable."""

    def __init__(self, traffic: TrafficLog, waiting: int = WAITING, deadline: float = DEADLINE) -> None:
        """`waiting` rows at most in the queue; `deadline` in seconds for each."""
        self._traffic = traffic
        self._deadline = deadline
        self._most = waiting
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._wrote: tuple[float, str | None] = (-inf, None)  # when the log was last tried (monotonic), and what was wrong with it
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    async def record(self, row: Exchange | Feedback) -> None:
        """Store a row. Raises NotRecorded; UnknownAnswer for feedback on an answer that is not in the log.

        A row whose deadline passes while it is being written may be in the log all the same; one that waits is left out.
        """
        await self._put(row)

    async def record_copies(self, answers: Sequence[ShadowAnswer]) -> None:
        """Store pairs, after the exchanges that wait. Raises NotRecorded."""
        await self._put(_Copies(tuple(answers)))

    async def problem(self) -> str | None:
        """Why the log cannot be written, None if it can: what the last write met, else a row that is written, read and taken back."""
        at, problem = self._wrote
        if time.monotonic() - at < FRESH:
            return problem
        try:
            await self._put(_Check())
        except NotRecorded as error:
            return str(error)
        return None

    async def _put(self, row: _Row) -> None:
        if self._queue.qsize() >= self._most:
            raise NotRecorded(f"the traffic log is not written fast enough: {amount(self._most, 'row waits', 'rows wait')}")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._queue.put((row, loop, future))
        late = NotRecorded(f"the traffic log did not take the row within {self._deadline:g} s")
        timer = loop.call_later(self._deadline, _settle, future, late)
        try:
            await asyncio.shield(future)
        except (UnknownAnswer, NotRecorded):
            raise
        except Exception as error:
            raise NotRecorded(f"the traffic log cannot be written: {error}") from error
        finally:
            timer.cancel()

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty() and len(batch) < _BATCH:
                batch.append(self._queue.get())
            items = [item for item in batch if item is not None and not item[2].done()]
            errors = self._write([row for row, _, _ in items])
            _report(errors)
            ended: dict[asyncio.AbstractEventLoop, list[_Ended]] = {}
            for (_, loop, future), error in zip(items, errors, strict=True):
                ended.setdefault(loop, []).append((future, error))
            for loop, those in ended.items():  # each call wakes the loop
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle_all, those)
            if None in batch:
                return

    def _write(self, rows: Sequence[_Row]) -> list[Exception | None]:
        """One commit for all exchanges; feedback after them, since it may name one of them.

        What fails for the sake of the log, and not of a row, fails for all that are left: each try may last seconds.
        """
        exchanges = [row for row in rows if isinstance(row, Exchange)]
        together = self._try(lambda: self._traffic.append(exchanges)) if exchanges else None
        errors: list[Exception | None] = []
        gone = together if isinstance(together, LogUnreachable) else None
        for row in rows:
            if isinstance(row, Exchange) and (together is None or len(exchanges) == 1):
                errors.append(together)
                continue
            error: Exception | None = gone
            if gone is None and isinstance(row, Feedback):
                error = self._try(lambda row=row: self._traffic.add_feedback(row))  # type: ignore[misc]
            elif gone is None and isinstance(row, _Copies):
                error = self._try(lambda row=row: self._traffic.append_shadow(row.answers))  # type: ignore[misc]
            elif gone is None and isinstance(row, _Check):
                error = self._try(self._traffic.check)
            elif gone is None:  # one bad row must not take the others with it
                error = self._try(lambda row=row: self._traffic.append([row]))  # type: ignore[misc]
            if isinstance(error, LogUnreachable):
                gone = error
            errors.append(error)
        if rows and (gone is not None or None in errors):
            self._wrote = time.monotonic(), None if gone is None else f"the traffic log cannot be written: {gone}"
        return errors

    @staticmethod
    def _try(write: Callable[[], object]) -> Exception | None:
        try:
            write()
        except Exception as error:  # the thread must outlive any row
            return error
        return None


def _report(errors: list[Exception | None]) -> None:
    """One line for each reason, not for each row; where the code is at fault, the way to it."""
    failed = [error for error in errors if error is not None and not isinstance(error, UnknownAnswer)]
    for text in sorted({str(error) for error in failed}):
        alike = [error for error in failed if str(error) == text]
        log.error("%d rows could not be stored: %s", len(alike), text, exc_info=None if isinstance(alike[0], FtassetsError) else alike[0])


def _settle_all(ended: Sequence[_Ended]) -> None:
    for future, error in ended:
        _settle(future, error)


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():  # too late
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # whoever waited may be gone
