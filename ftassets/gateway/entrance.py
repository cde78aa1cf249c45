"""What every request of the public listener passes before its route: not too many at once, from a place that may ask."""

import os
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ftassets.gateway.problems import Problem
from ftassets.wording import amount

REQUESTS = 500  # at once; health is answered besides
ALWAYS = frozenset({"/health", "/livez", "/readyz", "/metrics"})


def hosts_from_env() -> frozenset[str]:
    """The names of FTASSETS_HOSTS."""
    return frozenset(filter(None, (name.strip().lower() for name in os.environ.get("FTASSETS_HOSTS", "").split(","))))


class Entrance:
    """Asks `app` for what is let through; refuses with 429, 421 or 403."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, most: int = REQUESTS) -> None:
        """`hosts`: names under which the gateway may be asked besides addresses and localhost; None if any may be used."""
        self._app = app
        self._hosts = hosts
        self._most = most
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if problem := self._problem(scope):
            return await problem.response()(scope, receive, send)
        if scope["path"] in ALWAYS:
            return await self._app(scope, receive, send)
        self._now += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._now -= 1

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and not _is_own(host, self._hosts):
            # a name that somebody else's page has made to mean this machine
            return Problem(421, f"the gateway is not asked as {host[:100]!r}: use its address, or name it in FTASSETS_HOSTS", "wrong_host")
        if "origin" in headers:
            return Problem(403, "web pages may not ask the gateway: have the page's own server ask it", "origin_refused")
        if self._now >= self._most and scope["path"] not in ALWAYS:
            busy = amount(self._most, "request is", "requests are")
            return Problem(429, f"{busy} being answered: try again", "too_many_requests", retry_after=1)
        return None


@lru_cache(maxsize=256)
def _is_own(host: str, hosts: frozenset[str]) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if not name or name == "localhost" or name in hosts:  # HTTP/1.0 names no host
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
