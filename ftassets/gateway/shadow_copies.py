"""Copies of requests for a candidate in shadow: answered off the hot path, stored with production's answers, returned to no client.

What does not fit is dropped and counted, so that neither production nor the memory of the gateway waits for a slow candidate.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ftassets.backends.traffic_log.base import Exchange, ShadowAnswer
from ftassets.config.loop import LoopConfig
from ftassets.domain.rollout.shadow_phase import is_copied, paired
from ftassets.domain.traffic.exchange import ANSWERED
from ftassets.gateway.call import Call
from ftassets.gateway.chat_request import Received
from ftassets.gateway.engines import Engines
from ftassets.gateway.patience import Patience
from ftassets.gateway.problems import Problem
from ftassets.gateway.prometheus import Metrics
from ftassets.gateway.recorder import NotRecorded, Recorder
from ftassets.gateway.relay import engine_problem, read_stream, read_whole
from ftassets.gateway.router import Route, Router

log = logging.getLogger(__name__)

AT_ONCE = 4  # copies of one candidate that are being answered
MOST = 100  # copies of one candidate in the gateway, those that wait included
MOST_BYTES = 32_000_000  # of their requests, all candidates together
STORED_EVERY = 1.0  # seconds: so much is lost when the gateway is killed
_BUSY = 429

Dropped = Literal["busy", "unavailable", "over", "not_recorded"]


@dataclass(frozen=True)
class _Copy:
    received: Received
    exchange: Exchange
    route: Route


class Copies:
    """Answers copies in tasks of their own."""

    def __init__(self, router: Router, engines: Engines, recorder: Recorder, metrics: Metrics, loops: Mapping[str, LoopConfig]) -> None:
        self._router = router
        self._engines = engines
        self._recorder = recorder
        self._metrics = metrics
        self._loops = loops
        self._number: Counter[str] = Counter()  # by version
        self._bytes = 0
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered: list[ShadowAnswer] = []

    def offer(self, received: Received, exchange: Exchange) -> None:
        """Copy a request that production has answered, or failed to, if it is of the sample."""
        settings, route = self._loops[exchange.loop].rollout.shadow, self._router.shadowed(exchange.loop)
        if settings is None or route is None or (exchange.status != ANSWERED and exchange.status < 500):
            return
        if exchange.version != self._router.state(exchange.loop).production:  # of a user who is held back: there is no pair
            return
        if not is_copied(exchange.loop, route.version, exchange.id, settings.sample):
            return
        if not route.url:
            return self._metrics.copy_dropped(exchange.loop, route.version, "unavailable")
        if self._number[route.version] >= MOST or self._bytes + received.size > MOST_BYTES:
            return self._metrics.copy_dropped(exchange.loop, route.version, "busy")
        self._number[route.version] += 1
        self._bytes += received.size
        task = asyncio.create_task(self._work(_Copy(received, exchange, route)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Store what was answered, for ever."""
        while True:
            await asyncio.sleep(STORED_EVERY)
            await self._store()

    async def close(self) -> None:
        """End what is under way, and store what was answered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store()

    async def _work(self, copy: _Copy) -> None:
        version = copy.route.version
        try:
            async with self._turns.setdefault(version, asyncio.Semaphore(AT_ONCE)):
                if dropped := await self._answer(copy):
                    self._metrics.copy_dropped(copy.route.loop, version, dropped)
        except Exception:  # whatever a copy does wrong: no user waits for it
            log.exception("a copy of a request to %s", copy.route.loop)
        finally:
            self._bytes -= copy.received.size
            self._number[version] -= 1
            if not self._number[version]:
                del self._number[version], self._turns[version]

    async def _answer(self, copy: _Copy) -> Dropped | None:
        """Ask the candidate and take note of its answer; why it does not count, if so."""
        production, loop, route = copy.exchange, self._loops[copy.route.loop], self._router.shadowed(copy.route.loop)
        if route is None or route.version != copy.route.version:
            return "over"
        if not route.url:
            return "unavailable"
        call = Call(
            production.id, route.loop, route.version, route.weight, production.user, production.prompt, production.messages, production.at,
            began=time.perf_counter(),
        )  # fmt: skip
        problem = await self._ask(call, copy.received, route, Patience(loop.serving, bool(copy.received.ask.stream)))
        status, error = (ANSWERED, None) if problem is None else (problem.status, problem.logged)
        now = self._router.shadowed(route.loop)
        if now is None or now.version != route.version:
            return "over"
        if status == _BUSY:
            return "busy"
        if status >= 500 and not call.reached:  # no server took it: how long that may last is said by server_patience
            return "unavailable"
        pair = paired(production, call.finished(loop.task.form, status, error), loop.task.form)
        self._answered.append(pair)
        self._metrics.copied(pair)
        return None

    async def _ask(self, call: Call, received: Received, route: Route, patience: Patience) -> Problem | None:
        """The candidate's answer, of which the call takes note; what went wrong, if anything."""
        try:
            body = await self._engines.body(call, received, route)
            reply = await patience.wait(self._engines.ask(call, route, body), answering=False)
            if received.ask.stream:
                async with reply:
                    return await read_stream(call, reply, patience, _to_no_client)
            await read_whole(call, reply, patience)
        except TimeoutError as error:
            return engine_problem(error)
        except Problem as problem:
            return problem
        return None

    async def _store(self) -> None:
        answered, self._answered = self._answered, []
        if not answered:
            return
        try:
            await self._recorder.record_copies(answered)
        except NotRecorded as error:
            log.error("%d copies are lost: %s", len(answered), error)
            for pair in answered:
                self._metrics.copy_dropped(pair.loop, pair.version, "not_recorded")


async def _to_no_client(part: dict[str, Any]) -> None:
    """No client gets the answer to a copy."""
