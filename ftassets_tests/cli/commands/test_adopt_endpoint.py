"""A model that somebody else serves becomes a loop's first version, and a candidate is compared with it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from typer.testing import CliRunner

from ftassets.assets._shared.events import data_version, metadata_value, newest, node
from ftassets.assets.drift_report.reference import wanted_answers
from ftassets.assets.eval_report.answering import api_sentence
from ftassets.assets.eval_report.recompute import recompute
from ftassets.backends.artifacts.reports import read_eval_report
from ftassets.backends.control.releases import Releases
from ftassets.backends.registry.mlflow import MlflowRegistry
from ftassets.backends.serving.base import ServingError
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.cli.commands.adopt import Adopted, Adoption, adapter_folder, describe
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop import ReferenceModel
from ftassets.config.profiles import artifacts, control
from ftassets.domain.release.adoption import AdoptionRefused, served_at
from ftassets.processes.up import down, free_ports, running, up
from ftassets.testing.external_endpoint import KEY, VARIABLE, ExternalEndpoint, external_endpoint
from ftassets.testing.made_once import mlflow_tables
from ftassets.testing.tiny_loop import LOOP, ROOMS, TinyLoop, tiny_loop
from ftassets_tests.config.test_loops_folder import put_loop
from ftassets_tests.processes.test_up import tree

pytestmark = pytest.mark.models


def backend(tiny: TinyLoop, name: str) -> Any:
    return tiny.resources[name].resource_fn(dg.build_init_resource_context())


def right_about_opening(prompt: str) -> str:
    """Right on one of the two golden slices."""
    return json.dumps({"intent": "open", "area": next((room for room in ROOMS if room in prompt), "?")})


def answers_are_new(tiny: TinyLoop, max_tokens: int) -> None:
    """From here on nothing is known of anybody's answers."""
    tiny.loop = tiny.loop.model_copy(update={"task": tiny.loop.task.model_copy(update={"max_tokens": max_tokens})})


def adopt(tiny: TinyLoop, url: str, model: str = "acme/large") -> Adopted:
    parts = [backend(tiny, name) for name in ("signer", "registry")]
    where = tiny.home, artifacts(tiny.home), control(tiny.home)
    adoption = Adoption(*where, tiny.loop, "anna", "served for a year", tiny.serving, *parts)
    return adoption.of_endpoint(served_at(url, model, VARIABLE))


@pytest.fixture(scope="module")
def there() -> Iterator[ExternalEndpoint]:
    with pytest.MonkeyPatch.context() as patch, external_endpoint() as endpoint:
        patch.setenv(VARIABLE, KEY)
        endpoint.answer = right_about_opening
        yield endpoint


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, there: ExternalEndpoint) -> Iterator[TinyLoop]:
    priced = ReferenceModel(url=there.url, model="acme/huge", api_key_env=VARIABLE, usd_per_million_in=2.0, usd_per_million_out=10.0)
    with tiny_loop(tmp_path_factory.mktemp("tiny"), reference_model=priced) as loop:
        yield loop


@pytest.fixture(scope="module")
def adopted(tiny: TinyLoop, there: ExternalEndpoint) -> Adopted:
    return adopt(tiny, there.url)


def test_without_its_key_nothing_is_signed_and_the_variable_is_named(
    tiny: TinyLoop, there: ExternalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ServingError, match=f"{VARIABLE}, which is not set: set it for the gateway and for the runs"):
        adopt(tiny, there.url, "acme/keyless")
    assert not list((tiny.home.releases / LOOP).glob("*.json"))
    assert tiny.serving.state(LOOP).production is None


def test_it_is_production_and_nothing_that_is_kept_holds_its_key(tiny: TinyLoop, there: ExternalEndpoint, adopted: Adopted) -> None:
    state = tiny.serving.state(LOOP)
    assert (state.production, state.staged) == (adopted.version, {})
    registered = backend(tiny, "registry").versions(LOOP)[0]
    assert (registered.tags["kind"], registered.tags["base_model"], registered.aliases) == ("endpoint", "acme/large", ("production",))
    assert "trained from the untuned base" in describe(adopted, LOOP)
    ask = {"model": LOOP, "messages": [{"role": "user", "content": "open the red lamp in the hall"}]}
    answer = requests.post(f"{tiny.url}/v1/chat/completions", json=ask, timeout=60)
    assert (answer.status_code, answer.headers["x-ftassets-version"]) == (200, adopted.version)
    assert there.bodies[-1]["model"] == "acme/large"
    kept = [path for path in tiny.home.root.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    assert Path(adopted.attestation) in kept
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]


def test_adopting_it_again_changes_nothing_and_another_one_is_refused(tiny: TinyLoop, there: ExternalEndpoint, adopted: Adopted) -> None:
    before = (tiny.serving.state(LOOP), Path(adopted.attestation).read_bytes())
    assert adopt(tiny, there.url).version == adopted.version
    with pytest.raises(AdoptionRefused, match="has a production version"):
        adopt(tiny, there.url, "acme/small")
    assert (tiny.serving.state(LOOP), Path(adopted.attestation).read_bytes()) == before


def test_its_first_live_reports_are_made_before_any_retrain(tiny: TinyLoop, adopted: Adopted) -> None:
    assert newest(tiny.instance, node(LOOP, "golden_set")) is None
    assert tiny.run("monitor").success
    found = newest(tiny.instance, node(LOOP, "live_golden_report"))
    assert found is not None
    assert metadata_value(found, "share") == 0.5


@pytest.mark.timeout(180)
def test_a_candidate_starts_cold_and_is_compared_with_it_and_with_the_priced_api_model(
    tiny: TinyLoop, there: ExternalEndpoint, adopted: Adopted
) -> None:
    assert tiny.run("retrain").success
    trained = newest(tiny.instance, node(LOOP, "adapter"))
    assert trained is not None
    assert metadata_value(trained, "start_from") == "the untuned base"
    digest = data_version(newest(tiny.instance, node(LOOP, "eval_report")))
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    assert (report.production, report.production_is_base) == (adopted.version, False)
    right = {name: sum(s.exact for s in report.rows("production", name)) for name in ("established", "drifted")}
    assert right == {"established": 0, "drifted": 48}, "the external model's answers are scored"
    assert len(report.latency_ms["production"]) == len(report.latency_ms["candidate"]) == 80

    golden = {s.id for s in report.rows("candidate", None)}
    assert {s.id for s in report.scores["api"]} == golden
    assert sum(s.exact for s in report.rows("api", "drifted")) == 48
    said = api_sentence(tiny.loop, report.scores, {"api": [tiny.home.answers / report.answers["api"][0]]})
    assert said == "acme/huge has 48 of 96 golden rows right, $0.13 per 1,000 requests of 40 tokens in and 5 out"
    made_event = newest(tiny.instance, node(LOOP, "eval_report"))
    assert made_event is not None
    assert metadata_value(made_event, "api_model") == said
    table: Any = metadata_value(made_event, "exact_match")
    assert {"candidate", "api"} <= table.records[0].data.keys()
    paid = sum(body["model"] == "acme/huge" for body in there.bodies)
    assert paid == len(golden)
    assert tiny.materialize("eval_report").success
    assert sum(body["model"] == "acme/huge" for body in there.bodies) == paid, "it is asked once for a golden commit"
    made, _ = recompute(artifacts(tiny.home), control(tiny.home), tiny.loop, backend(tiny, "dataset_store"), digest)
    assert made.scores == report.scores

    releases = Releases(control(tiny.home), backend(tiny, "signer"))
    assert Path(releases.uri(LOOP, report.candidate)).exists()
    assert tiny.move("start").success
    assert tiny.move("ramp", weight=100).success
    assert tiny.move("rollback", reason="back to what served").success
    assert tiny.serving.state(LOOP).production == adopted.version


def test_a_report_is_made_without_the_api_model_but_not_without_production(
    tiny: TinyLoop, there: ExternalEndpoint, adopted: Adopted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(there, "fail_with", 404)
    monkeypatch.setattr(there, "fail_only", "acme/huge")
    answers_are_new(tiny, 7)
    assert tiny.materialize("eval_report", checks=False).success
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, data_version(newest(tiny.instance, node(LOOP, "eval_report"))))
    assert set(report.scores) == {"base", "production", "candidate"}
    assert "was not scored" in api_sentence(tiny.loop, report.scores, {})

    monkeypatch.setattr(there, "fail_only", "acme/large")
    answers_are_new(tiny, 6)
    failed = tiny.materialize("eval_report", checks=False)
    assert not failed.success
    said = "".join(event.message or "" for event in failed.all_events) + str(failed.all_events)
    assert "are url and model right" in said
    assert KEY not in said


def test_its_drift_reference_is_made_of_its_own_traffic_alone(tiny: TinyLoop, adopted: Adopted) -> None:
    assert f"{wanted_answers(tiny.loop.retrain_on.drift, trained=False)} more answers" in describe(adopted, LOOP)


@pytest.mark.parametrize(
    ("url", "key", "why"),
    [
        ("http://api.example.com/v1", VARIABLE, "plain http"),
        ("https://me:secret@api.example.com/v1", None, "without user"),
        ("api.example.com", None, "url: must be"),
        ("https://api.example.com/v1", "sk-live-123", "the name of an environment variable"),
    ],
)
def test_what_would_give_a_key_away_is_refused_without_repeating_it(url: str, key: str | None, why: str) -> None:
    with pytest.raises(AdoptionRefused, match=why) as refused:
        served_at(url, "some-model", key)
    assert "sk-live-123" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_plain_http_with_a_key_stays_allowed_on_loopback(host: str) -> None:
    assert served_at(f"http://{host}:8000/v1/", "some-model", VARIABLE).url == f"http://{host}:8000/v1"


def test_an_adapter_is_fetched_from_mlflow_by_alias_and_by_run(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    registry = MlflowRegistry(mlflow_tables(tmp_path), tmp_path / "artifacts")
    made = tmp_path / "peft"
    made.mkdir()
    (made / "adapter_config.json").write_text("{}")
    run = registry.log_training("elsewhere", "run", {}, {}, [], {"digest": "d" * 64}, made)
    registry.register("elsewhere", "name", "d" * 64, run, {})
    MlflowClient(registry.tracking_uri, registry.tracking_uri).set_registered_model_alias("elsewhere", "champion", "1")
    for place in ("models:/elsewhere@champion", f"runs:/{run}/adapter", made.as_uri(), str(made)):
        with adapter_folder(place, registry) as folder:
            assert (folder / "adapter_config.json").read_text() == "{}"
    with pytest.raises(AdoptionRefused, match="cannot be downloaded"), adapter_folder("models:/elsewhere@nobody", registry):
        pass


@pytest.mark.slow
def test_a_model_is_adopted_before_anything_runs_and_serves_at_the_first_start(
    tmp_path: Path, there: ExternalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, loops = Home(tmp_path / "home"), tmp_path / "loops"
    put_loop(loops, "kitchen")
    monkeypatch.setenv("FTASSETS_HOME", str(home.root))
    monkeypatch.setenv("FTASSETS_LOOPS", str(loops))
    command = [
        "adopt",
        "kitchen",
        "--endpoint",
        there.url,
        "--model",
        "acme/large",
        "--api-key-env",
        VARIABLE,
        "--reason",
        "serves already",
    ]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    version = json.loads(done.stdout)["version"]
    assert running(home) is None
    assert not tree(home)
    up(home, free_ports(), loops=loops, code=None, foreground=False)
    try:
        assert GatewayServing(home).state("kitchen").production == version
        assert json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)["version"] == version, "by the gateway that runs"
    finally:
        down(home)
