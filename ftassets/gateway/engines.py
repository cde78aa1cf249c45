"""What a version's model server is asked, and its reply."""

import re
from typing import Any

import aiohttp
from pydantic_core import to_json

from ftassets.domain.chat import conversation, openai_messages
from ftassets.gateway.call import Call
from ftassets.gateway.chat_fields import Engine, treat
from ftassets.gateway.chat_request import Received
from ftassets.gateway.context import TOKEN_BYTES, Context
from ftassets.gateway.model_hosts.base import MODEL_NAME
from ftassets.gateway.problems import Problem
from ftassets.gateway.relay import engine_problem
from ftassets.gateway.router import Route, Router
from ftassets.wording import amount

_WAIT = re.compile(r"[\w ,:-]{1,40}", re.ASCII)  # seconds, or a date
_PLAIN_ROLES = frozenset({"system", "user", "assistant"})
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5)  # the rest is the loop's


class Engines:
    """The model servers of all versions, as requests meet them."""

    def __init__(self, router: Router, session: aiohttp.ClientSession, context: Context, limit: int) -> None:
        """`limit` is the number of tokens, prompt and answer, that one request may have in `transformers serve`."""
        self._router = router
        self._session = session
        self._context = context
        self._limit = limit

    async def body(self, call: Call, asked: Received, route: Route) -> bytes:
        """Request to the engine: the loop's system prompt and the version's settings where the request has none.

        An answer that would not fit into our engine is cut shorter; a prompt that does not fit raises Problem 400. The server at a
        URL that others run reports this itself.
        """
        loop = self._router.loops[route.loop]
        ask, content, external = asked.ask, asked.content, self._router.fleet.external(route.version)
        limit = self._limit_of(route.version)
        if limit and asked.size > limit * TOKEN_BYTES:  # before anything is done with its texts
            most = f"{amount(limit * TOKEN_BYTES, 'byte')}, {TOKEN_BYTES} for each token"
            raise Problem(400, f"the request has {amount(asked.size, 'byte')}, the model takes {most}", "context_length_exceeded")
        generation = self._router.generation(route.version)
        temperature = generation.get("temperature", loop.task.temperature)
        given = ask.model_dump(exclude={"messages"}, exclude_unset=True, exclude_none=True)
        treated = treat(given, self._kind(route.version), temperature)
        call.ignored = treated.ignored
        body = treated.passed
        if not body.get("tools", True):  # some templates write an empty list of tools, and training has none
            del body["tools"]
        body["model"] = MODEL_NAME
        body["messages"] = content["messages"] if external else as_read(content["messages"])
        if loop.task.system_prompt and ask.own_system_prompt is None:
            body["messages"] = [{"role": "system", "content": loop.task.system_prompt}, *body["messages"]]
        if not external:  # the tokenizer of somebody else's server is not known
            read = await self._context.escaped(route.version, body["messages"], body.get("tools"))
            body |= {"messages": read.messages, **({"tools": read.tools} if read.tools else {})}
        body.setdefault("temperature", temperature)
        if not external and self._router.serving(route.version).engine == "vllm":
            body = {**self._router.sampling(route.version), **body}
        usual = int(generation.get("max_tokens", loop.task.max_tokens))
        wanted = ask.longest or usual
        if limit is None:
            body["max_tokens"] = wanted
        else:
            read_by_it = to_json([body["messages"], body.get("tools", [])])
            body["max_tokens"] = await self._context.room(route.version, read_by_it, wanted, limit)
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

    def _kind(self, version: str) -> Engine:
        ours = not self._router.fleet.external(version) and self._router.serving(version).engine == "transformers"
        return "transformers" if ours else "endpoint"

    def _limit_of(self, version: str) -> int | None:
        """Tokens that one request of the version may have; None of a server that others run."""
        serving = self._router.serving(version)
        if self._router.fleet.external(version) or serving.engine == "url":
            return None
        return serving.vllm.max_model_len if serving.engine == "vllm" else self._limit

    async def ask(self, call: Call, route: Route, body: bytes) -> aiohttp.ClientResponse:
        """The engine's reply once its headers say 200; whoever gets it closes it. Raises Problem."""
        call.reached = True
        try:
            reply = await self._session.post(
                f"{route.url}/v1/chat/completions",
                data=body,
                headers={"content-type": "application/json", **call.trace},
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except (TimeoutError, aiohttp.ClientError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                self._router.fleet.lost(route.version)
                call.reached = False
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


def as_read(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages in the form that training and evaluation give to the chat template."""
    if all(map(_is_plain, messages)):
        return messages
    try:
        return openai_messages(conversation(messages, as_read=True), text_arguments=True)
    except ValueError:  # the model server says what it does not take
        return messages


def _is_plain(message: dict[str, Any]) -> bool:
    """Whether a message is in that form already, as most are: the text of one of three roles, and nothing else."""
    return len(message) == 2 and message["role"] in _PLAIN_ROLES and isinstance(message.get("content"), str)
