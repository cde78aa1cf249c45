"""`POST /v1/chat/completions`: choose a version, pass the answer through, and keep its last byte until the row is durable."""

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from ftassets.config.loop_files import UnknownLoop
from ftassets.domain.traffic.exchange import hashed_user, keyed_user, stored_request
from ftassets.gateway.call import Call
from ftassets.gateway.chat_fields import check_names
from ftassets.gateway.chat_request import ChatRequest, Received
from ftassets.gateway.client_watch import ClientGone, ClientWatch, GatewayStops
from ftassets.gateway.clients import Clients, client_of, not_for_client
from ftassets.gateway.engines import Engines
from ftassets.gateway.idempotency import LONGEST_KEY, Answers, Claim, Kept
from ftassets.gateway.json_log import log_request
from ftassets.gateway.patience import Patience
from ftassets.gateway.problems import CLIENT_GONE, Problem, parse, read_body
from ftassets.gateway.prometheus import Metrics
from ftassets.gateway.recorder import NotRecorded, Recorder
from ftassets.gateway.relay import Relay, engine_problem, read_whole, stopping
from ftassets.gateway.router import Router, Unavailable
from ftassets.gateway.shadow_copies import Copies
from ftassets.gateway.trace_context import trace_context

_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


class Chat:
    """The endpoint."""

    def __init__(
        self,
        router: Router,
        recorder: Recorder,
        metrics: Metrics,
        engines: Engines,
        copies: Copies,
        salt: str,
        clients: Clients,
    ) -> None:
        self._router = router
        self._recorder = recorder
        self._metrics = metrics
        self._engines = engines
        self._copies = copies
        self._salt = salt
        self._clients = clients
        self._watches: set[ClientWatch] = set()
        self._answers = Answers()

    async def complete(self, request: Request) -> Response | Relay:
        """Answer one request. Raises Problem."""
        at, began = time.time(), time.perf_counter()
        body = await read_body(request)
        ask, content = parse(body, ChatRequest)
        check_names(content)
        name = (ask.user or "").strip() or request.headers.get("x-user", "").strip()
        client = client_of(request)
        if client and not client.may_ask(ask.model):
            raise not_for_client(client, ask.model)
        asked = Received(ask, content, len(body), name, client, _own_id(request), at, began)
        if not (key := request.headers.get("idempotency-key")):
            return await self._answer(request, asked, None)
        if len(key) > LONGEST_KEY:
            raise Problem(400, f"the Idempotency-Key is longer than {LONGEST_KEY} characters", "invalid_request")
        try:
            async with ClientWatch(request.receive):
                found = await self._answers.ask((client.name if client else "", ask.model, name, key), body)
        except ClientGone as error:
            raise Problem(CLIENT_GONE, str(error), "client_gone") from error
        if isinstance(found, Kept):
            return Response(found.body, 200, {**found.headers, "idempotent-replayed": "true"})
        try:
            return await self._answer(request, asked, found)
        except BaseException:
            found.drop()
            raise

    def stop(self) -> int:
        """End all answers that are under way, as the gateway stops; their number."""
        cut = list(self._watches)
        for watch in cut:
            watch.stop()
        return len(cut)

    async def _answer(self, request: Request, asked: Received, claim: Claim | None) -> Response | Relay:
        """Raises Problem; an answer is kept by the claim."""
        ask, name = asked.ask, asked.name
        key = name or secrets.token_hex(16)
        try:
            route, unavailable = self._router.route(ask.model, key), None
        except UnknownLoop as error:
            raise Problem(404, str(error), "model_not_found") from error
        except Unavailable as error:
            if error.route is None:
                raise Problem(503, str(error), "no_production_version", retry_after=5) from error
            route = error.route
            unavailable = Problem(503, str(error), "version_unavailable", retry_after=2, detail=error.detail)
        user = keyed_user(hashed_user(name), self._salt)
        call = Call(
            f"chatcmpl-{secrets.token_hex(16)}",
            route.loop,
            route.version,
            route.weight,
            user,
            ask.prompt,
            _recorded(asked.content),
            asked.at,
            asked.began,
            asked.own_id,
            route.instead_of,
            asked.client,
            trace_context(request.headers),
            received=asked,
        )
        if unavailable:
            raise await self._failed(call, unavailable)
        self._router.fleet.enter(route.version)
        leave = True
        try:
            patience = Patience(self._router.loops[ask.model].serving, bool(ask.stream))
            body = await self._engines.body(call, asked, route)
            try:
                async with ClientWatch(request.receive, self._watches):  # the engine's work ends with its connection
                    reply = await patience.wait(self._engines.ask(call, route, body), answering=False)
                    answer = None if ask.stream else await read_whole(call, reply, patience)
            except ClientGone as error:
                raise await self._failed(call, Problem(CLIENT_GONE, str(error), "client_gone")) from error
            except GatewayStops as error:  # no fault of the version, and nobody got an answer
                await self._record(call, CLIENT_GONE, str(error))
                raise stopping() from error
            except TimeoutError as error:
                raise await self._failed(call, engine_problem(error)) from error
            except Problem as problem:
                raise await self._failed(call, problem) from problem
            if answer is None:
                leave = False  # the relay does, when the stream has ended
                usage = bool(ask.stream_options and ask.stream_options.include_usage)
                return Relay(
                    call, reply, patience, usage, claim, self._watches, self._record, lambda: self._router.fleet.leave(route.version)
                )
            await self._record(call, 200)
            whole, headers = to_json({**answer, "id": call.id, "model": call.loop}), {**call.headers, "content-type": "application/json"}
            if claim:
                claim.keep(whole, headers)
            return Response(whole, 200, headers)
        finally:
            if leave:
                self._router.fleet.leave(route.version)

    async def _failed(self, call: Call, problem: Problem) -> Problem:
        """The problem, once it is on record."""
        await self._record(call, problem.status, problem.logged)
        problem.headers |= call.headers
        return problem

    async def _record(self, call: Call, status: int, error: str | None = None) -> None:
        """Raises Problem 503: an answer that is not on record is not given."""
        exchange = call.finished(self._router.loops[call.loop].task.form, status, error)
        try:
            await self._recorder.record(exchange)
        except NotRecorded as error:
            self._metrics.unrecorded(exchange)
            raise Problem(503, str(error), "not_recorded", retry_after=5, headers={"x-request-id": exchange.id}) from error
        self._metrics.observe(exchange)
        log_request(exchange, call.trace.get("traceparent"))
        if call.reached and call.received:
            self._copies.offer(call.received, exchange)
        self._clients.spent(call.client, (call.tokens_in or 0) + (call.tokens_out or 0))


def _own_id(request: Request) -> str | None:
    """What the client calls its request, for its own logs and ours; anything but a name is ignored."""
    given = request.headers.get("x-client-request-id") or request.headers.get("x-request-id") or ""
    return given if _ID.fullmatch(given) else None


def _recorded(content: Mapping[str, Any]) -> str:
    """A request's messages as the traffic log has them, and its tools where it brings some."""
    return to_json(stored_request(content["messages"], content.get("tools"))).decode()
