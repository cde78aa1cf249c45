"""Old days leave the log for Parquet files once and whole, wherever a run is killed; what is read later is still there."""

import errno
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from ftassets.assets import graph, traffic, traffic_retention
from ftassets.assets._shared.dataset_files import dataset_objects, labels_path, pairs_path, pairs_to_parquet, to_parquet
from ftassets.assets._shared.run_nodes import ALONE
from ftassets.assets.drift_report.reference import first_answers, wanted_answers
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.control.files import FilesControl
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.traffic_log import day_files
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.traffic_log.day_files import DayFiles, NotCopied, read
from ftassets.backends.traffic_log.postgres import PostgresTrafficLog
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.backends.vector_store.base import QueryVector
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.config.home import Home
from ftassets.domain.chat import question
from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.domain.traffic.retention import DAY, DayOfTraffic
from ftassets.testing.contracts.traffic_log import SPAWN
from ftassets.testing.releases import loop_config

DRIFT = {"reference_span": "1s", "reference_requests": 3, "reference_windows": 1, "min_sample": 10, "sample": 20}
SPAN = {"reference_span": "7d"}
EMBEDDER = "embedder"


class Killed(BaseException):
    """The process is gone: nothing in the code may catch it."""


@dataclass
class Traffic:
    """Where traffic goes, without a gateway."""

    now: EndpointState = field(default_factory=EndpointState)
    entries: list[Transition] = field(default_factory=list)

    def state(self, loop: str) -> EndpointState:
        return self.now

    def journal(self) -> list[Transition]:
        return self.entries

    def give(self, at: float, **state: Any) -> None:
        self.now = EndpointState(**state)
        self.entries.append(Transition(len(self.entries) + 1, at, "support", "start", "cli", "", self.now))


class World:
    """The asset over real stores."""

    def __init__(self, folder: Path, log: TrafficLog, **limits: Any) -> None:
        self.home, self.log = Home(folder / "home"), log
        self.vectors, self.store = QdrantVectorStore(folder / "vectors"), GitDatasetStore(folder / "datasets.git")
        self.serving = Traffic()
        self.today = time.time() // DAY * DAY
        self.limit(**(limits or {"keep": "40d"}))

    def limit(self, **limits: Any) -> None:
        self.loop = loop_config("support", traffic=limits, retrain_on={"drift": DRIFT}, monitors={"sample": 2})

    def requests(self, *ages: float, version: str = "v", said: bool = False, **fields: Any) -> list[Exchange]:
        """Requests of noon, that many days ago."""
        made = [
            Exchange(
                id=f"{version}-{age:g}", loop="support", version=version, user=f"u{age % 2:g}", prompt=f"dim lamp {age:g} \u00e9",
                messages=json.dumps([{"role": "user", "content": f"dim lamp {age:g}"}]), answer="{}", status=200,
                at=self.today - age * DAY + DAY / 2, latency_ms=1.0, first_token_ms=None, tokens_in=7, tokens_out=None, weight=100.0,
                well_formed=True,
            )
            for age in ages
        ]  # fmt: skip
        made = [replace(each, **fields) for each in made]
        self.log.append(made)
        for each in made if said else ():
            self.log.add_feedback(Feedback(each.id, each.at + 1, "down", None))
            self.log.add_feedback(Feedback(each.id, each.at + 2, None, "[]"))
        return made

    def run(self) -> dict[str, Any]:
        """Metadata of one materialization, and its check as `passed` and `sentence`."""
        resources = {
            "home": self.home, "artifacts": FolderArtifacts(self.home.root), "traffic_log": self.log,
            "control": FilesControl(self.home.root),
            "vector_store": self.vectors, "dataset_store": self.store,
            "serving": dg.ResourceDefinition(lambda _: self.serving),
        }  # fmt: skip
        nodes = [traffic.build(self.loop), traffic_retention.build(self.loop)]
        result = dg.materialize(nodes, resources=resources, instance=dg.DagsterInstance.ephemeral())
        [made] = result.asset_materializations_for_node("support__traffic_retention")
        [check] = result.get_asset_check_evaluations()
        return {name: each.value for name, each in made.metadata.items()} | {"passed": check.passed, "sentence": check.description}

    @property
    def left(self) -> list[str]:
        return [each.id for each in self.log.exchanges("support")]

    @property
    def files(self) -> list[Path]:
        return sorted((self.home.traffic_export / "support").rglob("*.parquet"))

    @property
    def copied(self) -> list[Exchange]:
        return [row.exchange for path in self.files for row in read(path)]


@pytest.fixture(params=["sqlite", "postgres"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], TrafficLog]:
    if request.param == "sqlite":
        return partial(SqliteTrafficLog, tmp_path / "traffic.db")
    return partial(PostgresTrafficLog, request.getfixturevalue("postgres").account())


@pytest.fixture
def world(tmp_path: Path, open_log: Callable[[], TrafficLog]) -> World:
    return World(tmp_path, open_log())


@pytest.fixture
def small(tmp_path: Path) -> World:
    return World(tmp_path, SqliteTrafficLog(tmp_path / "traffic.db"))


def test_days_that_are_too_old_are_copied_and_deleted(world: World) -> None:
    old = world.requests(60, 50.2, 50.1, said=True)
    young = world.requests(40, 39, 5, 0.6)
    other = replace(old[0], id="other", loop="other")
    world.log.append([other])
    made = world.run()
    assert world.left == [each.id for each in young]
    assert world.log.exchanges("other") == [other]
    assert world.copied == old
    assert [path.parent.name for path in world.files] == [time.strftime("%Y-%m-%d", time.gmtime(old[n].at)) for n in (0, 1)]
    said = [row.feedback for path in world.files for row in read(path)]
    assert said == [[Feedback(e.id, e.at + 1, "down", None), Feedback(e.id, e.at + 2, None, "[]")] for e in old]
    assert (made["deleted"], made["rows_before"], made["rows_after"], made["reason"]) == (3, 7, 4, "older than traffic.keep")
    assert made["oldest_day_kept"] == time.strftime("%Y-%m-%d", time.gmtime(young[0].at))
    assert made["bytes_before"] > made["bytes_after"] > 0
    assert (made["passed"], made["kept_of_older_days"]) == (True, 0)
    again = world.run()
    assert (again["deleted"], again["rows_before"], world.copied) == (0, 4, old)


def test_the_files_open_with_common_tools(small: World) -> None:
    old = small.requests(60, 50, said=True)
    small.run()
    table = pyarrow.dataset.dataset(small.home.traffic_export / "support", format="parquet").to_table()
    assert table.column("id").to_pylist() == [each.id for each in old]
    assert table.column("feedback").to_pylist()[0][0] == {
        "at": old[0].at + 1,
        "rating": "down",
        "correction": None,
        "comment": None,
        "tags": None,
    }
    assert pq.ParquetFile(small.files[0]).metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_copies_go_where_the_loop_file_says(small: World, tmp_path: Path) -> None:
    small.limit(keep="40d", export=tmp_path / "disk" / "days")
    old = small.requests(60)
    assert small.run()["copies"] == str(tmp_path / "disk" / "days")
    assert [row.exchange for path in (tmp_path / "disk" / "days" / "support").rglob("*.parquet") for row in read(path)] == old
    assert small.files == []


@pytest.mark.parametrize("point", [("add", False), ("add", True), ("remove", False), ("remove", True), ("reclaim", False)])
@pytest.mark.parametrize("times", [1, 2])
def test_a_run_that_is_killed_loses_nothing_and_copies_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, point: tuple[str, bool], times: int
) -> None:
    monkeypatch.setattr(traffic_retention, "BATCH_ROWS", 2)
    old = world.requests(60.3, 60.2, 60.1, 50.3, 50.2, 50.1, said=True)
    world.requests(3)
    name, after = point
    holder = DayFiles if name == "add" else type(world.log)
    real, calls = getattr(holder, name), Counter[str]()

    def killed(*arguments: Any, **named: Any) -> Any:
        calls[name] += 1
        result = real(*arguments, **named) if after or calls[name] < times else None
        if calls[name] == times:
            raise Killed
        return result

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(holder, name, killed)
        world.run()
    assert calls[name] == min(times, 1 if name == "reclaim" else times)
    world.run()
    assert world.left == ["v-3"]
    assert world.copied == old


def move(open_log: Callable[[], TrafficLog], folder: Path, day: DayOfTraffic) -> None:
    """Moves a day in batches of two, in a process of its own."""
    traffic_retention.BATCH_ROWS = 2
    list(traffic_retention._moved("support", day, {"v-60.005"}, open_log(), DayFiles(folder)))


@pytest.mark.parametrize("files", [1, 7, 20])
def test_a_process_that_is_killed_at_any_moment_loses_nothing_and_copies_nothing_twice(
    world: World, open_log: Callable[[], TrafficLog], files: int
) -> None:
    old = world.requests(*(60 + n / 1000 for n in range(80, 0, -1)), said=True)
    [day] = world.log.days("support")
    mover = SPAWN.Process(target=move, args=(open_log, world.home.traffic_export, day))
    mover.start()
    while len(world.files) < files and mover.is_alive():
        time.sleep(0.001)
    mover.kill()
    mover.join(30)
    assert files <= len(world.files) < 40
    move(open_log, world.home.traffic_export, day)
    assert world.left == ["v-60.005"]
    assert sorted(world.copied, key=lambda row: row.at) == [row for row in old if row.id != "v-60.005"]
    assert all(len(row.feedback) == 2 for path in world.files for row in read(path))


def test_a_full_disk_deletes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old = world.requests(60, 50)

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(day_files, "write_durably", full)
    with pytest.raises(NotCopied, match="No space left on device"):
        world.run()
    monkeypatch.undo()
    assert world.log.exchanges("support") == old
    world.run()
    assert (world.left, world.copied) == ([], old)


def test_rows_that_are_imported_again_are_deleted_without_another_copy(world: World) -> None:
    old = world.requests(60.2, 60.1)
    world.run()
    late = replace(old[0], id="late", at=old[0].at + 1)
    world.log.append([*old, late])
    assert world.run()["deleted"] == 3
    assert (world.left, world.copied) == ([], [*old, late])


def test_feedback_that_comes_meanwhile_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    [old] = world.requests(60)
    real = DayFiles.add

    def slow(self: DayFiles, *arguments: Any) -> Any:
        path = real(self, *arguments)
        world.log.add_feedback(Feedback(old.id, old.at + 9, "up", None))
        return path

    with monkeypatch.context() as patch:
        patch.setattr(DayFiles, "add", slow)
        assert world.run()["deleted"] == 0
    assert world.left == [old.id]
    assert world.run()["deleted"] == 1
    assert [len(row.feedback) for path in world.files for row in read(path)] == [0, 1], "the later copy has the feedback"


def test_rows_that_a_dataset_still_names_stay(world: World) -> None:
    world.requests(60, 59, 58, 57, 56, 55)
    [imported] = world.requests(54, id="chat:c1")

    def row(request: str, source: str = "correction") -> Example:
        return Example(id=request, messages=question("dim"), completion="{}", source=source, request_id=request)

    pair = Pair(
        messages=question("p"), chosen="{}", rejected="[]", source="thumbs", request_id="v-58", user="u", at=1.0, version="v", weight=5.0
    )
    places = ("near:v-57", "schema:correction:chat:c1", "schema:a.jsonl:3")
    dropped = [Quarantined(place, "a reason", "x") for place in places]
    files = dataset_objects(world.store, "support", {"train": [row("v-60")]}, dropped, {}, {}, "1")
    files = {**files, labels_path("support", "b"): to_parquet([row("v-59", "label")]), pairs_path("support"): pairs_to_parquet([pair])}
    world.store.publish("1", files, "m", {})
    made = world.run()
    assert world.left == ["v-60", "v-59", "v-58", "v-57", imported.id]
    assert [each.id for each in world.copied] == ["v-56", "v-55"]
    assert (made["deleted"], made["kept_of_older_days"]) == (2, 5)
    world.store.publish("2", {labels_path("support", "b"): None}, "m", {})
    assert world.run()["deleted"] == 1, "no dataset names it any more"


def test_first_answers_of_versions_that_serve_stay_for_reference_and_baseline(world: World) -> None:
    world.requests(*range(100, 80, -1), version="gone")
    world.requests(*range(80, 60, -1), version="now")
    world.requests(*range(60, 50, -1), version="standby")
    world.serving.give(world.today - 66 * DAY, production="now", standby="standby")
    world.run()
    first, baseline = [f"now-{n}" for n in range(80, 70, -1)], ["now-66", "now-65"]
    assert world.left == [*first, *baseline, *(f"standby-{n}" for n in range(60, 50, -1))]
    assert world.run()["deleted"] == 0, "they are still the first"


def test_what_a_reference_is_a_sample_of_stays_and_gives_the_same_reference_again(world: World) -> None:
    """A quiet start, a busy hour, and quiet days: the first answers of all would be those of the hour."""
    world.loop = world.loop.model_copy(update={"retrain_on": loop_config("support", retrain_on={"drift": DRIFT | SPAN}).retrain_on})
    world.requests(*range(100, 60, -1), *(99 + n / 1000 for n in range(1, 20)), version="now")
    world.serving.give(world.today - 63 * DAY, production="now")
    policy = world.loop.retrain_on.drift
    about = (world.log, "support", "now", wanted_answers(policy, trained=False), policy.reference_span, world.today)
    before = first_answers(*about)
    assert before is not None
    first = world.log.exchanges("support", limit=len(before.answers))
    assert [each.id for each in before.answers] != [each.id for each in first]
    assert world.run()["deleted"] > 40
    assert first_answers(*about) == before
    assert world.run()["deleted"] == 0


def test_nothing_is_deleted_while_the_span_of_a_reference_is_not_over(world: World) -> None:
    world.limit(max_gb=1e-7)
    world.loop = world.loop.model_copy(update={"retrain_on": loop_config("support", retrain_on={"drift": DRIFT | SPAN}).retrain_on})
    world.requests(*(4 - n / 10 for n in range(30)), version="now")
    world.requests(*range(30, 20, -1), version="gone")
    world.serving.give(world.today - 4 * DAY, production="now")
    world.run()
    assert len(world.left) == 30
    assert all(name.startswith("now-") for name in world.left)


def test_nothing_is_deleted_that_a_running_canary_is_judged_by(world: World) -> None:
    world.requests(60, 50, 45, version="p")
    world.serving.give(world.today - 48 * DAY, production="p", candidate="c", weight=5)
    world.run()
    assert world.left == ["p-60", "p-50", "p-45"], "first answers"
    world.requests(61.5, 61.4, 47.5, version="x")
    world.run()
    assert world.left == ["p-60", "p-50", "x-47.5", "p-45"]


def test_the_oldest_days_go_until_the_log_is_small_enough(world: World) -> None:
    text = "".join(f"{n} how much is the fish " for n in range(2000))
    world.requests(*range(30, 0, -1), answer=text)
    size = sum(day.bytes for day in world.log.days("support"))
    world.limit(max_gb=size / 1e9 / 2.9)
    made = world.run()
    assert made["passed"]
    assert "the limit is" in made["sentence"]
    assert world.left == [f"v-{n}" for n in range(10, 0, -1)]
    assert (made["deleted"], made["reason"]) == (20, "above traffic.max_gb")
    world.limit(max_gb=size / 1e9 / 300)
    made = world.run()
    assert world.left == ["v-2", "v-1"], "two drift windows are read by reports"
    assert not made["passed"]
    assert "raise traffic.max_gb" in made["sentence"]


def test_the_file_gets_smaller_and_readers_go_on(small: World, tmp_path: Path) -> None:
    text = "".join(f"{n} how much is the fish " for n in range(1000))
    small.requests(*(30 + n / 20 for n in range(0, 400)), answer=text)
    before = (tmp_path / "traffic.db").stat().st_size
    made = small.run()
    assert made["deleted"] > 180
    assert (tmp_path / "traffic.db").stat().st_size < 0.7 * before
    assert made["log_bytes_after"] < 0.7 * made["log_bytes_before"]
    assert made["log_bytes_free"] < 0.05 * made["log_bytes_after"]


def test_vectors_of_deleted_days_are_dropped(small: World) -> None:
    made = small.requests(60, 50, 5)
    points = [QueryVector(each.id, each.at, "v", each.prompt, np.eye(4, dtype=np.float32)[0]) for each in made]
    small.vectors.add("support", EMBEDDER, points)
    small.run()
    assert [point.request_id for point in small.vectors.find("support", EMBEDDER, [each.id for each in made])] == ["v-5"]


def test_what_sensors_and_reports_ask_of_the_log_stays_the_same(world: World) -> None:
    world.requests(*range(90, 45, -1), said=True)
    world.requests(*range(29, 0, -1), said=True)
    since, drift = world.today - 30 * DAY, world.today - 2 * DAY

    def asked() -> tuple[Any, ...]:
        return (
            world.log.corrected("support", since, since),
            world.log.reviewed("support", since),
            world.log.feedback_counts("support", "v", drift),
            world.log.outcomes("support", ["v"], drift),
            world.log.count("support", since, answered=True),
            world.log.time_of_newest("support", "v", 10, since),
            list(world.log.stream("support", since, answered=True)),
        )

    before = asked()
    assert world.run()["deleted"] == 45
    assert asked() == before


def test_memory_is_that_of_a_batch(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic_retention, "BATCH_ROWS", 7)
    monkeypatch.setattr(traffic_retention, "BATCH_CHARACTERS", 1000)
    small.requests(*(60 + n / 100 for n in range(50)), answer="x" * 90)
    sizes: list[int] = []
    real = DayFiles.add

    def counted(self: DayFiles, loop: str, day: int, rows: Any) -> Any:
        sizes.append(len(rows))
        return real(self, loop, day, rows)

    monkeypatch.setattr(DayFiles, "add", counted)
    assert small.run()["deleted"] == 50
    assert sum(sizes) == 50
    assert max(sizes) == 7
    assert len(small.copied) == 50


def test_the_node_is_there_only_when_asked_for_and_one_run_at_a_time_works_on_it() -> None:
    def names(**limits: Any) -> set[str]:
        made, _ = graph.build(loop_config("support", traffic=limits))
        return {key.path[-1] for each in made for key in ([each.key] if isinstance(each, dg.AssetSpec) else each.keys)}

    assert "traffic_retention" not in names()
    assert "traffic_retention" in names(keep="90d") & names(max_gb=50)
    assert ("traffic_retention",) in ALONE
