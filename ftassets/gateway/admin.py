"""The admin side of the gateway: the verbs of `Serving` for whoever holds the token of the home."""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ftassets.backends.serving.base import ADMIN_PATH, UNCONFIRMED, Refused
from ftassets.config.loop_files import UnknownLoop
from ftassets.domain.rollout.endpoint import EndpointState, NotPossible
from ftassets.errors import StateDamaged
from ftassets.gateway.admin_bodies import Body, JournalQuery, Ramp, Renew, Rollback, Stage, Start, Unstage
from ftassets.gateway.app import health
from ftassets.gateway.model_hosts.base import HostError
from ftassets.gateway.openapi import show_admin
from ftassets.gateway.problems import Problem, fitted, on_error, on_problem, parse, read_body
from ftassets.gateway.recorder import Recorder
from ftassets.gateway.router import NotWritten, Router


def admin_app(router: Router, recorder: Recorder, token: str) -> "WithToken":
    """Routes for runs and the CLI. 401 without the token, 404 unknown loop, 409 refused or not possible, 503 no model server."""

    async def state(request: Request) -> Response:
        return _state(await router.newest(request.path_params["loop"]))

    async def stage(request: Request) -> Response:
        body, _ = parse(await read_body(request), Stage)
        return JSONResponse({"url": await router.stage(request.path_params["loop"], body.digest, body.seconds)})

    def verb(model: type[Body], act: Callable[..., Awaitable[EndpointState]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            body, _ = parse(await read_body(request), model)
            after = await act(request.path_params["loop"], **dict(body))
            return _state(after, await router.confirmed())

        return endpoint

    async def journal(request: Request) -> Response:
        wanted = fitted(dict(request.query_params), JournalQuery, "query")
        if router.peers:
            with suppress(OSError, StateDamaged):
                await router.follow()
        found = router.journal(**dict(wanted))
        return JSONResponse([transition.to_json() for transition in found])

    async def show_health(request: Request) -> Response:
        return JSONResponse(await health(router, recorder, request.query_params.get("loop"), in_full=True))

    async def refused(request: Request, error: Exception) -> Response:
        return Problem(409, str(error), "refused" if isinstance(error, Refused) else "not_possible").response()

    async def unknown(request: Request, error: Exception) -> Response:
        return Problem(404, str(error), "unknown_loop").response()

    async def damaged(request: Request, error: Exception) -> Response:
        return Problem(409, str(error), "state_damaged").response()

    async def not_written(request: Request, error: Exception) -> Response:
        return Problem(503, str(error), "not_written").response()

    async def no_server(request: Request, error: Exception) -> Response:
        return Problem(503, str(error), "no_model_server").response()

    app = Starlette(
        routes=[
            Route(f"{ADMIN_PATH}/loops/{{loop}}", state, name="state"),
            Route(f"{ADMIN_PATH}/loops/{{loop}}/stage", stage, methods=["POST"], name="stage"),
            Route(f"{ADMIN_PATH}/loops/{{loop}}/unstage", verb(Unstage, router.unstage), methods=["POST"], name="unstage"),
            Route(f"{ADMIN_PATH}/loops/{{loop}}/start", verb(Start, router.start), methods=["POST"], name="start"),
            Route(f"{ADMIN_PATH}/loops/{{loop}}/ramp", verb(Ramp, router.ramp), methods=["POST"], name="ramp"),
            Route(f"{ADMIN_PATH}/loops/{{loop}}/renew", verb(Renew, router.renew), methods=["POST"], name="renew"),
            Route(f"{ADMIN_PATH}/loops/{{loop}}/rollback", verb(Rollback, router.rollback), methods=["POST"], name="rollback"),
            Route(f"{ADMIN_PATH}/journal", journal, name="journal"),
            Route(f"{ADMIN_PATH}/health", show_health, name="health"),
            Route("/openapi.json", show_admin, name="openapi"),
        ],
        exception_handlers={
            Problem: on_problem,
            HTTPException: on_problem,
            Exception: on_error,
            Refused: refused,
            NotPossible: refused,
            UnknownLoop: unknown,
            HostError: no_server,
            StateDamaged: damaged,
            NotWritten: not_written,
        },
    )
    app.router.redirect_slashes = False
    return WithToken(app, token)


class WithToken:
    """Lets a request through that carries the token; `app` is what it asks then."""

    def __init__(self, app: Starlette, token: str) -> None:
        self.app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", [])).get(b"authorization", b"")
        if scope["type"] == "http" and not hmac.compare_digest(given, self._expected):
            answer = Problem(401, "the admin API needs `Authorization: Bearer` with the content of keys/admin.token", "no_token").response()
            return await answer(scope, receive, send)
        await self.app(scope, receive, send)


def _state(state: EndpointState, unconfirmed: Sequence[str] = ()) -> Response:
    return JSONResponse(state.model_dump(), headers={UNCONFIRMED: "; ".join(unconfirmed)} if unconfirmed else None)
