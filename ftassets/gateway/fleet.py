"""The model servers that are wanted: brought up, warmed, watched, and drained before they are stopped."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any

import aiohttp

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.external import is_external
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest, own_generation, version_folder
from ftassets.domain.release.decoding import first_request
from ftassets.gateway.model_hosts.base import HostError, ModelHost

log = logging.getLogger(__name__)

TICK = 1.0
TICK_WHILE_WAITING = 0.1
TRY_AGAIN = 30.0  # seconds until a server that was given up is started once more
START_TIMEOUT = 280.0  # below the time for which the verbs of `GatewayServing` wait; vLLM on a busy CPU takes three minutes


class Fleet:
    """Versions that can answer now, their URLs, and their numbers of in-flight requests."""

    def __init__(self, host: ModelHost, artifacts: Artifacts, session: aiohttp.ClientSession) -> None:
        self.ready: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self._failed_before: dict[str, str] = {}  # why the start before the one under way came to nothing
        self._host = host
        self._artifacts = artifacts
        self._session = session
        self._in_flight: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._try_at: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._tended: dict[str, asyncio.Task[None]] = {}  # one task a version: none waits for another's server
        self.external = lru_cache(maxsize=64)(lambda digest: is_external(artifacts, digest))  # whether others serve a version

    def enter(self, digest: str) -> None:
        """Mark one request as in flight: the version's server keeps running until `leave`."""
        self._in_flight[digest] += 1

    def leave(self, digest: str) -> None:
        """Mark one in-flight request as finished."""
        self._in_flight[digest] -= 1

    def lost(self, digest: str) -> None:
        """A version's server refused a connection: nothing goes there until it was seen to answer again."""
        self.ready.pop(digest, None)
        self.wake()

    def wake(self) -> None:
        """Run the next tick now: the wanted versions have changed."""
        self._wake.set()

    def why_down(self, digest: str) -> str:
        """Why a version has no server that answers: its failure, also while it is started once more."""
        before = self._failed_before.get(digest)
        return self.failures.get(digest) or (f"its server is starting again after: {before}" if before else "its server is starting")

    @asynccontextmanager
    async def up(self, digest: str) -> AsyncIterator[str]:
        """Base URL of a version's server once it answers; wanted at least until the block ends. Raises HostError."""
        self._held[digest] += 1
        try:
            self.failures.pop(digest, None)
            self._try_at.pop(digest, None)  # somebody asks: an earlier failure does not count
            self.wake()
            give_up = time.monotonic() + START_TIMEOUT
            while digest not in self.ready:
                if digest in self.failures:
                    raise HostError(f"version {digest[:12]}: {self.failures[digest]}")
                if time.monotonic() > give_up:
                    raise HostError(f"version {digest[:12]}: its server did not answer within {START_TIMEOUT:.0f} s")
                await asyncio.sleep(0.05)
            yield self.ready[digest]
        finally:
            self._held[digest] -= 1

    async def run(self, wanted: Callable[[], set[str]]) -> None:
        """Keep the servers as wanted, for ever. What goes wrong is logged and tried again."""
        try:
            while True:
                waiting = False
                try:
                    waiting = await self._reconcile(wanted)
                except (HostError, OSError) as error:
                    log.error("model servers: %s", error)
                    self.failures |= {digest: str(error) for digest in self._needed(wanted()) - self.ready.keys()}
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), TICK_WHILE_WAITING if waiting else TICK)
                self._wake.clear()
        finally:
            for task in self._tended.values():
                task.cancel()
            await asyncio.gather(*self._tended.values(), return_exceptions=True)

    def _needed(self, wanted: set[str]) -> set[str]:
        return wanted | {digest for digest, count in self._held.items() if count}

    async def _reconcile(self, wanted: Callable[[], set[str]]) -> bool:
        """One look; returns whether something is still to come. No version waits for what takes long with another."""
        for digest in [digest for digest, task in self._tended.items() if task.done()]:
            self._tended.pop(digest).result()
        running = await self._host.running()
        needed = self._needed(wanted())
        for digest in self.ready.keys() - (needed & running.keys()):
            del self.ready[digest]
        for digest in (running.keys() | needed) - self._tended.keys():
            if digest in needed:
                work = self._check_health(digest, running[digest]) if digest in running else self._start(digest)
            elif not self._in_flight[digest]:
                work = self._stop(digest)
            else:
                continue
            self._tended[digest] = asyncio.create_task(self._tend(digest, work))
        draining = any(self._in_flight[digest] for digest in running.keys() - needed)
        return draining or bool(needed - self.ready.keys() - self.failures.keys())

    async def _tend(self, digest: str, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except (HostError, OSError) as error:
            log.error("the server of %s: %s", digest[:12], error)
            self.failures.setdefault(digest, str(error))
        except Exception as error:  # whatever is wrong with one version: the others are watched all the same
            log.exception("the server of %s", digest[:12])
            self._give_up(digest, f"{type(error).__name__}: see the gateway's log")

    async def _stop(self, digest: str) -> None:
        log.info("stopping the server of %s", digest[:12])
        await self._host.stop(digest)

    async def _start(self, digest: str) -> None:
        now = time.monotonic()
        if now < self._try_at.get(digest, 0.0):
            return
        if digest not in self.failures and (failure := await self._host.failure(digest)):
            await self._host.stop(digest)
            return self._give_up(digest, failure)
        log.info("starting the server of %s", digest[:12])
        try:
            await self._host.start(digest, await asyncio.to_thread(version_folder, self._artifacts, digest))
        except (HostError, VersionDamaged, OSError) as error:  # the other versions' servers must not suffer
            return self._give_up(digest, str(error))
        if why := self.failures.pop(digest, None):
            self._failed_before[digest] = why

    def _give_up(self, digest: str, why: str) -> None:
        log.error("version %s: %s", digest[:12], why)
        self.failures[digest] = why
        self._try_at[digest] = time.monotonic() + TRY_AGAIN

    async def _check_health(self, digest: str, url: str) -> None:
        try:
            async with self._session.get(f"{url}/health", timeout=aiohttp.ClientTimeout(total=5)) as reply:
                status = reply.status
        except TimeoutError:
            return  # busy is not dead: the process runs, and requests have their own timeout
        except aiohttp.ClientError:
            self.ready.pop(digest, None)
            return
        if status != 200:
            log.error("the server of %s says it is unhealthy (%d): starting it again", digest[:12], status)
            self.ready.pop(digest, None)
            await self._host.stop(digest)
        elif self.ready.get(digest) != url and time.monotonic() >= self._try_at.get(digest, 0.0):
            await self._warm(digest, url)

    async def _warm(self, digest: str, url: str) -> None:
        """A first request with the version's own settings: the engine takes its sampling from the first request it sees."""
        try:
            body = _first_request(self._artifacts, digest)
            async with self._session.post(f"{url}/v1/chat/completions", json=body, timeout=aiohttp.ClientTimeout(total=60)) as reply:
                if reply.status != 200:  # it will say so again, and somebody else's server counts every request
                    return self._give_up(digest, f"its server answered the first request with {reply.status}: {(await reply.text())[:500]}")
        except VersionDamaged as error:
            self.failures[digest] = str(error)
        except (TimeoutError, aiohttp.ClientError) as error:
            self.failures[digest] = f"its server did not answer the first request ({error or type(error).__name__})"
        else:
            self.failures.pop(digest, None)
            self._failed_before.pop(digest, None)
            self.ready[digest] = url
            log.info("the server of %s answers at %s", digest[:12], url)


def _first_request(artifacts: Artifacts, digest: str) -> dict[str, Any]:
    """With the version's own settings. Raises VersionDamaged."""
    manifest = load_manifest(artifacts, digest)
    return first_request(manifest.generation.get("temperature", 0.0), own_generation(artifacts, digest))
