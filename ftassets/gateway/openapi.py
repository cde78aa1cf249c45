"""The gateway's own description, OpenAPI 3.1, made from routes and models: a document for clients and one for the admin listener."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition
from ftassets.gateway.admin_bodies import JournalQuery, Ramp, Renew, Rollback, Stage, Start, Unstage
from ftassets.gateway.chat_request import ChatRequest
from ftassets.gateway.feedback import FeedbackRequest
from ftassets.gateway.otlp_feedback import LogsRequest, LogsStored

# code of an error -> HTTP status and meaning
PROBLEMS: dict[str, tuple[int, str]] = {
    "invalid_http": (400, "What came is not HTTP."),
    "invalid_json": (400, "The body is not JSON."),
    "unknown_parameter": (400, "The request has a field that the chat API has not."),
    "unsupported_parameter": (400, "The loop's model server cannot do what a field asks for. `param` names it."),
    "unsupported_value": (400, "The loop's model server takes one value of a field only, the version's own. `param` names it."),
    "context_length_exceeded": (400, "The conversation has more tokens than the model takes."),
    "invalid_api_key": (401, "The gateway has clients with API keys, and the request has none of them: `Authorization: Bearer KEY`."),
    "no_token": (401, "The admin API needs `Authorization: Bearer` with the content of `keys/admin.token` in the home."),
    "origin_refused": (403, "A web page asked. Its own server may, with the page's users as `user`."),
    "model_not_found": (404, "No loop has the name in `model`."),
    "unknown_answer": (404, "The traffic log has no answer with this id."),
    "unknown_loop": (404, "No loop has the name in the path."),
    "endpoint_not_served": (404, "OpenAI's API has this path, and the gateway does not. The message says what to ask instead."),
    "not_found": (404, "There is no such path."),
    "method_not_allowed": (405, "The path exists, but not with this method."),
    "request_timeout": (408, "The headers were not there within 10 s, or the body within 20 s."),
    "refused": (409, "The version may not gain traffic: no valid release, changed files, a revoked key. The message says which."),
    "state_damaged": (409, "The loop's state or the journal cannot be read. The message names the file."),
    "not_possible": (409, "This change does not exist from the current state, for example a ramp without a candidate."),
    "request_too_large": (413, "The body is larger than 1,000,000 bytes."),
    "unsupported_media_type": (415, "The body's content type is not application/json."),
    "wrong_host": (421, "The gateway listens on loopback and was asked under a name that is not in FTASSETS_HOSTS."),
    "invalid_request": (422, "A field is missing or out of range. The message names it."),
    "idempotency_key_reused": (422, "The Idempotency-Key was used for another request within ten minutes."),
    "too_many_requests": (429, "500 requests are being answered. `Retry-After` says when to try again."),
    "rate_limited": (429, "The client has used its requests or tokens of a minute. `Retry-After` says when to try again."),
    "headers_too_large": (431, "The headers have more than 65,536 bytes."),
    "client_gone": (499, "The client closed its connection before it had the answer. The traffic log has the status."),
    "refused_by_engine": (400, "The model server refused the request. The status is the model server's own, 400 to 499."),
    "internal_error": (500, "The gateway failed. Its log has the details."),
    "engine_error": (502, "The model server answered with an error, or broke off."),
    "engine_unreachable": (502, "The model server could not be reached."),
    "keys_unreadable": (503, "The keys of the clients cannot be read, so every request is refused."),
    "too_many_connections": (503, "All connections are busy. `Retry-After` says when to try again."),
    "no_production_version": (503, "The loop has no version in production yet, or its state cannot be read."),
    "version_unavailable": (503, "The version that should answer is starting, or its files are damaged."),
    "not_recorded": (503, "The traffic log cannot be written. An answer that is not on record is not given."),
    "gateway_stopping": (503, "The gateway is stopped, and the answer was not whole in time. The same request may succeed later."),
    "not_written": (503, "The change could not be written down. The message says what is in force."),
    "no_model_server": (503, "The version's model server could not be started, or did not answer in time."),
    "engine_timeout": (504, "The model server took longer than the loop's `serving` allows."),
}
_BODY = ("invalid_json", "request_too_large", "invalid_request", "unsupported_media_type")
_EVERYWHERE = (  # of every path; the first four before there is a request
    "invalid_http", "request_timeout", "headers_too_large", "too_many_connections", "not_found", "method_not_allowed", "internal_error",
)  # fmt: skip
_ADMITTED = ("origin_refused", "wrong_host", "too_many_requests", "endpoint_not_served")  # of every public path
ANYWHERE = (*_EVERYWHERE, *_ADMITTED)
_CLIENT = ("invalid_api_key", "rate_limited", "keys_unreadable")  # of what clients with keys ask
_CHAT = (
    *_BODY, *_CLIENT, "idempotency_key_reused", "client_gone",
    "unknown_parameter", "unsupported_parameter", "unsupported_value",
    "context_length_exceeded", "model_not_found", "refused_by_engine", "engine_error", "engine_unreachable", "engine_timeout",
    "no_production_version", "version_unavailable", "not_recorded", "gateway_stopping",
)  # fmt: skip
_LOOP = ("no_token", "unknown_loop", "state_damaged")
_CHANGE = (*_BODY, *_LOOP, "not_possible", "not_written")
_ABOUT_PUBLIC = (
    "The part of OpenAI's API that a chat needs, and feedback on answers. Bare prompts (`/v1/completions`) are refused: they would be read "
    "without the chat template. `model` names a loop; the gateway chooses the version. "
    "Requests with the same `user` (or header `X-User`) stay on the same version while weights do not change. "
    "Once there are clients (`ftassets clients add`), paths below `/v1` need `Authorization: Bearer KEY`."
)
_ABOUT_ADMIN = (
    "What runs and the command line use to move traffic. It listens on loopback only and needs the token of the home. "
    "Every change is written to the journal; a version gains traffic only with a valid release. Any of several gateways can be asked: "
    "a change is answered when every live one has it, after a second at most, and the header `X-Ftassets-Unconfirmed` names those that "
    "have not confirmed it."
)

_TRANSITION = {
    "number": "Number in the journal, rising over all loops.",
    "at": "Time of the change, in epoch seconds.",
    "loop": "Name of the loop.",
    "action": "start, ramp, promote, rollback, expire, stage or unstage.",
    "by": "Who asked: run:ID, sensor:NAME, the login name of a person, lease or gateway.",
    "reason": "Why.",
    "state": "State of the loop's endpoint after the change.",
}


class ErrorBody(BaseModel):
    """An error as OpenAI's API words it."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(description="What happened, why, and what to do.")
    type: str = Field(description="invalid_request_error below status 500, else server_error.")
    param: str | None = Field(None, description="The field of the request that is at fault, if one is.")
    code: str = Field(description="Stable name of the error, for programs.")


class ErrorAnswer(BaseModel):
    """The body of every answer with an error status."""

    error: ErrorBody = Field(description="The error.")


class Completion(BaseModel):
    """OpenAI's chat completion with two fields of ours; everything else is the model server's."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(description="Id of the answer: what feedback names. Also in the header X-Request-Id.")
    model: str = Field(description="Name of the loop.")
    choices: list[dict[str, Any]] = Field(description="As in OpenAI's API; one entry.")
    usage: dict[str, Any] | None = Field(None, description="Tokens as the model server counted them.")


class FeedbackStored(BaseModel):
    """Feedback is on disk."""

    id: str = Field(description="Id of the answer.")
    stored: bool = Field(description="Always true.")


class ModelEntry(BaseModel):
    """One loop, in the form of a model of OpenAI's API."""

    id: str = Field(description="Name of the loop: what a request gives as `model`.")
    object: str = Field("model", description="Always model.")
    created: int = Field(description="Time of the last change of the loop's traffic, in epoch seconds.")
    owned_by: str = Field("ftassets", description="Always ftassets.")
    version: str | None = Field(description="Digest of the version in production; null before the first release.")
    versions: dict[str, float] = Field(description="Percent of the loop's traffic, by digest of each version that has some.")


class ModelList(BaseModel):
    """All loops of this gateway."""

    object: str = Field("list", description="Always list.")
    data: list[ModelEntry] = Field(description="One entry a loop.")


class VersionHealth(BaseModel):
    """One version that should be running."""

    loop: str = Field(description="Name of the loop.")
    weight: int = Field(description="Percent of the loop's traffic.")
    ready: bool = Field(description="Whether its model server answers.")
    why: str | None = Field(None, description="Why it is not ready.")


class Alive(BaseModel):
    """Whether the gateway can work."""

    status: str = Field(description="ok, or degraded.")


class TrafficLogHealth(BaseModel):
    """Whether answers can be recorded."""

    ready: bool = Field(description="Whether the traffic log can be written and read.")
    why: str | None = Field(None, description="Why it cannot.")


class ControlHealth(BaseModel):
    """Whether this gateway knows of the changes that others make."""

    ready: bool = Field(description="False while the database of FTASSETS_CONTROL_URL is away: production is answered all the same.")
    revision: int = Field(description="Number of the newest change that is in force here, as in the journal.")
    why: str | None = Field(None, description="Why it does not know of them.")


class ReplicaHealth(BaseModel):
    """One of the gateways that share FTASSETS_CONTROL_URL."""

    name: str = Field(description="Its FTASSETS_REPLICA, or host name and port.")
    this: bool = Field(description="Whether it is the one that was asked.")
    live: bool = Field(description="Whether it was heard of within the last five seconds.")
    revision: int = Field(description="Number of the newest change that it has in force.")
    silent: float = Field(description="Seconds since it was heard of.")


class Health(BaseModel):
    """Whether answers can be recorded, and every version with traffic has a model server that answers."""

    status: str = Field(description="ok, or degraded.")
    traffic_log: TrafficLogHealth = Field(description="The log without which no request is answered.")
    control: ControlHealth = Field(description="Where changes of traffic are stored.")
    loops: dict[str, bool] = Field(description="By loop with a production version: whether it answers.")
    versions: dict[str, VersionHealth] = Field(description="By digest.")
    replicas: list[ReplicaHealth] = Field(
        [], description="The gateways of the same loops, for the admin API alone; none without PostgreSQL."
    )


class Staged(BaseModel):
    """Where a staged version answers."""

    url: str = Field(description="Base URL of its OpenAI-compatible API, with /v1.")


@dataclass(frozen=True)
class Operation:
    """What one route does: body and answer as models (`text` for another media type), and the codes of its errors."""

    summary: str
    problems: Sequence[str] = ()
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | type[list[Transition]] | None = None
    text: str | None = None
    also: Mapping[str, str] = field(default_factory=dict)  # further statuses that carry the same answer
    parameters: Sequence[Mapping[str, Any]] = ()
    notes: str = ""


def _query(name: str, schema: Mapping[str, Any], description: str) -> Mapping[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _of(model: type[BaseModel]) -> Sequence[Mapping[str, Any]]:
    """The parameters of a query; one that may be left out is not null."""
    found = []
    for name, field_schema in model.model_json_schema()["properties"].items():
        [schema] = [each for each in field_schema.get("anyOf", [field_schema]) if each.get("type") != "null"]
        kept = {key: value for key, value in schema.items() if key not in ("title", "description")}
        found.append(_query(name, kept, field_schema["description"]))
    return found


_ONE_LOOP = _query("loop", {"type": "string"}, "Only this loop. Default: all loops.")
# by the name of the route
PUBLIC: dict[str, Operation] = {
    "chat_completions": Operation(
        "Ask the model of a loop.",
        _CHAT,
        ChatRequest,
        Completion,
        parameters=(
            {"name": "X-User", "in": "header", "schema": {"type": "string"}, "description": "Who asks, where the body has no `user`."},
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "maxLength": 255},
                "description": "At most 255 characters. A request that is sent again with it is answered once.",
            },
            {
                "name": "X-Client-Request-Id",
                "in": "header",
                "schema": {"type": "string", "maxLength": 128},
                "description": "The client's name of the request, else `X-Request-Id`; the answer has it too.",
            },
            {
                "name": "traceparent",
                "in": "header",
                "schema": {"type": "string"},
                "description": "W3C trace context: passed to the model server with `tracestate`, and in the answer's headers.",
            },
        ),
        notes="With `stream: true` the answer is a stream of server-sent events; `[DONE]` comes when the answer is on record. "
        "An error after the first chunk is an event with an `error` object. "
        "Headers of the answer: `X-Ftassets-Version` (digest of the version) and `X-Request-Id`. "
        "`X-Ftassets-Ignored`: fields of the request that have no effect, see [fields of a chat request](#fields-of-a-chat-request). "
        "`X-Ftassets-Fallback-For`: production answered for this candidate, whose server does not answer. "
        "The same `Idempotency-Key`, user and body within ten minutes get the same answer, with `Idempotent-Replayed: true`; one that is "
        "still being answered is waited for. The model answers once and the log has one row.",
    ),
    "feedback": Operation(
        "Rate or correct an answer.",
        (*_BODY, *_CLIENT, "unknown_answer", "not_recorded"),
        FeedbackRequest,
        FeedbackStored,
        notes="A correction is the whole answer as it should have been, as a string, also where answers are JSON. "
        "Several messages on one answer add up: the newest rating, correction, comment and tags count.",
    ),
    "logs": Operation(
        "Rate or correct answers, as OpenTelemetry's evaluations (OTLP over HTTP, JSON).",
        (*_BODY, *_CLIENT, "not_recorded"),
        LogsRequest,
        LogsStored,
        notes="Each log record with the event name `gen_ai.evaluation.result` whose `gen_ai.evaluation.name`, or an attribute, says that a "
        "person gave it is feedback on the answer that `gen_ai.response.id` names: the label or score a thumb, under a name such as "
        "`correction` the whole answer as it should have been. Evaluations by models, and other log records, are rejected. The same export "
        "sent again is stored once, if its records have a time.",
    ),
    "models": Operation("List the loops that the client may ask.", _CLIENT, answer=ModelList),
    "model": Operation(
        "One loop.",
        (*_CLIENT, "model_not_found"),
        answer=ModelEntry,
        parameters=({"name": "model", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Name of the loop."},),
    ),
    "health": Operation(
        "Whether every version with traffic answers, and its answers can be recorded.",
        ("unknown_loop",),
        answer=Health,
        parameters=(_ONE_LOOP,),
        notes="503 if a production version does not answer, or the traffic log cannot be written: a row is written, read back and taken "
        "away again unless one was written in the last five seconds. A candidate that does not answer makes it `degraded`: production "
        "answers for it. So do changes of other gateways that are not known, as control cannot be reached.",
        also={"503": "A production version does not answer, or no answer can be recorded."},
    ),
    "livez": Operation("Whether the gateway runs.", answer=Alive),
    "readyz": Operation(
        "Whether a production version answers, of any loop that has one, and its answers can be recorded.",
        answer=Alive,
        also={"503": "No production version answers, or no answer can be recorded."},
    ),
    "metrics": Operation("Metrics for Prometheus.", text="text/plain; version=0.0.4"),
    "openapi": Operation("This document.", text="application/json"),
}
ADMIN: dict[str, Operation] = {
    "state": Operation("Where a loop's traffic goes now.", _LOOP, answer=EndpointState),
    "stage": Operation(
        "Start a version without traffic.",
        (*_BODY, *_LOOP, "refused", "no_model_server", "not_written"),
        Stage,
        Staged,
        notes="Needs no release. Answers when the model server does, at most 180 s later.",
    ),
    "unstage": Operation("End a staged version.", (*_BODY, *_LOOP, "not_written"), Unstage, EndpointState),
    "start": Operation(
        "Give a released version its first traffic.",
        (*_CHANGE, "refused", "no_model_server"),
        Start,
        EndpointState,
        notes="The first version of a loop becomes production at once, whatever `weight` says.",
    ),
    "ramp": Operation(
        "Change the candidate's weight.",
        (*_CHANGE, "refused", "no_model_server"),
        Ramp,
        EndpointState,
        notes="Weight 100 makes the candidate production and keeps the version before as standby.",
    ),
    "renew": Operation("Renew the candidate's lease.", (*_CHANGE, "refused"), Renew, EndpointState),
    "rollback": Operation(
        "Take the candidate out; without one, go back to the standby.",
        (*_CHANGE, "refused"),
        Rollback,
        EndpointState,
        notes="Taking a candidate out runs no checks.",
    ),
    "journal": Operation(
        "Changes, oldest first.",
        ("no_token", "invalid_request"),
        answer=list[Transition],
        parameters=_of(JournalQuery),
    ),
    "health": Operation(
        "Whether every version with traffic answers, and its answers can be recorded.",
        ("no_token",),
        answer=Health,
        parameters=(_ONE_LOOP,),
    ),
    "openapi": Operation("This document.", ("no_token",), text="application/json"),
}


def public_document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document of the public listener, for these routes of its app."""
    return _document("ftassets gateway", _ABOUT_PUBLIC, routes, PUBLIC, ANYWHERE)


def admin_document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document of the admin listener, for these routes of its app."""
    document = _document("ftassets gateway, admin API", _ABOUT_ADMIN, routes, ADMIN, _EVERYWHERE)
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    return document


async def show_public(request: Request) -> Response:
    """Endpoint: the document of the app that was asked."""
    return JSONResponse(public_document(request.app.routes))


async def show_admin(request: Request) -> Response:
    """Endpoint: the document of the app that was asked."""
    return JSONResponse(admin_document(request.app.routes))


def _document(
    title: str, about: str, routes: Sequence[BaseRoute], operations: Mapping[str, Operation], everywhere: Sequence[str]
) -> dict[str, Any]:
    bodies = {operation.body for operation in operations.values() if operation.body}
    answers = {operation.answer for operation in operations.values() if isinstance(operation.answer, type)}
    _, definitions = models_json_schema(
        [*((model, "validation") for model in _sorted(bodies)), *((model, "serialization") for model in _sorted(answers | {ErrorAnswer}))],
        ref_template="#/components/schemas/{model}",
    )
    schemas = definitions["$defs"]
    if any(operation.answer == list[Transition] for operation in operations.values()):
        entry = TypeAdapter(Transition).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        for name, text in _TRANSITION.items():
            entry["properties"][name]["description"] = text
        entry["properties"]["format"] = {"type": "integer", "description": "Version of the entry's form, as in the journal on disk."}
        schemas |= entry.pop("$defs", {}) | {"Transition": entry}
    paths: dict[str, Any] = {}
    for path, route in _routes(routes):
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(path, {})[method.lower()] = _operation(route.name, path, operations[route.name], everywhere)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("ftassets"), "description": about},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _routes(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, Route]]:
    """Full path and route of everything below some routes."""
    for route in routes:
        if isinstance(route, Mount):
            yield from _routes(route.routes or (), prefix + route.path)
        elif isinstance(route, Route):
            yield prefix + route.path, route


def _sorted(models: set[Any]) -> list[type[BaseModel]]:
    return sorted(models, key=lambda model: model.__name__)


def _operation(name: str, path: str, operation: Operation, everywhere: Sequence[str]) -> dict[str, Any]:
    content = {operation.text: {}} if operation.text else {"application/json": {"schema": _schema(operation.answer)}}
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": content}}
    responses |= {status: {"description": text, "content": content} for status, text in operation.also.items()}
    possible = (*operation.problems, *everywhere)
    for status in sorted({PROBLEMS[code][0] for code in possible}):
        codes = [code for code in PROBLEMS if PROBLEMS[code][0] == status and code in possible]
        text = " ".join(f"{code}: {PROBLEMS[code][1]}" for code in codes)
        responses.setdefault(str(status), {"description": text, "content": {"application/json": {"schema": _schema(ErrorAnswer)}}})
    described: dict[str, Any] = {"operationId": name, "summary": operation.summary, "responses": responses}
    if operation.notes:
        described["description"] = operation.notes
    if operation.body:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(operation.body)}}}
    parameters = [dict(parameter) for parameter in operation.parameters]
    if "{loop}" in path:
        parameters.insert(
            0, {"name": "loop", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Name of the loop."}
        )
    if parameters:
        described["parameters"] = parameters
    return described


def _schema(model: Any) -> dict[str, Any]:
    if model == list[Transition]:
        return {"type": "array", "items": {"$ref": "#/components/schemas/Transition"}}
    return {"$ref": f"#/components/schemas/{model.__name__}"}
