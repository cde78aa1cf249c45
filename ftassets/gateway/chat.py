"""`POST /v1/chat/completions`: choose a version, pass the answer through, and keep its last byte until the row is durable."""

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import UnknownLoop
from ftassets.domain.chat import conversation, openai_messages
from ftassets.domain.clients import ClientKey
from ftassets.domain.traffic.exchange import hashed_user, keyed_user, stored_request
from ftassets.gateway.call import Call
from ftassets.gateway.chat_fields import check_names, treat
from ftassets.gateway.chat_request import ChatRequest
from ftassets.gateway.client_watch import ClientGone, ClientWatch, GatewayStops
from ftassets.gateway.clients import Clients, client_of, not_for_client
from ftassets.gateway.context import TOKEN_BYTES, Context
from ftassets.gateway.idempotency import LONGEST_KEY, Answers, Claim, Kept
from ftassets.gateway.model_hosts.base import MODEL_NAME
from ftassets.gateway.patience import Patience
from ftassets.gateway.problems import CLIENT_GONE, Problem, parse, read_body
from ftassets.gateway.prometheus import Metrics
from ftassets.gateway.recorder import NotRecorded, Recorder
from ftassets.gateway.relay import Relay, engine_problem, read_whole, stopping
from ftassets.gateway.router import Route, Router, Unavailable
from ftassets.wording import amount

_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
_WAIT = re.compile(r"[\w ,:-]{1,40}", re.ASCII)  # seconds, or a date
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5)  # the rest is the loop's


@dataclass(frozen=True)
class _Asked:
    """What a client asked, as validated and as it came, by whom, and when."""

    ask: ChatRequest
    content: dict[str, Any]
    size: int  # bytes of the body
    name: str
    client: ClientKey | None
    own_id: str | None
    at: float
    began: float


class Chat:
    """The endpoint."""

    def __init__(
        self,
        router: Router,
        recorder: Recorder,
        metrics: Metrics,
        session: aiohttp.ClientSession,
        context: Context,
        salt: str,
        clients: Clients,
    ) -> None:
        self._router = router
        self._recorder = recorder
        self._metrics = metrics
        self._session = session
        self._context = context
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
        asked = _Asked(ask, content, len(body), name, client, _own_id(request), at, began)
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

    async def _answer(self, request: Request, asked: _Asked, claim: Claim | None) -> Response | Relay:
        """Raises Problem; an answer is kept by the claim."""
        ask, name = asked.ask, asked.name
        key = name or uuid.uuid4().hex
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
            f"chatcmpl-{uuid.uuid4().hex}",
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
        )
        if unavailable:
            raise await self._failed(call, unavailable)
        self._router.fleet.enter(route.version)
        leave = True
        try:
            patience = Patience(self._router.loops[ask.model].serving, bool(ask.stream))
            body = await self._payload(call, asked, self._router.loops[ask.model], route)
            try:
                async with ClientWatch(request.receive, self._watches):  # the engine's work ends with its connection
                    reply = await patience.wait(self._ask(route, body), answering=False)
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

    async def _payload(self, call: Call, asked: _Asked, loop: LoopConfig, route: Route) -> bytes:
        """Request to the engine: the loop's system prompt and the version's settings where the request has none.

        An answer that would not fit into our engine is cut shorter; a prompt that does not fit raises Problem 400. An external
        endpoint reports this itself.
        """
        ask, content, external = asked.ask, asked.content, self._router.fleet.external(route.version)
        if not external and asked.size > self._context.most_bytes:  # before anything is done with its texts
            most = f"{amount(self._context.most_bytes, 'byte')}, {TOKEN_BYTES} for each token"
            raise Problem(400, f"the request has {amount(asked.size, 'byte')}, the model takes {most}", "context_length_exceeded")
        generation = self._router.generation(route.version)
        temperature = generation.get("temperature", loop.task.temperature)
        given = ask.model_dump(exclude={"messages"}, exclude_unset=True, exclude_none=True)
        treated = treat(given, "endpoint" if external else "transformers", temperature)
        call.ignored = treated.ignored
        body = treated.passed
        if not body.get("tools", True):  # some templates write an empty list of tools, and training has none
            del body["tools"]
        body["model"] = MODEL_NAME
        body["messages"] = content["messages"] if external else _as_read(content["messages"])
        if loop.task.system_prompt and ask.own_system_prompt is None:
            body["messages"] = [{"role": "system", "content": loop.task.system_prompt}, *body["messages"]]
        if not external:  # the tokenizer of somebody else's server is not known
            read = await self._context.escaped(route.version, body["messages"], body.get("tools"))
            body |= {"messages": read.messages, **({"tools": read.tools} if read.tools else {})}
        body.setdefault("temperature", temperature)
        usual = int(generation.get("max_tokens", loop.task.max_tokens))
        wanted = ask.longest or usual
        if external:
            body["max_tokens"] = wanted
        else:
            body["max_tokens"] = await self._context.room(route.version, to_json([body["messages"], body.get("tools", [])]), wanted)
        if body["max_tokens"] < 1:
            over = amount(1 - body["max_tokens"], "token")
            raise Problem(400, f"the conversation is at least {over} too long for the model", "context_length_exceeded")
        call.limited = body["max_tokens"] < usual
        if treated.steering:
            call.steered = ", ".join(treated.steering)
        elif loop.task.system_prompt and ask.own_system_prompt not in (None, loop.task.system_prompt):
            call.steered = "a system prompt of the client"
        if ask.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return to_json(body)

    async def _ask(self, route: Route, body: bytes) -> aiohttp.ClientResponse:
        """The engine's reply once its headers say 200; whoever gets it closes it. Raises Problem."""
        try:
            reply = await self._session.post(
                f"{route.url}/v1/chat/completions",
                data=body,
                headers={"content-type": "application/json"},
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except (TimeoutError, aiohttp.ClientError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                self._router.fleet.lost(route.version)
            raise engine_problem(error) from error
        if reply.status == 200:
            return reply
        async with reply:
            try:
                detail = (await reply.content.read(2000)).decode(errors="replace")[:500]
            except (TimeoutError, aiohttp.ClientError) as error:
                detail = repr(error)
        wait = reply.headers.get("retry-after", "")
        headers = {"retry-after": wait} if _WAIT.fullmatch(wait) else {}
        if 400 <= reply.status < 500:
            said = f"the model server does not take this request: {detail}"
            raise Problem(reply.status, said, "refused_by_engine", headers=headers)
        raise Problem(502, f"the model server answered {reply.status}", "engine_error", headers=headers, detail=detail)

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
        self._clients.spent(call.client, (call.tokens_in or 0) + (call.tokens_out or 0))


def _own_id(request: Request) -> str | None:
    """What the client calls its request, for its own logs and ours; anything but a name is ignored."""
    given = request.headers.get("x-client-request-id") or request.headers.get("x-request-id") or ""
    return given if _ID.fullmatch(given) else None


def _recorded(content: Mapping[str, Any]) -> str:
    """A request's messages as the traffic log has them, and its tools where it brings some."""
    return to_json(stored_request(content["messages"], content.get("tools"))).decode()


def _as_read(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages in the form that training and evaluation give to the chat template."""
    try:
        return openai_messages(conversation(messages, as_read=True), text_arguments=True)
    except ValueError:  # the model server says what it does not take
        return messages
