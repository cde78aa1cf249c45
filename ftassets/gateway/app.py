"""The public side of the gateway."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ftassets.backends.traffic_log.base import Feedback, UnknownAnswer
from ftassets.config.loop_files import UnknownLoop
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.traffic.feedback import tags_text
from ftassets.errors import StateDamaged
from ftassets.gateway.chat import Chat
from ftassets.gateway.clients import Clients, client_of, not_for_client
from ftassets.gateway.feedback import FeedbackRequest
from ftassets.gateway.openapi import show_public
from ftassets.gateway.otlp_feedback import LogsRequest, store
from ftassets.gateway.problems import Problem, on_error, on_problem, parse, read_body
from ftassets.gateway.prometheus import Metrics, Replica
from ftassets.gateway.recorder import NotRecorded, Recorder
from ftassets.gateway.relay import Relay
from ftassets.gateway.router import Router

# what else clients of OpenAI ask for. A bare prompt would be read without the chat template, the system prompt and the breaking of control
# tokens, which is not the model that passed the gates
ELSEWHERE = {
    "/v1/completions": "the model was trained and evaluated on chats. Send the prompt as a message of role user to /v1/chat/completions",
    "/v1/responses": "send the input as messages to /v1/chat/completions",
    "/v1/embeddings": "this gateway serves chat models only",
}
Endpoint = Callable[[Request], Awaitable[Response | Relay]]


def public_app(router: Router, recorder: Recorder, metrics: Metrics, chat: Chat, clients: Clients, clock) -> Starlette:
    """Routes for clients: the OpenAI API as far as a chat needs it, feedback, health and metrics."""

    peers = router.peers

    async def feedback(request: Request) -> Response:
        said, _ = parse(await read_body(request), FeedbackRequest)
        try:
            await recorder.record(Feedback(said.id, clock(), said.rating, said.correction, said.comment, tags_text(said.tags)))
        except UnknownAnswer as error:
            raise Problem(404, str(error), "unknown_answer") from error
        except NotRecorded as error:
            raise Problem(503, str(error), "not_recorded", retry_after=5) from error
        return JSONResponse({"id": said.id, "stored": True})

    async def logs(request: Request) -> Response:
        sent, _ = parse(await read_body(request), LogsRequest)
        try:
            stored = await store(sent, recorder.record, clock())
        except NotRecorded as error:
            raise Problem(503, str(error), "not_recorded", retry_after=5) from error
        return JSONResponse(stored.model_dump(exclude_none=True))

    async def models(request: Request) -> Response:
        client = client_of(request)
        may = [(loop, state) for loop, state in router.states().items() if client is None or client.may_ask(loop)]
        return JSONResponse({"object": "list", "data": [_model(loop, state) for loop, state in may]})

    async def model(request: Request) -> Response:
        loop, client = request.path_params["model"], client_of(request)
        if client and not client.may_ask(loop):
            raise not_for_client(client, loop)
        try:
            return JSONResponse(_model(loop, router.state(loop)))
        except UnknownLoop as error:
            raise Problem(404, str(error), "model_not_found") from error
        except StateDamaged as error:
            raise Problem(503, f"the state of loop {loop} cannot be read", "no_production_version", retry_after=5) from error

    def for_clients(endpoint: Endpoint) -> Endpoint:
        async def admitted(request: Request) -> Response | Relay:
            request.state.client = clients.admit(request)
            return await endpoint(request)

        return admitted

    async def healthy(request: Request) -> Response:
        asked = request.query_params.get("loop")
        if asked is not None and asked not in router.loops:
            raise Problem(404, f"there is no loop {asked!r}", "unknown_loop")
        report = await health(router, recorder, asked)
        return JSONResponse(report, 200 if report["traffic_log"]["ready"] and all(report["loops"].values()) else 503)

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        report = await health(router, recorder)
        loops = report["loops"].values()
        can = report["traffic_log"]["ready"] and (any(loops) or not loops)
        # without control production is answered all the same: a balancer that took every gateway out would make it worse
        return JSONResponse({"status": "ok" if can and report["control"]["ready"] else "degraded"}, 200 if can else 503)

    async def show_metrics(request: Request) -> Response:
        problem = await recorder.problem()
        replica = Replica(router.revision, peers.age, peers.live) if peers else Replica(router.revision)
        shown = await asyncio.to_thread(metrics.render, router.states(), problem is None, replica)
        return Response(shown, media_type="text/plain; version=0.0.4")

    async def problem(request: Request, error: Exception) -> JSONResponse:
        if (why := ELSEWHERE.get(request.url.path)) and isinstance(error, HTTPException):
            error = Problem(404, f"{request.url.path} is not served: {why}", "endpoint_not_served")
        response = await on_problem(request, error)
        if "x-request-id" not in response.headers:
            metrics.rejected(response.status_code)
        return response

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", for_clients(chat.complete), methods=["POST"], name="chat_completions"),
            Route("/v1/feedback", for_clients(feedback), methods=["POST"], name="feedback"),
            Route("/v1/logs", for_clients(logs), methods=["POST"], name="logs"),
            Route("/v1/models", for_clients(models), name="models"),
            Route("/v1/models/{model}", for_clients(model), name="model"),
            Route("/health", healthy, name="health"),
            Route("/livez", alive, name="livez"),
            Route("/readyz", ready, name="readyz"),
            Route("/metrics", show_metrics, name="metrics"),
            Route("/openapi.json", show_public, name="openapi"),
        ],
        exception_handlers={Problem: problem, HTTPException: problem, Exception: on_error},
    )
    app.router.redirect_slashes = False  # a redirect would name whatever Host the client did
    return app


def _model(loop: str, state: EndpointState) -> dict:
    return {
        "id": loop,
        "object": "model",
        "created": int(state.since),
        "owned_by": "ftassets",
        "version": state.production,
        "versions": state.weights,
    }


async def health(router: Router, recorder: Recorder, asked: str | None = None, in_full: bool = False) -> dict:
    """Whether the log can be written, every version with traffic answers, and by loop production does; of one loop if it is named.

    `in_full`: why not in full, and the gateways of the same loops, for people who run them.
    """
    versions, loops = {}, {loop: False for loop in router.damaged if asked in (None, loop)}
    for loop, state in router.states().items():
        if asked not in (None, loop):
            continue
        if state.production:
            loops[loop] = router.answers(loop, state.production)
        for digest in state.running:
            ready = router.answers(loop, digest)
            entry = {"loop": loop, "weight": state.weights.get(digest, 0), "ready": ready}
            why_not = router.why_not if in_full else router.why_not_in_short
            versions[digest] = entry if ready else {**entry, "why": why_not(loop, digest)}
    problem = await recorder.problem()
    traffic_log = {"ready": problem is None} | ({"why": problem if in_full else "it cannot be written"} if problem else {})
    peers = router.peers
    cut_off = peers.cut_off() if peers else None
    control: dict[str, bool | int | str] = {"ready": cut_off is None, "revision": router.revision}
    if cut_off:
        control["why"] = cut_off if in_full else "changes of other gateways are not known"
    ok = (
        problem is None
        and cut_off is None
        and all(loops.values())
        and all(version["ready"] for version in versions.values() if version["weight"])
    )
    # an answer that cannot be recorded is not given
    loops = {loop: answers and problem is None for loop, answers in loops.items()}
    found = {"status": "ok" if ok else "degraded", "traffic_log": traffic_log, "control": control, "loops": loops, "versions": versions}
    return found | ({"replicas": peers.seen()} if peers and in_full else {})
