"""Which client asks: keys are checked before a body is read, and a client's requests and tokens of a minute are counted."""

import asyncio
import logging
from collections.abc import Callable
from math import ceil

from starlette.requests import Request

from ftassets.backends.control.base import Control, ControlUnreachable
from ftassets.backends.control.clients import read_clients
from ftassets.domain.clients import Allowance, ClientKey, ClientKeys
from ftassets.errors import StateDamaged
from ftassets.gateway.problems import Problem

log = logging.getLogger(__name__)
READ_EVERY = 1.0  # seconds: a key that was revoked is refused after it


class Clients:
    """The clients of this gateway. Without keys everybody may ask; keys that cannot be read refuse every request.

    While the database of the keys is away, those that were read last count.
    """

    def __init__(self, control: Control, clock: Callable[[], float], gateways: Callable[[], int] = lambda: 1) -> None:
        """`gateways`: how many share the limits of a client. Each gives out its part, so that they never give out more together."""
        self._gateways = gateways
        self._control = control
        self._clock = clock
        self._keys: ClientKeys | None = None
        self._requests: dict[str, Allowance] = {}
        self._tokens: dict[str, Allowance] = {}

    async def run(self) -> None:
        """Read the keys again and again."""
        while True:
            await self.read()
            await asyncio.sleep(READ_EVERY)

    async def read(self) -> None:
        """Take over the keys as they are stored now."""
        try:
            self._keys = await asyncio.to_thread(read_clients, self._control)
        except ControlUnreachable as error:
            if self._keys is None:
                log.error("no client is let in: %s", error)
        except (StateDamaged, OSError) as error:
            if self._keys is not None:
                log.error("no client is let in: %s", error)
            self._keys = None

    def admit(self, request: Request) -> ClientKey | None:
        """Who asks; None where everybody may. Raises Problem: 401 without a valid key, 429 for too many requests or tokens, 503."""
        if self._keys is None:
            raise Problem(503, "the keys of the clients cannot be read", "keys_unreadable", retry_after=5)
        if not self._keys.keys:
            return None
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        client = self._keys.of(key.strip(), now := self._clock()) if kind.lower() == "bearer" else None
        if client is None:
            said = "the API key is not known, or has ended" if key else "an API key is needed: Authorization: Bearer KEY"
            raise Problem(401, said, "invalid_api_key", headers={"www-authenticate": "Bearer"})
        asked, written = self._allowances(client, now)
        wait = max(each.wait(now) if each else 0.0 for each in (asked, written))
        if wait > 0:
            numbers = ((client.requests_a_minute, "requests"), (client.tokens_a_minute, "tokens"))
            limits = " and ".join(f"{number:g} {what}" for number, what in numbers if number)
            raise Problem(429, f"{client.name} may use {limits} a minute", "rate_limited", retry_after=ceil(wait))
        if asked:
            asked.take(1, now)
        return client

    def spent(self, client: ClientKey | None, tokens: int) -> None:
        """What an answer took, prompt and answer together."""
        if client and client.tokens_a_minute and tokens:
            now = self._clock()
            _, written = self._allowances(client, now)
            if written:
                written.take(tokens, now)

    def _allowances(self, client: ClientKey, now: float) -> tuple[Allowance | None, Allowance | None]:
        """What is left of the client's requests and tokens, whichever of its keys it uses."""
        found: list[Allowance | None] = []
        for kept, whole in ((self._requests, client.requests_a_minute), (self._tokens, client.tokens_a_minute)):
            if whole is None:
                found.append(None)
                continue
            a_minute = whole / self._gateways()
            if client.name not in kept or kept[client.name].a_minute != a_minute:
                kept[client.name] = Allowance.full(a_minute, now)
            found.append(kept[client.name])
        return found[0], found[1]


def client_of(request: Request) -> ClientKey | None:
    """Who was admitted with a request; None where everybody may ask."""
    client: ClientKey | None = request.state.client
    return client


def not_for_client(client: ClientKey, loop: str) -> Problem:
    """The error for a loop that a client may not ask, as for one that does not exist."""
    return Problem(404, f"there is no loop {loop!r} for {client.name}", "model_not_found")
