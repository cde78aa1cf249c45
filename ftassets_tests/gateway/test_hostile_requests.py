"""Whatever fits the description of an operation, or does not fit it: the gateway answers as described, and never fails."""

import json
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import ignored_auth

from ftassets.config.home import Home
from ftassets.docs.http_api_page import documents
from ftassets.testing.releases import released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets_tests.gateway.conftest import LOOPS, Clock

PUBLIC, ADMIN = (
    sorted(f"{method.upper()} {path}" for path, methods in documents()[title]["paths"].items() for method in methods)
    for title in ("Gateway, public", "Gateway, admin")
)


def described(title: str, url: str) -> dict[str, APIOperation]:
    schema = schemathesis.openapi.from_dict(documents()[title])
    schema.config.update(base_url=url)
    return {operation.ok().label: operation.ok() for operation in schema.get_all_operations()}


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, APIOperation], dict[str, str]]]:
    home, host = Home(tmp_path_factory.mktemp("schema") / "home"), ThreadHost(stub_engine())
    with run_gateway_in_thread(home, LOOPS, host, Clock()) as (serving, url):
        serving.start("support", released(home, "a"), 100, 60, "test", "because")
        admin = json.loads((home.gateway / "address.json").read_bytes())["admin"]
        token = {"authorization": f"Bearer {(home.keys / 'admin.token').read_text()}"}
        yield described("Gateway, public", url) | {f"admin {k}": v for k, v in described("Gateway, admin", admin).items()}, token
    host.close()


# requests without a body and a query have nothing that could be wrong
CASES = [
    (label, mode)
    for label in [*PUBLIC, *(f"admin {each}" for each in ADMIN)]
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or "POST" in label or "journal" in label
]


@pytest.mark.parametrize(("label", "mode"), CASES)
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_no_request_upsets_the_gateway_or_gets_an_answer_it_does_not_describe(
    operations: tuple[dict[str, APIOperation], dict[str, str]], label: str, mode: GenerationMode, data: st.DataObject
) -> None:
    known, token = operations
    case = data.draw(known[label].as_strategy(generation_mode=mode))
    if "loop" in case.path_parameters and data.draw(st.booleans()):
        case.path_parameters["loop"] = "support"  # names that fit are names of nothing, else
    if isinstance(case.body, dict) and "model" in case.body and data.draw(st.booleans()):
        case.body = {**case.body, "model": "support"}
    headers = token if label.startswith("admin") else {}
    # the token is given with each request, also where the check takes it away
    case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance, ignored_auth])
