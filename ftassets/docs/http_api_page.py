"""`docs/http-api.md`: the gateway's public and admin API, its metrics, and the gate service, from their OpenAPI documents."""

import textwrap
from collections.abc import Mapping
from typing import Any

from ftassets.docs.schema_words import range_of, type_of, without_null, written
from ftassets.domain.report_kinds import REPORT_KINDS
from ftassets.gate_service.openapi import document as gate_document
from ftassets.gateway.admin import admin_app
from ftassets.gateway.app import public_app
from ftassets.gateway.chat_fields import CHAT_FIELDS, MEANINGS
from ftassets.gateway.openapi import ANYWHERE, PROBLEMS, admin_document, public_document
from ftassets.gateway.prometheus import FAMILIES
from ftassets.reporting.tables import markdown_table

_INTRO = """\
Three HTTP services, all in JSON. `make docs` writes this page from their OpenAPI documents, which each service also gives
itself at `/openapi.json`: do not edit it.

| service | address by default | for | protected by |
|---|---|---|---|
| gateway, public | `http://127.0.0.1:8100` | clients of the model, Prometheus | API keys, once there are clients (`ftassets clients add`) |
| gateway, admin | `http://127.0.0.1:8101`, loopback only | runs, sensors, command line | the token in the home's `keys/admin.token` |
| gate service | `http://127.0.0.1:8080` | pipelines outside Dagster | the key in `FTASSETS_GATE_KEY` |

Addresses of a running gateway are in `gateway/address.json` of the home. Times are epoch seconds, durations in seconds
unless a name ends in `_ms`, weights percent of a loop's traffic. A digest is 64 hex characters.
"""
_REPORTS = ", ".join(f"`{kind.asset}`" for kind in REPORT_KINDS.values() if kind.asset and kind.metrics)
_METRICS = (
    textwrap.fill(
        "`GET /metrics` of the public listener, in Prometheus' text format. `version` is the first 12 characters of a digest. `report` is "
        f"{_REPORTS} or `since_evaluation`; their figures are read from `latest.json` of each loop at every scrape. Histograms have the "
        "usual `_bucket`, `_sum` and `_count`.",
        120,
        break_on_hyphens=False,
        break_long_words=False,
    )
    + "\n"
)
_FIELDS = """\
No field that would change the answer is dropped in silence. Values that ask for nothing, as `n: 1`, `top_p: 1` or
`response_format: {"type": "text"}`, are taken everywhere. `transformers serve` samples all requests alike: `temperature`
is the version's own, and `top_p` is named as ignored where that is 0.
"""
_ERRORS = """\
Every error of the gateway is an [ErrorAnswer](#erroranswer), as in OpenAI's API. `code` is stable; `message` says what
happened, why and what to do. With the header `Retry-After` the same request may succeed later. Any path can answer
`not_found`, `method_not_allowed`, `internal_error` and those about connections and headers.
"""


class _Anything:
    """Stands for the parts of a gateway, whose routes are listed here and never called."""

    def __getattr__(self, name: str) -> "_Anything":
        return self

    def __call__(self, *arguments: Any, **named: Any) -> "_Anything":
        return self


def documents() -> dict[str, dict[str, Any]]:
    """OpenAPI document of each service."""
    part: Any = _Anything()
    return {
        "Gateway, public": public_document(public_app(part, part, part, part, part, part).routes),
        "Gateway, admin": admin_document(admin_app(part, part, "").app.routes),
        "Gate service": gate_document(),
    }


def page() -> str:
    """The page."""
    parts = ["# HTTP API\n", _INTRO]
    shown: set[str] = set()  # one object may be in two documents
    for title, document in documents().items():
        parts += [f"## {title}\n", _wrapped(document["info"]["description"]), "", _overview(document), ""]
        for path, methods in document["paths"].items():
            parts += [_operation(f"{method.upper()} {path}", operation) for method, operation in methods.items()]
        objects = {name: schema for name, schema in document["components"]["schemas"].items() if name not in shown}
        parts += ["### Objects\n", *(_object(name, schema) for name, schema in objects.items())]
        shown |= objects.keys()
        if title == "Gateway, public":
            fields = [(f"`{name}`", MEANINGS[each.transformers], MEANINGS[each.endpoint]) for name, each in CHAT_FIELDS.items()]
            heads = ["field", "on a model server of ours", "on an endpoint of others"]
            parts += ["### Fields of a chat request\n", _FIELDS, markdown_table(heads, fields), ""]
        if title == "Gateway, admin":
            rows = [(f"`{code}`", status, meaning) for code, (status, meaning) in PROBLEMS.items()]
            parts += ["## Errors of the gateway\n", _ERRORS, markdown_table(["code", "status", "meaning"], rows), ""]
            metrics = [(f"`{name}`", each.type, ", ".join(each.labels), each.meaning) for name, each in FAMILIES.items()]
            parts += ["## Metrics\n", _METRICS, markdown_table(["metric", "type", "labels", "meaning"], metrics), ""]
    return "\n".join(parts).rstrip() + "\n"


def _overview(document: Mapping[str, Any]) -> str:
    rows = [
        (f"`{method.upper()} {path}`", operation["summary"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return markdown_table(["request", "what it does"], rows)


def _operation(title: str, operation: Mapping[str, Any]) -> str:
    parts = [f"### {title}\n"]
    if text := operation.get("description"):
        parts += [_wrapped(text), ""]
    for parameter in operation.get("parameters", ()):
        parts.append(f"- {parameter['in']} `{parameter['name']}`: {parameter['description']}")
    if body := operation.get("requestBody"):
        parts.append(f"- body: {_media(body['content'])}")
    for status, response in operation["responses"].items():
        about = response["description"]
        named = [code for code in PROBLEMS if f"{code}: " in about]
        codes = ", ".join(f"`{code}`" for code in named if code not in ANYWHERE)
        if named and not codes:
            continue  # every path can answer that
        line = f"- {status}: {codes}" if codes else f"- {status}: {_media(response['content'])}. {about}".replace(". Done.", "")
        parts.append(textwrap.fill(line, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))
    return "\n".join(parts) + "\n"


def _media(content: Mapping[str, Any]) -> str:
    """What a body is: the object's name with a link, or the media type."""
    [(media, described)] = content.items()
    schema = described.get("schema", {})
    named = type_of(schema)
    if "$ref" in schema or "$ref" in schema.get("items", {}):
        name = named.removeprefix("list of ")
        return f"{named.removesuffix(name)}[{name}](#{name.lower()})"
    return f"`{media}`"


def _object(name: str, schema: Mapping[str, Any]) -> str:
    about = _wrapped(" ".join(schema.get("description", "").split()))
    if "enum" in schema:
        return f"#### {name}\n\n{about}\n\nOne of {range_of(schema)}.\n"
    rows = []
    for field, each in schema["properties"].items():
        plain = without_null(each)
        default = "required" if field in schema.get("required", ()) else written(each.get("default"))
        rows.append((f"`{field}`", type_of(plain), range_of(plain), default, each.get("description", "")))
    return f"#### {name}\n\n{about}\n\n{markdown_table(['field', 'type', 'range', 'default', 'meaning'], rows)}\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
