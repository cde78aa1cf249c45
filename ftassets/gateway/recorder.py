"""Writes the traffic log from one thread, so that rows of requests that end together share one commit."""

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from ftassets.backends.traffic_log.base import Exchange, Feedback, LogUnreachable, TrafficLog, UnknownAnswer
from ftassets.errors import FtassetsError

log = logging.getLogger(__name__)

_BATCH = 500


class NotRecorded(FtassetsError):
    """The row of a request could not be stored, so the request must fail."""


class Recorder:
    """`await record(...)` returns when the row is durable."""

    def __init__(self, traffic: TrafficLog) -> None:
        self._traffic = traffic
        self._queue: SimpleQueue[tuple[Exchange | Feedback, asyncio.AbstractEventLoop, asyncio.Future[None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    async def record(self, row: Exchange | Feedback) -> None:
        """Store a row. Raises NotRecorded; UnknownAnswer for feedback on an answer that is not in the log."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._queue.put((row, loop, future))
        try:
            await asyncio.shield(future)
        except UnknownAnswer:
            raise
        except Exception as error:
            log.exception("a row could not be stored")
            raise NotRecorded(f"the traffic log cannot be written: {error}") from error

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty() and len(batch) < _BATCH:
                batch.append(self._queue.get())
            items = [item for item in batch if item is not None]
            errors = self._write([row for row, _, _ in items])
            for (_, loop, future), error in zip(items, errors, strict=True):
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle, future, error)
            if None in batch:
                return

    def _write(self, rows: list[Exchange | Feedback]) -> list[Exception | None]:
        """One commit for all exchanges; feedback after them, since it may name one of them."""
        exchanges = [row for row in rows if isinstance(row, Exchange)]
        together = self._try(lambda: self._traffic.append(exchanges)) if exchanges else None
        errors: list[Exception | None] = []
        for row in rows:
            if isinstance(together, LogUnreachable):  # nor is it reachable for each row, and every try may last seconds
                errors.append(together)
            elif isinstance(row, Feedback):
                errors.append(self._try(lambda row=row: self._traffic.add_feedback(row)))  # type: ignore[misc]
            elif together is None or len(exchanges) == 1:
                errors.append(together)
            else:  # one bad row must not take the others with it
                errors.append(self._try(lambda row=row: self._traffic.append([row])))  # type: ignore[misc]
        return errors

    @staticmethod
    def _try(write: Callable[[], object]) -> Exception | None:
        try:
            write()
        except Exception as error:  # the thread must outlive any row
            return error
        return None


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # whoever waited may be gone
