"""How long a model server may take: each wait for it is bounded, and what a client takes for itself is not counted."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from ftassets.config.loop import Serving

_Result = TypeVar("_Result")


class Patience:
    """What is left of the loop's limits for one request."""

    def __init__(self, limits: Serving, stream: bool) -> None:
        self._limits = limits
        self._first = limits.first_token if stream else limits.total
        self._total = limits.total

    async def wait(self, work: Awaitable[_Result], answering: bool) -> _Result:
        """The result of `work`; `answering`: whether the first token is there. Raises TimeoutError with the limit that was reached."""
        name, limit = ("idle", self._limits.idle) if answering else ("first_token", self._first)
        if self._total <= limit:
            name, limit = "total", self._total
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(limit, 0.0)) as timeout:
                return await work
        except TimeoutError as error:
            if not timeout.expired():  # the connection's own
                raise
            raise TimeoutError(f"the loop's serving.{name} is {getattr(self._limits, name):g} s") from error
        finally:
            waited = time.monotonic() - began
            self._total -= waited
            self._first -= waited
