"""`POST /v1/chat/completions`: choose a version, pass the answer through, and keep its last byte until the row is durable."""

import logging
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ftassets.backends.traffic_log.base import Exchange
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import UnknownLoop
from ftassets.domain.chat import conversation, openai_messages
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.traffic.exchange import hashed_user, keyed_user, stored_request
from ftassets.gateway.client_watch import ClientGone, ClientWatch
from ftassets.gateway.context import Context
from ftassets.gateway.idempotency import LONGEST_KEY, Answers, Claim, Kept
from ftassets.gateway.model_hosts.base import MODEL_NAME
from ftassets.gateway.problems import CLIENT_GONE, Problem, parse, read
from ftassets.gateway.prometheus import Metrics
from ftassets.gateway.recorder import NotRecorded, Recorder
from ftassets.gateway.router import Route, Router, Unavailable
from ftassets.gateway.sse import Events, event
from ftassets.wording import amount

log = logging.getLogger(__name__)

_FORWARDED = {"temperature", "top_p", "frequency_penalty", "seed", "stop", "tools", "stream"}
_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
_INT32 = 2**31 - 1
TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=5)


class TextPart(BaseModel):
    """A piece of a message; the models we serve read text."""

    type: Literal["text"] = Field(description="Always text.")
    text: str = Field(description="The text.")


class Message(BaseModel):
    """One message; what else it holds is the engine's business."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(description="Who speaks.")
    content: str | list[TextPart] | None = Field(None, description="Text, or a list of text parts.")

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """What a stream says besides the answer; other fields have no effect."""

    include_usage: bool | None = Field(None, description="Whether the last chunk has the token counts.")


Stop = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class ChatRequest(BaseModel):
    """The fields that count. Others of the OpenAI API are accepted and have no effect, as `transformers serve` has it."""

    model: str = Field(max_length=100, description="Name of the loop.")
    messages: list[Message] = Field(min_length=1, description="The conversation. One message of role user must have text.")
    stream: bool | None = Field(False, description="Whether the answer comes as server-sent events.")
    stream_options: StreamOptions | None = Field(None, description="What a stream says besides the answer.")
    user: str | None = Field(None, max_length=500, description="Who asks: the same user stays on the same version. Stored as a hash only.")
    temperature: float | None = Field(None, ge=0, le=2, description="Default: the version's own.")
    max_tokens: int | None = Field(
        None, ge=1, le=_INT32, description="Longest answer in tokens. Default: the version's own. Cut to the model's limit."
    )
    max_completion_tokens: int | None = Field(None, ge=1, le=_INT32, description="The same; counts before max_tokens.")
    top_p: float | None = Field(None, gt=0, le=1, description="Passed to the model server.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2, description="Passed to the model server.")
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1, description="Passed to the model server.")
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = Field(None, description="Passed to the model server.")
    tools: list[dict[str, Any]] | None = Field(None, description="Passed to the model server.")
    n: Literal[1] | None = Field(None, description="One answer only.")

    @model_validator(mode="after")
    def _has_prompt(self) -> "ChatRequest":
        if not self.prompt.strip():
            raise ValueError("no message of role user has text")
        return self

    @property
    def longest(self) -> int | None:
        """Longest answer that the client wants, in tokens."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def own_system_prompt(self) -> str | None:
        """The client's instruction instead of the loop's: the first message of the role system or developer."""
        return next((message.text for message in self.messages if message.role in ("system", "developer")), None)

    @property
    def prompt(self) -> str:
        """Text of the last user message."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")


@dataclass(frozen=True)
class _Asked:
    """What a client asked, as validated and as it came, by whom, and when."""

    ask: ChatRequest
    content: dict[str, Any]
    name: str
    own_id: str | None
    at: float
    began: float


@dataclass
class Call:
    """One request on its way, and what is known of its answer so far."""

    id: str
    loop: str
    version: str
    weight: float
    user: str
    prompt: str
    messages: str
    at: float
    began: float
    own_id: str | None = None  # the client's name of its request
    instead_of: str | None = None  # the candidate that production answers for
    answer: str = ""
    first_token_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cut: bool = False  # at the token limit
    limited: bool = False  # to fewer tokens than the version's own limit, by what the client asked
    steered: str | None = None  # what of the client's own may give the answer another form than the task's

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1000

    @property
    def headers(self) -> dict[str, str]:
        own = {"x-client-request-id": self.own_id} if self.own_id else {}
        fallback = {"x-ftassets-fallback-for": self.instead_of} if self.instead_of else {}
        return {"x-ftassets-version": self.version, "x-request-id": self.id, **own, **fallback}

    def count(self, usage: Mapping[str, Any] | None) -> None:
        """Take over the engine's token counts."""
        if usage:
            self.tokens_in, self.tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")

    def finished(self, form: AnswerForm, status: int, error: str | None = None) -> Exchange:
        exchange = Exchange(
            id=self.id,
            loop=self.loop,
            version=self.version,
            user=self.user,
            prompt=self.prompt,
            messages=self.messages,
            answer=self.answer,
            status=status,
            at=self.at,
            latency_ms=self.elapsed_ms,
            first_token_ms=self.first_token_ms,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            weight=self.weight,
            error=error,
        )
        return exchange.judged(form, self.cut, "max_tokens or a long conversation" if self.cut and self.limited else self.steered)


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
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> None:
        self._router = router
        self._recorder = recorder
        self._metrics = metrics
        self._session = session
        self._context = context
        self._salt = salt
        self._timeout = timeout
        self._answers = Answers()

    async def complete(self, request: Request) -> "Response | _Relay":
        """Answer one request. Raises Problem."""
        at, began = time.time(), time.perf_counter()
        body = await read(request)
        ask, content = parse(body, ChatRequest)
        name = (ask.user or "").strip() or request.headers.get("x-user", "").strip()
        asked = _Asked(ask, content, name, _own_id(request), at, began)
        if not (key := request.headers.get("idempotency-key")):
            return await self._answer(request, asked, None)
        if len(key) > LONGEST_KEY:
            raise Problem(400, f"the Idempotency-Key is longer than {LONGEST_KEY} characters", "invalid_request")
        try:
            async with ClientWatch(request.receive):
                found = await self._answers.ask((ask.model, name, key), body)
        except ClientGone as error:
            raise Problem(CLIENT_GONE, str(error), "client_gone") from error
        if isinstance(found, Kept):
            return Response(found.body, 200, {**found.headers, "idempotent-replayed": "true"})
        try:
            return await self._answer(request, asked, found)
        except BaseException:
            found.drop()
            raise

    async def _answer(self, request: Request, asked: _Asked, claim: Claim | None) -> "Response | _Relay":
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
            route, unavailable = error.route, str(error)
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
        )
        if unavailable:
            raise await self._failed(call, Problem(503, unavailable, "version_unavailable", retry_after=2))
        self._router.fleet.enter(route.version)
        leave = True
        try:
            body = await self._payload(call, ask, asked.content, self._router.loops[ask.model], route)
            try:
                async with ClientWatch(request.receive):  # the engine's work ends with its connection
                    reply = await self._ask(route, body)
                    answer = None if ask.stream else await _read(call, reply)
            except ClientGone as error:
                raise await self._failed(call, Problem(CLIENT_GONE, str(error), "client_gone")) from error
            except Problem as problem:
                raise await self._failed(call, problem) from problem
            if answer is None:
                leave = False  # the relay does, when the stream has ended
                return _Relay(self, call, reply, bool(ask.stream_options and ask.stream_options.include_usage), claim)
            await self.record(call, 200)
            whole, headers = to_json({**answer, "id": call.id, "model": call.loop}), {**call.headers, "content-type": "application/json"}
            if claim:
                claim.keep(whole, headers)
            return Response(whole, 200, headers)
        finally:
            if leave:
                self._router.fleet.leave(route.version)

    async def _payload(self, call: Call, ask: ChatRequest, content: dict, loop: LoopConfig, route: Route) -> bytes:
        """Request to the engine: the loop's system prompt and the version's settings where the request has none.

        An answer that would not fit into our engine is cut shorter; a prompt that does not fit raises Problem 400. An external
        endpoint reports this itself.
        """
        # as validated: "false" is no stream
        body: dict[str, Any] = ask.model_dump(include=_FORWARDED, exclude_unset=True, exclude_none=True)
        if not body.get("tools", True):  # some templates write an empty list of tools, and training has none
            del body["tools"]
        body["model"] = MODEL_NAME
        external = self._router.fleet.external(route.version)
        body["messages"] = content["messages"] if external else _as_read(content["messages"])
        if loop.task.system_prompt and ask.own_system_prompt is None:
            body["messages"] = [{"role": "system", "content": loop.task.system_prompt}, *body["messages"]]
        if not external:  # the tokenizer of somebody else's server is not known
            asked = await self._context.escaped(route.version, body["messages"], body.get("tools"))
            body |= {"messages": asked.messages, **({"tools": asked.tools} if asked.tools else {})}
            if (ask.frequency_penalty or 0) <= -1:  # our engine takes the penalty plus one as a factor, and fails from zero downwards
                raise Problem(422, "frequency_penalty: the model server of this loop takes numbers above -1 only", "invalid_request")
        generation = self._router.generation(route.version)
        if ask.temperature is None:
            body["temperature"] = generation.get("temperature", loop.task.temperature)
        usual = int(generation.get("max_tokens", loop.task.max_tokens))
        wanted = ask.longest or usual
        if external:
            body["max_tokens"] = wanted
        else:
            body["max_tokens"] = await self._context.room(route.version, to_json([body["messages"], body.get("tools", [])]), wanted)
        if body["max_tokens"] < 1:
            over = amount(1 - body["max_tokens"], "token")
            raise Problem(400, f"the conversation is {over} too long for the model", "context_length_exceeded")
        call.limited = body["max_tokens"] < usual
        if ask.stop:
            call.steered = "stop"
        elif loop.task.system_prompt and ask.own_system_prompt not in (None, loop.task.system_prompt):
            call.steered = "a system prompt of the client"
        if ask.stream:
            body["stream_options"] = {"include_usage": True}
        return to_json(body)

    async def _ask(self, route: Route, body: bytes) -> aiohttp.ClientResponse:
        """The engine's reply once its headers say 200; whoever gets it closes it. Raises Problem."""
        try:
            reply = await self._session.post(
                f"{route.url}/v1/chat/completions", data=body, headers={"content-type": "application/json"}, timeout=self._timeout
            )
        except (TimeoutError, aiohttp.ClientError) as error:
            raise _engine_problem(error) from error
        if reply.status == 200:
            return reply
        async with reply:
            try:
                detail = (await reply.text(errors="replace"))[:500]
            except (TimeoutError, aiohttp.ClientError) as error:
                detail = repr(error)
        if 400 <= reply.status < 500:
            raise Problem(reply.status, f"the model server does not take this request: {detail}", "refused_by_engine")
        raise Problem(502, f"the model server answered {reply.status}: {detail}", "engine_error")

    async def _failed(self, call: Call, problem: Problem) -> Problem:
        """The problem, once it is on record."""
        await self.record(call, problem.status, str(problem))
        problem.headers |= call.headers
        return problem

    async def record(self, call: Call, status: int, error: str | None = None) -> None:
        """Raises Problem 503: an answer that is not on record is not given."""
        exchange = call.finished(self._router.loops[call.loop].task.form, status, error)
        try:
            await self._recorder.record(exchange)
        except NotRecorded as error:
            self._metrics.unrecorded(exchange)
            raise Problem(503, str(error), "not_recorded", retry_after=5, headers={"x-request-id": exchange.id}) from error
        self._metrics.observe(exchange)

    def leave(self, version: str) -> None:
        """A stream of this version has ended."""
        self._router.fleet.leave(version)


class _Relay:
    """A streamed answer: chunks as they come, `[DONE]` when the row is durable."""

    def __init__(self, chat: Chat, call: Call, reply: aiohttp.ClientResponse, wants_usage: bool, claim: Claim | None) -> None:
        self._chat = chat
        self._call = call
        self._reply = reply
        self._wants_usage = wants_usage
        self._claim = claim
        self._sent: list[bytes] = []  # for the claim
        self._headers = {**call.headers, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._call
        try:
            async with ClientWatch(receive):
                problem = await self._pump(send)
            await self._end(send, problem)
        except ClientGone as error:
            await self._chat.record(call, CLIENT_GONE, str(error))
        finally:
            if self._claim:
                self._claim.drop()
            self._reply.close()
            self._chat.leave(call.version)

    async def _end(self, send: Send, problem: Problem | None) -> None:
        try:
            call = self._call
            await self._chat.record(call, *((200,) if problem is None else (problem.status, str(problem))))
        except Problem as error:
            problem = error
        last = event(b"[DONE]") if problem is None else event(to_json(problem.body()))
        if self._claim and problem is None:
            self._claim.keep(b"".join([*self._sent, last]), self._headers)
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _pump(self, send: Send) -> Problem | None:
        """Pass the engine's events on; what went wrong on its side, if anything."""
        raw = [(name.encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        events = Events()
        finished = False
        try:
            async for chunk in self._reply.content.iter_any():
                for data in events.feed(chunk):
                    if data == b"[DONE]":  # ours comes when the row is durable
                        continue
                    part = from_json(data)
                    if "error" in part:
                        return Problem(502, f"the model server broke off: {part['error']}", "engine_error")
                    finished |= any(choice.get("finish_reason") for choice in part["choices"])
                    self._take(part)
                    if part["choices"] or self._wants_usage:
                        sent = event(to_json(part))
                        if self._claim:
                            self._sent.append(sent)
                        await send({"type": "http.response.body", "body": sent, "more_body": True})
        except (TimeoutError, aiohttp.ClientError) as error:
            return _engine_problem(error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Problem(502, f"the model server sent something that is not a chunk ({error!r})", "engine_error")
        return None if finished else Problem(502, "the model server ended its answer in the middle", "engine_error")

    def _take(self, part: dict) -> None:
        """Note what a chunk says and put our names on it."""
        call = self._call
        call.count(part.get("usage"))
        part |= {"id": call.id, "model": call.loop}
        for choice in part["choices"]:
            call.cut |= choice.get("finish_reason") == "length"
            delta = choice.get("delta") or {}
            text = delta.get("content") or "".join((t.get("function") or {}).get("arguments") or "" for t in delta.get("tool_calls") or ())
            if text and call.first_token_ms is None:
                call.first_token_ms = call.elapsed_ms
            call.answer += text


async def _read(call: Call, reply: aiohttp.ClientResponse) -> dict[str, Any]:
    """The engine's whole answer, of which the call takes note. Raises Problem."""
    try:
        async with reply:
            answer: dict[str, Any] = from_json(await reply.read())
        message = answer["choices"][0]["message"]
        call.cut = answer["choices"][0].get("finish_reason") == "length"
        call.answer = message.get("content") or (to_json(message["tool_calls"]).decode() if message.get("tool_calls") else "")
        call.count(answer.get("usage"))
    except (TimeoutError, aiohttp.ClientError) as error:
        raise _engine_problem(error) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Problem(502, f"the model server's answer is not a completion ({error!r})", "engine_error") from error
    return answer


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


def _engine_problem(error: Exception) -> Problem:
    if isinstance(error, TimeoutError):
        return Problem(504, "the model server took too long", "engine_timeout")
    return Problem(502, f"the model server cannot be reached or broke off ({type(error).__name__}: {error})", "engine_unreachable")
