"""The loop once round, in one process: first version, traffic, drift, retrain, canary, promotion, rollback."""

import json
import time
from collections.abc import Iterator

import dagster as dg
import pytest
import requests

from ftassets.assets._shared.events import data_version, history, metadata_value, newest, node
from ftassets.assets._shared.tracking import RUN_TAG
from ftassets.assets.drift_report.asset import WINDOW_END
from ftassets.automation.retrain import build as build_drift_sensor
from ftassets.automation.rollout import build as build_rollout_sensor
from ftassets.testing.tiny_loop import COLOURS, LOOP, ROOMS, TinyLoop, tiny_loop
from ftassets_tests.docs.test_data_model import undocumented

PANE = 44  # characters of a word that fit beside key and time at a width of 1500 pixels
pytestmark = [pytest.mark.slow, pytest.mark.models]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    with tiny_loop(tmp_path_factory.mktemp("tiny"), monitors={"golden_floor": 0.0, "sample": 20}) as loop:  # it knows nothing
        yield loop


def ask(tiny: TinyLoop, text: str, correction: str | None = None) -> str:
    body = {"model": LOOP, "messages": [{"role": "user", "content": text}], "user": text}
    response = requests.post(f"{tiny.url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 200, response.text
    if correction:
        feedback = {"id": response.json()["id"], "correction": correction}
        assert requests.post(f"{tiny.url}/v1/feedback", json=feedback, timeout=10).ok
    return response.headers["x-ftassets-version"]


def value(tiny: TinyLoop, name: str, field: str) -> object:
    event = newest(tiny.instance, node(LOOP, name))
    assert event is not None
    return metadata_value(event, field)


def sensor_context(tiny: TinyLoop) -> dg.SensorEvaluationContext:
    parts = {
        name: tiny.resources[name] for name in ("artifacts", "control", "traffic_log", "dataset_store", "serving", "signer", "notifier")
    }
    return dg.build_sensor_context(instance=tiny.instance, resources=parts)


@pytest.mark.timeout(300)
def test_the_loop_closes(tiny: TinyLoop) -> None:
    assert tiny.run("retrain").success
    first = data_version(newest(tiny.instance, node(LOOP, "release")))
    assert tiny.serving.state(LOOP).phase == "idle"
    assert tiny.move("start").success
    assert tiny.serving.state(LOOP).production == first

    known = [f"{verb} the {colour} lamp in the {room} kindly" for colour in COLOURS for room in ROOMS for verb in ("dim", "light")][:72]
    for text in known:
        assert ask(tiny, text) == first
    assert tiny.run("watch").success
    assert value(tiny, "drift_report", "verdict") == "QUIET", value(tiny, "drift_report", "reason")

    begin = time.time()
    for number, room in enumerate(ROOMS * 7):
        ask(tiny, f"open curtain number {number} facing the {room} window", json.dumps({"intent": "open", "area": room}))
    end = time.time()
    drift = tiny.loop.retrain_on.drift.model_copy(update={"window": end - begin})
    tiny.loop = tiny.loop.model_copy(update={"retrain_on": tiny.loop.retrain_on.model_copy(update={"drift": drift})})
    assert tiny.run("watch", tags={WINDOW_END: str(end)}).success
    assert value(tiny, "drift_report", "verdict") == "ALARM", value(tiny, "drift_report", "reason")
    assert tiny.run("monitor", tags={WINDOW_END: str(end)}).success

    result = build_drift_sensor(tiny.loop)(sensor_context(tiny))
    assert isinstance(result, dg.SensorResult), result
    assert result.run_requests is not None
    request = result.run_requests[0]
    retrain = tiny.run("retrain", tags=dict(request.tags))
    assert retrain.success
    second = data_version(newest(tiny.instance, node(LOOP, "release")))
    assert second != first
    assert value(tiny, "adapter", "lineage") == f"continues from {first[:12]}"
    assert value(tiny, "curated_dataset", "sources")["correction"] > 20  # type: ignore[index]

    for expected in ("start", "ramp"):
        time.sleep(1.1)  # the rollout's interval
        tick = build_rollout_sensor(tiny.loop)(sensor_context(tiny))
        assert isinstance(tick, dg.SensorResult), tick
        config = tick.run_requests[0].run_config["ops"][f"{LOOP}__endpoint"]["config"]  # type: ignore[index]
        if config["action"] == "report":
            pytest.fail(f"rolled back: {config['reason']}")
        assert config["action"] == expected
        assert tiny.move(**config).success
        answered = {ask(tiny, text) for text in known}
        assert answered == ({first, second} if expected == "start" else {second})
    for job in ("watch", "monitor"):  # of the new version, which has no traffic yet
        assert tiny.run(job).success
    state = tiny.serving.state(LOOP)
    assert (state.production, state.standby, state.candidate) == (second, first, None)

    aliases = {
        version.digest: version.aliases
        for version in tiny.resources["registry"].resource_fn(dg.build_init_resource_context()).versions(LOOP)
    }
    assert "production" in aliases[second]
    assert tiny.move("rollback", reason="drill").success
    assert tiny.serving.state(LOOP).production == first
    assert ask(tiny, "dim the lamp") == first


def test_each_training_is_in_mlflow_inside_its_dagster_run_with_its_scores(tiny: TinyLoop) -> None:
    registry = tiny.resources["registry"].resource_fn(dg.build_init_resource_context())
    client, experiment = registry._client(), registry.experiment(LOOP)
    runs = {run.info.run_id: run for run in client.search_runs([experiment])}
    trainings = {run_id: run for run_id, run in runs.items() if "training_key" in run.data.tags}
    events = [event for _, event in history(tiny.instance, node(LOOP, "adapter"))]
    assert set(trainings) == {metadata_value(event, "mlflow_run") for event in events}
    assert len(trainings) == 2
    for run_id, run in trainings.items():
        tags, metrics = run.data.tags, run.data.metrics
        dagster_run = tiny.instance.get_run_by_id(tags["dagster_run_id"])
        assert dagster_run.tags[RUN_TAG] == run_id
        whole = runs[tags["mlflow.parentRunId"]]  # what dagster-mlflow made
        assert (whole.data.tags["dagster_run_id"], whole.info.run_name) == (dagster_run.run_id, f"{LOOP}__retrain")
        assert (run.info.status, whole.info.status) == ("FINISHED", "FINISHED")
        assert tags["gates"].startswith("PASS")
        assert 0 <= metrics["candidate/established/exact_match"] <= 1
        assert metrics["validation_loss"] > 0
        steps = [each.step for each in client.get_metric_history(run_id, "loss")]
        assert steps == list(range(1, int(metrics["steps"]) + 1))
    reports = {metadata_value(event, "mlflow_run") for _, event in history(tiny.instance, node(LOOP, "eval_report"))}
    assert reports == set(trainings)


def test_nothing_is_red_but_the_alarm_and_what_is_not_measured_yet_warns(tiny: TinyLoop) -> None:
    assert {run.status for run in tiny.instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
    unsound = [
        (each.check_name, each.metadata["verdict"].value)
        for run in tiny.instance.get_runs()
        for record in tiny.instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
        if not (each := record.event_log_entry.dagster_event.event_specific_data).passed  # a warning is orange
    ]
    # the first reports of a loop cannot tell yet, and say so; orange, not red
    assert {each for each in unsound if each[1] != "NOT ENOUGH DATA"} == {("within_drift_budget", "ALARM")}


def test_the_metadata_pane_has_the_verdict_first_and_no_word_that_widens_it(tiny: TinyLoop) -> None:
    verdicts = ("adapter", "behaviour_report", "curated_dataset", "drift_report", "eval_report", "live_golden_report", "preference_pairs")
    for name in (*verdicts, "quality_report", "release"):
        event = newest(tiny.instance, node(LOOP, name))
        assert event is not None
        assert next(iter(event.metadata)) == "verdict"
    for key in tiny.instance.get_asset_keys():
        event = newest(tiny.instance, key)
        assert event is not None
        wide = {name: word for name, entry in event.metadata.items() for word in words(entry) if len(word) > PANE}
        assert wide == {}, key


def words(entry: dg.MetadataValue) -> list[str]:
    """What the metadata pane cannot break into lines; images and long JSON are behind a button."""
    if isinstance(entry, dg.TableMetadataValue):
        return [word for record in entry.records for cell in record.data.values() for word in str(cell).replace("/", " ").split()]
    if isinstance(entry, dg.MarkdownMetadataValue):
        return []
    text = json.dumps(entry.value, indent=2) if isinstance(entry, dg.JsonMetadataValue) else str(entry.value)
    return [] if isinstance(entry, dg.JsonMetadataValue) and len(json.dumps(entry.value)) >= 1000 else text.replace("/", " ").split()


def test_every_file_of_the_home_is_in_the_data_model(tiny: TinyLoop) -> None:
    assert (tiny.home.gateway / "journal.jsonl").exists()
    assert undocumented(tiny.home.root) == []
