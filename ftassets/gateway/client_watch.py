"""Stops work for a client that has left."""

import asyncio
from types import TracebackType

from starlette.types import Receive

from ftassets.errors import FtassetsError

AFTER = 0.2  # seconds until a watch costs a task: most answers are there before


class ClientGone(FtassetsError):
    """The client closed its connection before it had the answer."""


class GatewayStops(FtassetsError):
    """The gateway is stopped, and the time that requests have to end is over."""


class ClientWatch:
    """A block that ends with ClientGone when its client leaves, at the earliest `AFTER` its begin; the body must have been read.

    While it lasts it is one of `watches`, and `stop` ends it with GatewayStops.
    """

    def __init__(self, receive: Receive, watches: "set[ClientWatch] | None" = None) -> None:
        self._receive = receive
        self._watches = set() if watches is None else watches
        self._stopped = False
        self._left = False
        self._over = False
        self._waiting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._working = asyncio.current_task()
        self._watches.add(self)
        self._timer = asyncio.get_running_loop().call_later(AFTER, self._watch)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over = True
        self._watches.discard(self)
        self._timer.cancel()
        if self._waiting is not None:
            self._waiting.cancel()
        if (self._left or self._stopped) and kind is asyncio.CancelledError and self._working is not None and self._working.uncancel() == 0:
            if self._left:
                raise ClientGone("the client went away before the last byte") from error
            raise GatewayStops("the gateway was stopped before the answer was whole") from error

    def stop(self) -> None:
        """End the block."""
        if not self._over and not self._left and not self._stopped and self._working is not None:
            self._stopped = True
            self._working.cancel()

    def _watch(self) -> None:
        self._waiting = asyncio.create_task(self._wait())
        self._waiting.add_done_callback(self._stop)

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _stop(self, waited: "asyncio.Task[None]") -> None:
        if not self._over and not self._stopped and not waited.cancelled() and self._working is not None:
            self._left = True
            self._working.cancel()
