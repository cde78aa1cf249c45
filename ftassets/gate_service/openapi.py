"""The service's own description, OpenAPI 3.1, made from the models that are used."""

from typing import Any

from pydantic.json_schema import models_json_schema

from ftassets.gate_service.contract import API_VERSION, Denied, EvaluateRequest, GateAnswer

_ABOUT = (
    "Judges one model version by the promotion gates of its loop: the same rows, answers and tests as the loop's eval report. "
    "The caller's `baseline_f1` and `threshold` add a condition; what is looser than the loop's policy is ignored. A pass is advice "
    "for a pipeline: it signs nothing, releases nothing and opens no endpoint, which only the loop's own `release` does. "
    "One evaluation runs at a time and eight wait. Equal requests share one; it is ended when the last of their clients has left."
)
_ERRORS = {
    "400": "The request cannot be evaluated: not JSON, unknown version or golden set, or the version's files are not what they must be.",
    "401": "No key, or another one.",
    "413": "The body is too large.",
    "500": "The evaluation failed.",
    "503": "Too many evaluations are waiting. `Retry-After` says when to try again.",
    "504": "The evaluation was ended after its time, ten minutes.",
}


def document() -> dict[str, Any]:
    """The OpenAPI document as plain JSON."""
    _, definitions = models_json_schema(
        [(EvaluateRequest, "validation"), (GateAnswer, "serialization"), (Denied, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    answers = {"200": "Every gate passes.", "409": "Evaluated, and at least one gate does not pass."}
    responses = {status: _response(text, "GateAnswer") for status, text in answers.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ftassets gate service", "version": API_VERSION, "description": _ABOUT},
        "paths": {
            "/evaluate": {
                "post": {
                    "operationId": "evaluate",
                    "summary": "Judge a version by the gates of its loop.",
                    "security": [{"key": []}],
                    "requestBody": {"required": True, "content": _json("EvaluateRequest")},
                    "responses": responses | {status: _response(text, "Denied") for status, text in _ERRORS.items()},
                }
            },
            "/health": {"get": _plain("health", "Whether the service answers.")},
            "/openapi.json": {"get": _plain("openapi", "This document.")},
        },
        "components": {"schemas": definitions["$defs"], "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _response(text: str, name: str) -> dict[str, Any]:
    return {"description": text, "content": _json(name)}


def _plain(name: str, text: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {"operationId": name, "summary": text, "responses": {"200": {"description": text, "content": content}}}
