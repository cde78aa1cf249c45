"""A model of a shared or foreign server as if it had one of its own: a loopback address that passes requests on, with its name and key."""

import logging
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import aiohttp
from aiohttp import web
from pydantic_core import from_json, to_json

from ftassets.backends.model_client.external import ENDPOINT_HEADER, key_of
from ftassets.domain.release.version import ExternalModel
from ftassets.gateway.model_hosts.base import HostError

log = logging.getLogger(__name__)

PROBE_EVERY = 10.0  # seconds between looks at an endpoint that answers
FAILED_PROBES = 3  # in a row, a second apart, before it counts as gone
MAX_BODY = 4_000_000  # bytes: more than a client may send the gateway
_OURS = {401, 402, 403, 404}  # what key, model name or account are at fault for is no mistake of the client
TRACE = ("traceparent", "tracestate")  # as the gateway has checked them
_CONNECT = aiohttp.ClientTimeout(total=None, sock_connect=5)  # whoever asks decides how long an answer may take
_PROBE = aiohttp.ClientTimeout(total=5)


class Relay:
    """One endpoint. Everybody who can ask a model server here can ask it: the address is on loopback."""

    def __init__(
        self,
        model: ExternalModel,
        session: aiohttp.ClientSession,
        listed: bool = False,
        defaults: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """`listed`: the endpoint answers only while it lists the model. `defaults`: fields of requests without them. Raises KeyMissing."""
        self.model = model
        self._listed = listed
        self._defaults = defaults
        self._session = session
        self._key = key_of(model)
        self._probed = 0.0
        self._failed = 0
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def open(self) -> None:
        """Listen, once the endpoint answers. Raises HostError."""
        if why := await self._probe():
            raise HostError(why)
        self._probed = time.monotonic()
        app = web.Application(client_max_size=MAX_BODY)
        app.add_routes([web.get("/health", self._health), web.post("/v1/chat/completions", self._chat)])
        # cancelled with its client, a handler lets go of the endpoint too
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        if self._failed or time.monotonic() - self._probed > PROBE_EVERY:
            why = await self._probe()
            self._probed = time.monotonic()
            self._failed = self._failed + 1 if why else 0
            if why:
                log.warning("%s", why)
        return web.json_response({"failed_probes": self._failed}, status=200 if self._failed < FAILED_PROBES else 503)

    async def _probe(self) -> str | None:
        """Why the endpoint does not answer. Any answer but a server's error counts, unless the model must be listed."""
        if self._listed:
            return f"the endpoint at {self.model.url} does not list the model: {why}" if (why := await self.unlisted()) else None
        try:
            async with self._models() as reply:
                return f"the endpoint at {self.model.url} answered with {reply.status}" if reply.status >= 500 else None
        except (TimeoutError, aiohttp.ClientError) as error:
            return f"the endpoint at {self.model.url} does not answer ({error or type(error).__name__})"

    async def unlisted(self) -> str | None:
        """Why the model is not known to be among those that the endpoint lists; None when it is."""
        try:
            async with self._models() as reply:
                if reply.status != 200:
                    return f"it answered with {reply.status}"
                names = [str(each["id"]) for each in from_json(await reply.read())["data"]]
        except (TimeoutError, aiohttp.ClientError) as error:
            return f"it does not answer ({error or type(error).__name__})"
        except (ValueError, LookupError, TypeError) as error:
            return f"its list cannot be read ({type(error).__name__})"
        return None if self.model.model in names else f"there is {', '.join(name[:12] for name in names) or 'none'}"

    def _models(self) -> Any:
        return self._session.get(f"{self.model.url}/models", headers=self.headers, timeout=_PROBE, allow_redirects=False)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":  # what a web page can send to loopback unasked is not
            return self._refused(415, "the body must be application/json")
        asked = from_json(await request.read())
        asked.pop("generation_config", None)  # only `transformers serve` takes it
        body = to_json({**self._defaults, **asked, "model": self.model.model})
        trace = {name: request.headers[name] for name in TRACE if name in request.headers}
        headers = {**self.headers, **trace, "content-type": "application/json"}
        url = f"{self.model.url}/chat/completions"
        try:
            # a redirect would take the key to another place
            reply = await self._session.post(url, data=body, headers=headers, timeout=_CONNECT, allow_redirects=False)
        except (TimeoutError, aiohttp.ClientError) as error:
            return self._refused(502, f"the endpoint at {self.model.url} does not answer ({error or type(error).__name__})")
        async with reply:
            if reply.status != 200:
                said = (await reply.content.read(500)).decode(errors="replace")
                status = 502 if reply.status in _OURS or not 400 <= reply.status < 500 else reply.status
                return self._refused(status, f"the endpoint at {self.model.url} answered {reply.status}: {said}", reply.headers)
            kind = reply.headers.get("content-type", "application/json")
            passed = web.StreamResponse(headers={"content-type": kind, ENDPOINT_HEADER: self.model.url})
            await passed.prepare(request)
            async for chunk in reply.content.iter_any():
                await passed.write(chunk)
            await passed.write_eof()
            return passed

    @property
    def headers(self) -> dict[str, str]:
        """What the endpoint wants with each request."""
        return {"authorization": f"Bearer {self._key}"} if self._key else {}

    def _refused(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
        clean = why.replace(self._key, "***") if self._key else why
        wait = (headers or {}).get("retry-after")
        return web.json_response({"detail": clean}, status=status, headers={"retry-after": wait} if wait else None)
