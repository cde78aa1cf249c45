"""Errors as the OpenAI API words them, and bodies that must fit."""

import asyncio
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from ftassets.errors import FtassetsError

MAX_BODY = 1_000_000  # bytes
BODY_SECONDS = 20.0
MAX_NESTED = 50_000  # brackets that may open a list or an object
CLIENT_GONE = 499  # as nginx logs it: nobody got this status

_Body = TypeVar("_Body", bound=BaseModel)


class Problem(FtassetsError):
    """Error response to a client: HTTP status, a sentence, and a code for programs. `detail` is for the traffic log only."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        detail: str = "",
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.logged = f"{message}: {detail}" if detail else message
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {}) | ({} if retry_after is None else {"retry-after": str(retry_after)})

    def body(self) -> dict:
        """`{"error": {...}}`"""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The answer to the request."""
        return JSONResponse(self.body(), self.status, self.headers)


async def on_problem(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for Problem and for what Starlette raises itself."""
    if isinstance(error, HTTPException):
        code = "method_not_allowed" if error.status_code == 405 else "not_found"
        error = Problem(error.status_code, f"{error.detail}: {request.method} {request.url.path}", code, headers=error.headers)
    assert isinstance(error, Problem)
    return error.response()


async def on_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for unexpected errors; Starlette logs the traceback."""
    return Problem(500, f"the gateway failed ({type(error).__name__}); its log has the details", "internal_error").response()


async def read_body(request: Request) -> bytes:
    """The body, which says that it is JSON: what a web page can send unasked does not.

    Raises Problem: 415 without that, 413 for one that is too long, 408 for one that takes too long, 499 if the client goes away.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, f"the body's content-type is {kind[:50] or 'missing'}, not application/json", "unsupported_media_type")
    body = bytearray()
    if int(request.headers.get("content-length", "0") or 0) <= MAX_BODY:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > MAX_BODY:
                        break
                else:
                    return bytes(body)
        except TimeoutError as error:
            slow = f"the body was not there within {BODY_SECONDS:g} s: send it faster"
            raise Problem(408, slow, "request_timeout", headers={"connection": "close"}) from error
        except ClientDisconnect as error:
            raise Problem(CLIENT_GONE, "the client went away while it sent its request", "client_gone") from error
    raise Problem(413, f"the body is larger than {MAX_BODY:,} bytes: send a shorter conversation", "request_too_large")


def parse(body: bytes, model: type[_Body]) -> tuple[_Body, dict]:
    """The body as a model and as the dict it came from. Raises Problem: 400 for what is not JSON, 422 for what does not fit."""
    if (nested := body.count(b"[") + body.count(b"{")) > MAX_NESTED:  # each takes time to read, and nothing else runs meanwhile
        raise Problem(422, f"the body has {nested:,} brackets, at most {MAX_NESTED:,} are read: send a shorter one", "invalid_request")
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(400, f"the body is not JSON: {error}", "invalid_json") from error
    return fitted(content, model, "body"), content


def fitted(content: object, model: type[_Body], what: str) -> _Body:
    """What came, a body or a query, as a model. Raises Problem (422)."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or what
        raise Problem(422, f"{where}: {first['msg']}", "invalid_request", param=where) from error
