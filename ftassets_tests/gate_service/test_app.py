"""The service as clients see it: statuses, bodies, and that no input at all upsets it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.schemas import APIOperation
from starlette.testclient import TestClient

from ftassets.assets._shared.dataset_files import dataset_objects, from_parquet, golden_path, read_splits
from ftassets.assets.eval_report.answering import answer_file
from ftassets.assets.eval_report.rows import RowSet
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.backends.evaluator.subprocess import SubprocessEvaluator
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.config.profiles import artifacts, control
from ftassets.domain.acceptance import Check
from ftassets.domain.gates.gate import Gate
from ftassets.gate_service.admission import job_for
from ftassets.gate_service.app import MAX_BODY, gate_app
from ftassets.gate_service.contract import EvaluateRequest, EvaluationJob, GateAnswer
from ftassets.gate_service.evaluation import evaluate
from ftassets.gate_service.turns import OutOfTime, QueueFull, Turns
from ftassets.testing.releases import ACCEPTED
from ftassets_tests.gate_service.world import ADAPTER_FILES, LOOP, World, make_version, make_world, write_answers, write_divergences

KEY = "a key for the tests of this file"
HEADERS = {"Authorization": f"Bearer {KEY}"}
GATES = [{"metric": "exact_match", "better_than": "production"}, {"metric": "f1", "at_least": 0.4}]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Versions whose answers are stored already: of the golden rows the candidate has nine in ten right, the base one in ten."""
    world = make_world(tmp_path_factory.mktemp("app"), gates=GATES)
    golden = from_parquet(world.store.read(world.golden_commit, golden_path(LOOP)))
    held_out = read_splits(world.store, str(load_manifest(artifacts(world.home), world.candidate).dataset_commit), LOOP)["test"]
    for digest, right in ((world.base, 0.1), (world.candidate, 0.9)):
        for examples in (golden, held_out):
            write_answers(answer_file(artifacts(world.home), world.loop, digest, RowSet(examples), world.base), examples, right)
    write_divergences(world.home, world.base, [world.candidate, world.base])
    return world


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[TestClient]:
    with client_of(world) as made:
        yield made


def client_of(world: World, run=None) -> TestClient:
    async def here(job: EvaluationJob) -> GateAnswer:
        context = SimpleNamespace(run_id=job.id, log=SimpleNamespace(info=print))
        parts = world.home, artifacts(world.home), control(world.home), world.store
        return await asyncio.to_thread(evaluate, job, *parts, SubprocessEvaluator(), GatewayServing(world.home), context)

    def what(request: EvaluateRequest) -> EvaluationJob:
        return job_for(request, world.home, artifacts(world.home), {LOOP: world.loop}, world.store)

    return TestClient(gate_app(KEY, what, Turns(run or here)), raise_server_exceptions=False)


def test_a_version_that_holds_is_a_200(world: World, client: TestClient) -> None:
    answer = client.post("/evaluate", json=world.request(), headers=HEADERS)
    body = answer.json()
    assert (answer.status_code, body["pass"]) == (200, True)
    assert body["f1_score"] > 0.9
    assert body["latency_ms_p99"] is None
    assert "Response times were not measured: no gateway has run" in body["message"]
    assert [verdict["verdict"] for verdict in body["verdicts"]] == ["PASS"] * 3
    assert (body["version"], body["compared_with"]) == (world.candidate, world.base)
    assert body["golden_commit"] == world.golden_commit


def test_a_client_that_leaves_ends_its_evaluation(world: World) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def run(job: EvaluationJob) -> GateAnswer:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        raise AssertionError

    server = uvicorn.Server(uvicorn.Config(client_of(world, run).app, port=0, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"http://127.0.0.1:{port}/evaluate", json=world.request(), headers=HEADERS, timeout=1, trust_env=False)
        assert begun.is_set()
        assert ended.wait(5)
    finally:
        server.should_exit = True
        thread.join(10)


def test_a_version_that_does_not_hold_is_a_409_that_says_which_gate(world: World, client: TestClient) -> None:
    answer = client.post("/evaluate", json=world.request(baseline_f1=0.98), headers=HEADERS)
    assert (answer.status_code, answer.json()["pass"]) == (409, False)
    assert "1 of 3 conditions do not hold. Caller_f1: " in answer.json()["message"]


def test_a_version_that_was_trained_on_a_refused_dataset_is_a_400(world: World, client: TestClient) -> None:
    few = {**ACCEPTED, "enough_rows": Check(passed=False, sentence="40 rows are too few")}
    files = dataset_objects(world.store, LOOP, read_splits(world.store, "main", LOOP), [], {}, {}, "few", checks=few)
    commit = world.store.set_aside("refused/tiny/few", "few", files, "m", {})
    version = make_version(world.home, None, "few", *ADAPTER_FILES, base_digest=world.base, dataset_commit=commit)
    answer = client.post("/evaluate", json=world.request(model_path=version), headers=HEADERS)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["message"] == (
        f"version {version[:12]} was trained on what was refused: dataset {commit[:12]}: enough_rows: 40 rows are too few. "
        "Train it on an accepted dataset"
    )


def test_the_caller_cannot_loosen_the_policy(world: World) -> None:
    strict = World(**{**vars(world), "loop": world.loop.model_copy(update={"gates": [Gate(metric="f1", at_least=0.99)]})})
    with client_of(strict) as client:
        answer = client.post("/evaluate", json=world.request(baseline_f1=0.0, threshold=-1.0), headers=HEADERS)
    assert answer.status_code == 409
    assert "is looser than the loop's policy, 0.990" in answer.json()["message"]


def test_latency_that_cannot_be_measured_rejects(world: World) -> None:
    latency = Gate(metric="latency_p95", no_worse_than="production", margin=100.0)
    timed = World(**{**vars(world), "loop": world.loop.model_copy(update={"gates": [latency]})})
    with client_of(timed) as client:
        answer = client.post("/evaluate", json=world.request(), headers=HEADERS)
    assert answer.status_code == 409
    assert answer.json()["verdicts"][0]["verdict"] == "NOT ENOUGH DATA"


def test_a_gate_that_only_the_report_can_decide_rejects_and_says_so(world: World) -> None:
    reviewed = World(**{**vars(world), "loop": world.loop.model_copy(update={"gates": [Gate(metric="human_review", at_least=0.5)]})})
    with client_of(reviewed) as client:
        answer = client.post("/evaluate", json=world.request(), headers=HEADERS)
    assert answer.status_code == 409
    assert "Human_review: people review the loop's own eval_report" in answer.json()["message"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": KEY}, {"authorization": "Bearer \xff"}])
def test_without_the_key_nothing_is_looked_at(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/evaluate", content=b"not even JSON", headers={k: v.encode("latin-1") for k, v in headers.items()})
    assert (answer.status_code, answer.json()["pass"]) == (401, False)
    assert "www-authenticate" in answer.headers


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"threshold": "0.05"}, "threshold: Input should be a valid number"),
        ({"baseline_f1": 1.5}, "baseline_f1: Input should be less than or equal to 1"),
        ({"golden_set_id": "../x"}, "golden_set_id: String should match pattern"),
        ({"model_path": "/etc"}, "model_path: neither"),
        ({"thresh": 1}, "thresh: Extra inputs are not permitted"),
    ],
)
def test_a_request_that_does_not_fit_is_a_400_that_names_the_field(world: World, client: TestClient, change: dict, text: str) -> None:
    answer = client.post("/evaluate", json=world.request(**change), headers=HEADERS)
    assert (answer.status_code, answer.json()["code"], answer.json()["pass"]) == (400, "bad_request", False)
    assert text in answer.json()["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"baseline_f1": NaN}', b"[" * 30_000])
def test_what_is_no_request_is_a_400(client: TestClient, body: bytes) -> None:
    assert client.post("/evaluate", content=body, headers=HEADERS).status_code == 400


def test_other_statuses(world: World, client: TestClient) -> None:
    assert client.post("/evaluate", content=b" " * (MAX_BODY + 1), headers=HEADERS).status_code == 413
    assert client.get("/nothing", headers=HEADERS).json() == {"pass": False, "code": "not_found", "message": "Not Found: GET /nothing"}
    refused = client.get("/evaluate", headers=HEADERS)
    assert (refused.status_code, refused.headers["allow"], refused.json()["code"]) == (405, "POST", "method_not_allowed")
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (QueueFull("9 waiting"), 503, "queue_full"),
        (OutOfTime("ended"), 504, "out_of_time"),
        (EvaluationFailed("no GPU"), 500, "evaluation_failed"),
        (RuntimeError("secret path"), 500, "internal_error"),
    ],
)
def test_what_goes_wrong_inside_has_a_status_and_a_sentence(world: World, error: Exception, status: int, code: str) -> None:
    async def failing(job: EvaluationJob) -> GateAnswer:
        raise error

    with client_of(world, failing) as client:
        answer = client.post("/evaluate", json=world.request(), headers=HEADERS)
    assert (answer.status_code, answer.json()["code"], answer.json()["pass"]) == (status, code, False)
    assert answer.json()["message"]
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.fixture(scope="module")
def operations(client: TestClient) -> dict[str, APIOperation]:
    described = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    return {operation.ok().label: operation.ok() for operation in described.get_all_operations()}


@pytest.mark.parametrize("mode", list(GenerationMode))
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_input_upsets_the_service_or_gets_an_answer_it_does_not_describe(
    operations: dict[str, APIOperation], mode: GenerationMode, data: st.DataObject
) -> None:
    case = data.draw(operations["POST /evaluate"].as_strategy(generation_mode=mode))
    # a name that fits the schema may still be one of nothing that exists
    case.call_and_validate(headers=HEADERS, excluded_checks=[positive_data_acceptance])


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_asked_of_a_real_version_it_is_evaluated_and_answered_as_described(
    operations: dict[str, APIOperation], world: World, data: st.DataObject
) -> None:
    case = data.draw(operations["POST /evaluate"].as_strategy())
    case.body = {**case.body, **world.request(), "baseline_f1": case.body["baseline_f1"], "threshold": case.body["threshold"], "loop": LOOP}
    assert case.call_and_validate(headers=HEADERS).status_code in (200, 409)


def test_every_operation_is_described_and_answers_as_described(operations: dict[str, APIOperation], client: TestClient) -> None:
    app: Any = client.app
    described = {f"{method.upper()} {path}" for path, methods in client.get("/openapi.json").json()["paths"].items() for method in methods}
    assert described == {f"{method} {route.path}" for route in app.routes for method in route.methods - {"HEAD"}}
    assert operations["GET /health"].Case().call_and_validate().status_code == 200
