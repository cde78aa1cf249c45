"""The routes of the gate service."""

import asyncio
import hmac
import logging
from collections.abc import Callable

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ftassets.backends.dataset_store.base import DatasetError
from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.gate_service.contract import BadRequest, Denied, EvaluateRequest, EvaluationJob
from ftassets.gate_service.openapi import document
from ftassets.gate_service.turns import OutOfTime, QueueFull, Turns
from ftassets.gateway.client_watch import ClientGone, ClientWatch
from ftassets.gateway.problems import CLIENT_GONE

MAX_BODY = 65_536  # bytes
RETRY_AFTER = 120  # seconds
_CODES = {400: "bad_request", 401: "no_key", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}

log = logging.getLogger(__name__)


def gate_app(key: str, job_for: Callable[[EvaluateRequest], EvaluationJob], turns: Turns) -> Starlette:
    """The service for whoever has the key. `job_for` says what a request asks for, and raises BadRequest."""
    openapi = document()
    expected = f"Bearer {key}".encode()

    async def evaluate(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode("latin-1"), expected):
            raise HTTPException(401, "this needs `Authorization: Bearer KEY`, the key of the service", {"www-authenticate": "Bearer"})
        asked = _parse(await _read(request))
        job = await asyncio.to_thread(job_for, asked)
        async with ClientWatch(request.receive):  # work that nobody waits for is ended
            answer = await turns.evaluate(job)
        log.info("%s %s: %s", job.loop.name, job.version[:12], answer.message)
        return Response(answer.model_dump_json(), 200 if answer.passed else 409, media_type="application/json")

    async def show_openapi(request: Request) -> Response:
        return JSONResponse(openapi)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/evaluate", evaluate, methods=["POST"]),
            Route("/openapi.json", show_openapi),
            Route("/health", health),
        ],
        exception_handlers={
            BadRequest: lambda _, error: _denied(400, str(error)),
            QueueFull: lambda _, error: _denied(503, str(error), "queue_full", {"retry-after": str(RETRY_AFTER)}),
            ClientGone: lambda _, error: _denied(CLIENT_GONE, str(error), "client_gone"),
            OutOfTime: lambda _, error: _denied(504, str(error), "out_of_time"),
            EvaluationFailed: lambda _, error: _denied(500, f"the evaluation failed: {error}", "evaluation_failed"),
            DatasetError: lambda _, error: _denied(500, f"the dataset store failed: {error}", "dataset_store_failed"),
            HTTPException: _http_error,
            Exception: lambda _, error: _denied(500, f"the service failed ({type(error).__name__}): see its log", "internal_error"),
        },
    )


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"the body is larger than {MAX_BODY:,} bytes")
    return bytes(body)


def _parse(body: bytes) -> EvaluateRequest:
    try:
        return EvaluateRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise BadRequest(f"{'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}") from error


def _denied(status: int, text: str, code: str | None = None, headers: dict[str, str] | None = None) -> Response:
    content = Denied(code=code or _CODES[status], message=text).model_dump_json()
    return Response(content, status, headers, "application/json")


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = error.detail if error.status_code in (401, 413) else f"{error.detail}: {request.method} {request.url.path}"
    return _denied(error.status_code, text, _CODES.get(error.status_code, "http_error"), dict(error.headers or {}))
