"""The drift report over real stores, before and after a change of the embedder."""

import json
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from ftassets.assets import query_embeddings, traffic
from ftassets.assets.drift_report import asset as drift_report
from ftassets.assets.drift_report import reference as drift_report_reference
from ftassets.assets.drift_report.asset import CHECK, WINDOW_END
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.artifacts.reports import store_report
from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.latest import newest_reports
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.config.home import Home
from ftassets.domain.drift.accumulation import WindowEvidence, evidence, spread
from ftassets.domain.drift.verdict_again import stored_verdict, verdict_again
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.traffic.exchange import Exchange
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.releases import loop_config, make_version

DAY = 86_400.0
A, B = HashEmbedder(64).id, HashEmbedder(32).id
DRIFT = {"window": "1h", "sample": 40, "min_sample": 20, "reference_requests": 0, "reference_windows": 2, "reference_span": "1s"}


class Serving:
    """The one thing of an endpoint that is asked."""

    def __init__(self, production: str, standby: str | None = None) -> None:
        self.now = EndpointState(production=production, standby=standby)

    def state(self, loop: str) -> EndpointState:
        return self.now


class World:
    """An adopted version, its traffic, and the two assets of the watch job."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.loop = loop_config("support", retrain_on={"drift": DRIFT})
        self.log, self.vectors = SqliteTrafficLog(self.home.traffic_db), QdrantVectorStore(self.home.vectors)
        self.version, self.instance = make_version(self.home, "adopted"), dg.DagsterInstance.ephemeral()
        self.resources: dict[str, Any] = {
            "artifacts": FolderArtifacts(folder), "control": FilesControl(folder), "traffic_log": self.log, "vector_store": self.vectors,
            "dataset_store": GitDatasetStore(self.home.datasets), "serving": Serving(self.version),
        }  # fmt: skip

    def answered(self, count: int, age: float, what: str = "lamp") -> None:
        self.log.append(
            [
                Exchange(
                    id=f"r{age}-{n}", loop="support", version=self.version, user="", prompt=f"dim the {what} {n} in room {n % 7}",
                    messages="[]", answer="{}", status=200, at=time.time() - age + n / 100, latency_ms=1.0, first_token_ms=None,
                    tokens_in=None, tokens_out=None, weight=100.0,
                )
                for n in range(count)
            ]
        )  # fmt: skip

    def run(self, embedder: HashEmbedder, *nodes: str, age: float | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Metadata and stored report of one drift report, on a window that ends now or ended `age` seconds ago.

        Without `nodes` the queries are embedded before.
        """
        made = [traffic.build(self.loop), query_embeddings.build(self.loop), drift_report.build(self.loop)]
        resources = {**self.resources, "embedder_of": dg.ResourceDefinition(lambda _: lambda settings: embedder)}
        tags = {} if age is None else {WINDOW_END: str(time.time() - age)}
        selection = [dg.AssetKey(["support", node]) for node in nodes] or "*"
        result = dg.materialize(made, resources=resources, instance=self.instance, selection=selection, tags=tags)
        [event] = [e for e in result.get_asset_materialization_events() if e.asset_key and e.asset_key.path[-1] == "drift_report"]
        metadata = {name: value.value for name, value in event.materialization.metadata.items()}
        (file,) = self.home.root.glob(metadata["report"])  # its digest is shortened
        return metadata, json.loads(file.read_text())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_change_of_the_embedder_rebuilds_the_reference_and_says_so(world: World) -> None:
    world.answered(40, age=7200)
    world.answered(30, age=600)
    before, report = world.run(HashEmbedder(64))
    assert (before["verdict"], before["embedder"], before["reference_queries"], before["window_queries"]) == ("QUIET", A, 40, 30)
    assert (report["embedder"], report["embedder_changed"], "embedder_changed" in before) == (A, None, False)

    after, report = world.run(HashEmbedder(32))
    said = f"embedder changed from {A} to {B}: reference rebuilt"
    assert (after["verdict"], after["embedder"], after["reference_queries"], after["window_queries"]) == ("QUIET", B, 40, 30)
    assert after["embedder_changed"] == report["embedder_changed"] == said
    assert report["embedder"] == B
    again, report = world.run(HashEmbedder(32))
    assert (report["embedder_changed"], "embedder_changed" in again) == (None, False)

    world.answered(30, age=300, what="pizza with extra cheese and order")
    assert world.run(HashEmbedder(32))[0]["verdict"] == "ALARM", "the new reference raises alarms as the old one did"


class Other(HashEmbedder):
    """Another model behind the same name."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return super().encode(texts)[:, ::-1]


def test_another_model_behind_the_name_of_the_embedder_stops_no_drift_report(world: World) -> None:
    world.answered(40, age=7200)
    world.answered(30, age=600)
    assert world.run(HashEmbedder(64))[0]["verdict"] == "QUIET"
    world.answered(20, age=300)
    after, report = world.run(Other(64))
    assert (after["verdict"], after["embedder"], after["reference_queries"], after["window_queries"]) == ("QUIET", f"{A}#2", 40, 40)
    assert report["embedder_changed"] == f"embedder changed from {A} to {A}#2: reference rebuilt"
    world.answered(30, age=200, what="pizza with extra cheese and order")
    assert world.run(Other(64))[0]["verdict"] == "ALARM"


def test_a_promotion_that_has_nothing_to_do_with_it_does_not_silence_an_alarm(world: World) -> None:
    pizza = "pizza with extra cheese and order"
    world.answered(40, age=7200)
    world.answered(30, age=600)
    assert world.run(HashEmbedder(64))[0]["verdict"] == "QUIET"
    world.answered(30, age=300, what=pizza)
    assert world.run(HashEmbedder(64))[0]["verdict"] == "ALARM"
    shown = newest_reports(FilesControl(world.home.root), "support")["drift_report"]
    assert (shown.values["alarms_in_a_row"], shown.limits["alarms_in_a_row"]) == (1, world.loop.retrain_on.drift.consecutive)

    adopted, world.version = world.version, make_version(world.home, "unrelated", dataset_commit=None)
    world.resources["serving"] = Serving(world.version, standby=adopted)
    at_once, _ = world.run(HashEmbedder(64))
    assert (at_once["verdict"], at_once["reference_queries"]) == ("ALARM", 40), "no blind time: what the version before knew counts"
    assert "provisional: training queries and what the version before knew, until 40 answers of its own" in at_once["what_it_can_see"]
    assert at_once["compared_with"].startswith("compared with production's training queries and what the version before knew, until")

    world.answered(30, age=200, what=pizza)
    world.answered(30, age=190)
    completed, _ = world.run(HashEmbedder(64))
    assert (completed["verdict"], completed["reference_queries"]) == ("ALARM", 40), "compared once more with the provisional one"
    world.answered(30, age=20, what=pizza)
    whole, _ = world.run(HashEmbedder(64))
    assert whole["verdict"] == "ALARM"
    assert "of the 40 first answers do not widen this reference" in whole["what_it_can_see"]
    assert "provisional" not in whole["what_it_can_see"]
    assert whole["compared_with"].startswith("compared with what production knew until")


def test_a_first_version_says_since_when_and_until_when_no_drift_can_be_seen(world: World) -> None:
    drift = world.loop.retrain_on.drift.model_copy(update={"reference_span": 7 * DAY})
    world.loop = world.loop.model_copy(update={"retrain_on": world.loop.retrain_on.model_copy(update={"drift": drift})})
    world.answered(10, age=2 * DAY)  # of the 40 that are wanted: 5 a day, so that they have come after 8 days and 2 weeks are whole
    began = datetime.fromtimestamp(time.time() - 2 * DAY, UTC)
    found, _ = world.run(HashEmbedder(64))
    assert found["verdict"] == "NOT ENOUGH DATA"
    since, until = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", found["compared_with"])
    assert abs(datetime.fromisoformat(f"{since}+00:00") - began) < timedelta(minutes=2)
    assert datetime.fromisoformat(until) - datetime.fromisoformat(since) == timedelta(days=14)
    assert newest_reports(FilesControl(world.home.root), "support")["drift_report"].note == found["compared_with"]


def test_evidence_goes_on_from_the_newest_report_and_counts_each_query_once(world: World) -> None:
    world.answered(40, age=7200)
    world.answered(30, age=600)
    said, first = world.run(HashEmbedder(64), age=100)
    [added] = first["accumulated"]["windows"]
    assert added["queries"] == 30
    assert "1 window with 30 queries; an alarm needs" in said["over_several_windows"]
    assert first["statistics"][4]["name"] == "accumulated_novelty"

    _, again = world.run(HashEmbedder(64), age=90)
    assert again["accumulated"] == first["accumulated"], "the same queries once more"
    world.answered(90, age=50, what="lamp")
    _, second = world.run(HashEmbedder(64), age=0)
    fresh = sum(request.startswith("r50-") for request in second["requests"])
    assert 20 <= fresh < second["window_queries"]
    assert [each["queries"] for each in second["accumulated"]["windows"]] == [30, fresh]
    assert second["accumulated"]["windows"][0] == added

    stored = [WindowEvidence(**each) for each in second["accumulated"]["windows"]]
    [version] = {Path(path).stem for path in world.resources["dataset_store"].list("main", "support/reference/")}
    known = drift_report_reference.stored(world.resources["dataset_store"], "support", version)
    assert known is not None
    again_found = evidence(stored, spread(known.reference))
    assert again_found.value == second["accumulated"]["evidence"], "a stored report says how strong the evidence was, once more"
    assert verdict_again(second) == stored_verdict(second)

    _, other = world.run(HashEmbedder(32))
    assert [each["queries"] for each in other["accumulated"]["windows"]] == [other["window_queries"]], "another reference: from the start"


def test_a_monitor_without_data_says_for_how_long(world: World) -> None:
    world.answered(40, age=9 * DAY)
    world.answered(30, age=8 * DAY + 600)
    said = []
    for days in (8, 7, 5, 3):
        world.run(HashEmbedder(64), age=days * DAY)
        check = dg.AssetCheckKey(dg.AssetKey(["support", "drift_report"]), CHECK)
        record = world.instance.get_latest_asset_check_evaluation_record(check)
        assert record is not None
        said.append(str(record.event.dagster_event.event_specific_data.description))  # type: ignore[union-attr]
    assert said[0].startswith("QUIET")
    assert all(text.startswith("NOT ENOUGH DATA") for text in said[1:])
    assert ["no verdict for" in text for text in said] == [False, False, False, True]
    assert said[-1].endswith("; no verdict for 4.0 days")


def test_evidence_of_many_windows_raises_an_alarm_that_no_window_does(world: World) -> None:
    world.answered(40, age=7200)
    world.answered(30, age=600)
    _, report = world.run(HashEmbedder(64))
    [window] = report["accumulated"]["windows"]
    older = [{**window, "begin": window["begin"] - n, "until": window["begin"] - n + 1, "z": 6.0} for n in range(20, 1, -1)]
    rising = {**report, "accumulated": {**report["accumulated"], "windows": [*older, {**window, "z": 3.0}]}}
    digest = store_report(world.resources["artifacts"], "support", "drift", {k: v for k, v in rising.items() if k != "format"})
    world.instance.report_runless_asset_event(dg.AssetMaterialization(["support", "drift_report"], tags={"dagster/data_version": digest}))
    said, alarm = world.run(HashEmbedder(64))
    assert (said["verdict"], alarm["verdict"]) == ("ALARM", "ALARM")
    assert said["reason"].startswith("accumulated_novelty ")
    assert len(alarm["accumulated"]["windows"]) == 20

    (file,) = world.home.root.glob(said["report"])
    file.write_bytes(file.read_bytes()[:100])
    anew, report = world.run(HashEmbedder(64))
    assert (anew["verdict"], len(report["accumulated"]["windows"])) == ("QUIET", 1), "a damaged report stops no later one"


def test_without_the_new_vectors_nothing_is_compared(world: World) -> None:
    world.answered(40, age=7200)
    world.answered(30, age=600)
    world.run(HashEmbedder(64))
    alone, _ = world.run(HashEmbedder(32), "drift_report")
    assert (alone["verdict"], alone["window_queries"]) == ("NOT ENOUGH DATA", 0)
    assert alone["embedder_changed"] == f"embedder changed from {A} to {B}: reference rebuilt"


def test_a_reference_that_cannot_be_rebuilt_yet_is_told(world: World) -> None:
    world.answered(40, age=7200)
    world.run(HashEmbedder(64))
    world.log.forget(request_ids=[f"r7200-{n}" for n in range(10)])
    waiting, _ = world.run(HashEmbedder(32))
    assert waiting["verdict"] == "NOT ENOUGH DATA"
    assert f"the embedder changed, and the reference by {A} cannot be used; the reference waits" in waiting["reason"]
    assert waiting["embedder_changed"] == f"embedder changed from {A} and the reference is not rebuilt yet"
