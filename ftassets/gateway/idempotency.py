"""A request that a client sends again with the same `Idempotency-Key` gets the same answer: the model answers once, the log has one row."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ftassets.gateway.problems import Problem

KEPT_SECONDS = 600.0
KEPT_BYTES = 64_000_000
LONGEST_KEY = 255
_OVERHEAD = 1000  # bytes of an answer besides its body, about


@dataclass(frozen=True)
class Kept:
    """An answer that was given in full."""

    body: bytes
    headers: Mapping[str, str]


@dataclass
class Claim:
    """Whoever has it answers for its key, and ends with `keep` or `drop`; a second end does nothing."""

    _end: Callable[["Claim", Kept | None], None]
    request: bytes  # digest of the request's body
    until: float = 0.0  # how long what was kept is known
    kept: Kept | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def keep(self, body: bytes, headers: Mapping[str, str]) -> None:
        """The answer, for whoever asks again."""
        self._end(self, Kept(body, headers))

    def drop(self) -> None:
        """There is no answer: whoever asks again is a request of its own."""
        self._end(self, None)


class Answers:
    """Answers of the last ten minutes by key, in memory: after a restart a repeated request is answered anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, seconds: float = KEPT_SECONDS, most: int = KEPT_BYTES) -> None:
        """`most`: bytes of all kept answers together; the oldest go first."""
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._bytes = 0
        self._claims: OrderedDict[tuple[str, ...], Claim] = OrderedDict()

    async def ask(self, key: tuple[str, ...], body: bytes) -> Claim | Kept:
        """What was answered to this key, once it is; or the claim to answer. Raises Problem 422: another request had the key."""
        request = hashlib.sha256(body).digest()
        while True:
            self._forget()
            claim = self._claims.get(key)
            if claim is None:
                made = Claim(lambda ended, kept: self._end(key, ended, kept), request)
                self._claims[key] = made
                return made
            if claim.request != request:
                raise Problem(422, "this Idempotency-Key was used for another request: take a new one for each", "idempotency_key_reused")
            if claim.kept is not None:
                return claim.kept
            await claim.ended.wait()

    def _end(self, key: tuple[str, ...], claim: Claim, kept: Kept | None) -> None:
        if claim.ended.is_set():
            return
        claim.ended.set()
        self._claims.pop(key, None)
        if kept is not None:
            claim.kept, claim.until = kept, self._clock() + self._seconds
            self._claims[key] = claim
            self._bytes += len(kept.body) + _OVERHEAD
            self._forget()

    def _forget(self) -> None:
        """Answers in the order in which they were kept; claims that are not ended yet stay."""
        while oldest := next(((key, claim.until, claim.kept) for key, claim in self._claims.items() if claim.kept), None):
            key, until, kept = oldest
            if self._bytes <= self._most and until > self._clock():
                return
            del self._claims[key]
            self._bytes -= len(kept.body) + _OVERHEAD
