"""The other gateways of the same loops: this one says what it has, hears what they have, and waits until they have a change."""

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress

from ftassets.backends.control.base import Control
from ftassets.backends.control.replicas import read_beats, remove_beat, write_beat
from ftassets.domain.replicas import FORGOTTEN, SILENT, Beat, Heard, hear, lacking, not_alike, pending, without_server
from ftassets.errors import FtassetsError
from ftassets.wording import span

log = logging.getLogger(__name__)

POLL = 0.2  # seconds between two looks for changes of others
BEAT = 1.0  # seconds between two beats; a change is said at once
HEAR = 0.4  # seconds between two looks at the others' beats
CONFIRM = 1.0  # seconds for which a change waits for the others
_LOOK = 0.05


class NameTaken(FtassetsError):
    """Two gateways have one name; the message says what to set."""


class Peers:
    """The replicas of one control, seen from this one."""

    def __init__(
        self,
        control: Control,
        name: str,
        *,
        users: str,
        own_log: bool,
        revision: Callable[[], int],
        ready: Callable[[], Collection[str]],
        clock: Callable[[], float],
    ) -> None:
        """`revision` and `ready`: what this replica has in force, and the versions whose server answers it; the rest as in `Beat`."""
        self._control = control
        self._clock = clock
        self._revision = revision
        self._ready = ready
        self._asks: Counter[str] = Counter()
        self._told: Beat | None = None
        self._told_at = self._heard_at = float("-inf")
        self._reached = time.monotonic()
        self._heard: dict[str, Heard] = {}
        self._who = {"name": name, "life": uuid.uuid4().hex, "users": users, "own_log": own_log}
        self._leaving, self._left = False, asyncio.Event()
        self.name = name
        self.problem: str | None = None  # why the others do not know of this one, or it not of them

    async def open(self) -> str | None:
        """Join the others; why this one must not, if so. Raises OSError."""
        await self._hear()
        if why := not_alike(self._beat(0), self.others, time.monotonic()):
            return why
        await self._tell()
        return None

    async def run(self, follow: Callable[[], Awaitable[None]]) -> None:
        """Follow the others' changes, tell and hear, for ever."""
        while not self._leaving:
            try:
                await follow()
                await self._tell()
                if time.monotonic() - self._heard_at >= HEAR:
                    await self._hear()
                if self.problem:
                    log.warning("control is reached again")
                self._reached, self.problem = time.monotonic(), None
            except (FtassetsError, OSError) as error:
                if str(error) != self.problem:
                    log.error("this gateway serves from what it knew last: %s", error)
                self.problem = str(error)
            except Exception:  # production must outlive whatever this meets
                log.exception("following the other gateways")
                self.problem = "see the gateway's log"
            await asyncio.sleep(POLL)
        self._left.set()

    async def close(self) -> None:
        """Tell the others that this one is gone: they wait for it no more."""
        self._leaving = True
        with suppress(OSError):  # also where a beat that is under way takes too long
            await asyncio.wait_for(self._left.wait(), CONFIRM)
            await asyncio.to_thread(remove_beat, self._control, self.name)

    @property
    def others(self) -> list[Heard]:
        """All but this one, those that are silent included."""
        return [each for name, each in self._heard.items() if name != self.name]

    @property
    def live(self) -> int:
        """How many there are, this one included."""
        now = time.monotonic()
        return 1 + sum(each.live(now) for each in self.others)

    @property
    def age(self) -> float:
        """Seconds since control was reached last."""
        return time.monotonic() - self._reached

    def cut_off(self) -> str | None:
        """Why what is in force here may be out of date; None if it is not."""
        if self.age < SILENT:
            return None
        return f"control was reached {span(self.age)} ago ({self.problem or 'its server does not answer'}): changes of others are not known"

    def answers(self, digest: str) -> bool:
        """Whether a version answers another live replica."""
        now = time.monotonic()
        return any(each.live(now) and digest in each.beat.ready for each in self.others)

    def asked(self) -> set[str]:
        """Versions that another replica is about to give traffic: their servers must be up here, too."""
        now = time.monotonic()
        return {digest for each in self.others if each.live(now) for digest in each.beat.asks}

    def seen(self) -> list[dict[str, str | int | float | bool]]:
        """Every replica, this one first: its name, the newest change that it has in force, and for how long it has been silent."""
        now = time.monotonic()
        own: dict[str, str | int | float | bool] = {
            "name": self.name,
            "this": True,
            "live": True,
            "revision": self._revision(),
            "silent": 0.0,
        }
        others = sorted(self.others, key=lambda each: each.beat.name)
        return [own] + [
            {
                "name": each.beat.name,
                "this": False,
                "live": each.live(now),
                "revision": each.beat.revision,
                "silent": round(each.silent(now), 1),
            }
            for each in others
        ]

    def lacking(self, revision: int) -> list[str]:
        """Replicas that have not confirmed a change, with the reason."""
        return lacking(self.others, revision, time.monotonic())

    async def confirmed(self, revision: int) -> list[str]:
        """Wait until the live ones have a change, a second at most; those that have not confirmed it then."""
        until = time.monotonic() + CONFIRM
        while True:
            with suppress(OSError):
                await self._hear()
            if not pending(self.others, revision, time.monotonic()) or time.monotonic() >= until:
                return self.lacking(revision)
            await asyncio.sleep(_LOOK)

    @asynccontextmanager
    async def asking(self, digest: str) -> AsyncIterator[None]:
        """Have the others bring a version's server up, as long as the block lasts."""
        self._asks[digest] += 1
        try:
            yield
        finally:
            self._asks[digest] -= 1

    async def everywhere(self, digest: str, seconds: float) -> list[str]:
        """Wait until a version answers every live replica; those that it does not answer in time."""
        until = time.monotonic() + seconds
        while (missing := without_server(self.others, digest, time.monotonic())) and time.monotonic() < until:
            await asyncio.sleep(_LOOK)
        return missing

    def _beat(self, number: int) -> Beat:
        ready, asks = tuple(sorted(self._ready())), tuple(sorted(+self._asks))
        return Beat.model_validate(
            {**self._who, "number": number, "at": self._clock(), "revision": self._revision(), "ready": ready, "asks": asks}
        )

    async def _tell(self) -> None:
        """Say what is new, and at least each second that this one lives. Raises OSError, NameTaken."""
        now, before = time.monotonic(), self._told
        beat = self._beat(before.number + 1 if before else 1)
        if before and now - self._told_at < BEAT and (before.revision, before.ready, before.asks) == (beat.revision, beat.ready, beat.asks):
            return
        if not await asyncio.to_thread(write_beat, self._control, beat, first=before is None):
            raise NameTaken(f"another gateway is called {self.name}, too: set FTASSETS_REPLICA to a name of its own for each")
        self._told, self._told_at = beat, now

    async def _hear(self) -> None:
        beats = await asyncio.to_thread(read_beats, self._control)
        now = time.monotonic()
        self._heard, self._heard_at = hear(self._heard, beats, now, self._clock()), now
        for each in self.others:
            if each.silent(now) > FORGOTTEN:
                log.warning("%s has been silent for %s and is not named any more", each.beat.name, span(each.silent(now)))
                await asyncio.to_thread(remove_beat, self._control, each.beat.name)
