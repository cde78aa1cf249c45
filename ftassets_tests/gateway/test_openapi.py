"""The gateway describes all of its routes, at both listeners, and answers as described."""

import json
import re
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from ftassets.config.home import Home
from ftassets.docs.http_api_page import documents
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.gateway.admin import admin_app
from ftassets.gateway.openapi import ADMIN, PROBLEMS, PUBLIC
from ftassets.gateway.prometheus import FAMILIES
from ftassets_tests import ROOT
from ftassets_tests.gateway.conftest import Running
from ftassets_tests.gateway.test_prometheus import STATES, C, P, populated


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{method.upper()} {path}": operation for path, methods in document["paths"].items() for method, operation in methods.items()}


def test_public_document(serving_a: Running) -> None:
    described = operations(serving_a.client.get("/openapi.json").json())
    assert {"POST /v1/chat/completions", "POST /v1/feedback", "GET /v1/models", "GET /health", "GET /metrics"} <= described.keys()
    assert {operation["operationId"] for operation in described.values()} == PUBLIC.keys()
    body = {"model": "support", "messages": [{"role": "user", "content": "light on"}]}
    answer = serving_a.client.post("/v1/chat/completions", json=body)
    assert {"id", "model", "choices"} <= answer.json().keys()
    feedback = serving_a.client.post("/v1/feedback", json={"id": answer.json()["id"], "rating": "up"})
    assert feedback.json() == {"id": answer.json()["id"], "stored": True}
    assert serving_a.client.get("/health").json()["status"] == "ok"


def test_admin_document_needs_the_token_and_names_every_verb(gateway: Running) -> None:
    [path] = [path for path in documents()["Gateway, admin"]["paths"] if path.endswith("/openapi.json")]
    url = json.loads((gateway.home.gateway / "address.json").read_bytes())["admin"] + path
    assert requests.get(url, timeout=10).status_code == 401
    token = (gateway.home.keys / "admin.token").read_text()
    document = requests.get(url, headers={"authorization": f"Bearer {token}"}, timeout=10).json()
    described = operations(document)
    assert {operation["operationId"] for operation in described.values()} == ADMIN.keys()
    assert document["security"] == [{"token": []}]
    for verb in ("stage", "unstage", "start", "ramp", "renew", "rollback"):
        assert any(label.startswith("POST") and label.endswith(f"/loops/{{loop}}/{verb}") for label in described)


def test_every_reference_leads_to_an_object_with_a_meaning_for_each_field() -> None:
    for title, document in documents().items():
        schemas = document["components"]["schemas"]
        assert set(re.findall(r"#/components/schemas/(\w+)", str(document))) <= schemas.keys()
        if title.startswith("Gateway"):
            for name, schema in schemas.items():
                for field, each in schema["properties"].items():
                    assert each.get("description"), f"{title}: {name}.{field} has no description"


def test_every_error_code_the_gateway_gives_is_in_the_table() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "ftassets" / "gateway").rglob("*.py") if path.name != "openapi.py")
    given = set(
        re.findall(r'"([a-z_]+)"(?:\)|, retry_after|, headers|, detail|, param)', "\n".join(re.findall(r"Problem\((?:.|\n)*?\n", source)))
    )
    given |= {"refused", "not_possible", "method_not_allowed", "not_found"}
    assert given == PROBLEMS.keys()


def test_every_metric_is_described_with_its_labels(tmp_path: Any) -> None:
    shadow = EndpointState(production=P).start(C, 0, 60, 0)
    text = populated(Home(tmp_path)).render({**STATES, "dark": shadow}).decode()
    found: dict[str, tuple[str, set[str], str]] = {}
    for family in text_string_to_metric_families(text):
        if family.name.endswith("_created"):  # when a counter began, which the client library adds
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, labels, family.documentation)
    assert found == {name: (each.type, set(each.labels), each.meaning) for name, each in FAMILIES.items()}


def test_admin_routes_are_listed_without_a_gateway() -> None:
    assert admin_app(part := documents.__globals__["_Anything"](), part, "token").app.routes
