"""A marker that one user writes reaches every store on the product's own paths; once the user is forgotten, no byte of it is left.

What history keeps is named: objects of the dataset store that only commits of the report reach.
"""

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
import requests

from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.cli.commands.forget import Forgotten, folders_of_days, forget, user_of
from ftassets.cli.commands.import_traffic import import_traffic
from ftassets.cli.commands.labelling import label_export, label_import
from ftassets.config.profiles import TRAFFIC_URL, VARIABLES, artifacts, embedded
from ftassets.config.profiles import traffic_log as traffic_log_of
from ftassets.domain.traffic.exchange import hashed_user, keyed_user
from ftassets.testing.postgres_server import PostgresServer, binaries
from ftassets.testing.tiny_loop import LOOP, ROOMS, TinyLoop, tiny_loop

WORD = "quokkazanzi"  # in every text of the user who is forgotten, and nowhere else
USER = "mallory@example.com"


def places(home: Path) -> dict[str, list[str]]:
    """Files below a home that have the marker, with how it was found: as it is, in a git object, in Parquet or in an npz file."""
    found = {str(path.relative_to(home)): _found(path.read_bytes()) for path in sorted(home.rglob("*")) if path.is_file()}
    return {name: ways for name, ways in found.items() if ways}


def _found(content: bytes, inner: bool = False) -> list[str]:
    marker = WORD.encode()
    ways = ["bytes"] if marker in content or WORD.encode("utf-16-le") in content else []
    if content[:4] == b"PAR1" and marker in repr(pq.read_table(io.BytesIO(content)).to_pylist()).encode():
        ways.append("parquet")
    if content[:2] == b"PK":
        with np.load(io.BytesIO(content)) as arrays:
            ways += [name for name in arrays.files if marker in arrays[name].tobytes() or WORD in repr(arrays[name].tolist())]
    if not inner:
        with contextlib.suppress(zlib.error):
            ways += [f"git {way}" for way in _found(zlib.decompress(content).partition(b"\0")[2], inner=True)]
    return ways


def on_main(store: GitDatasetStore) -> list[str]:
    """Paths of the newest commit with the marker."""
    return [path for path in store.list("main", "") if _found(store.read("main", path))]


@dataclasses.dataclass
class Talk:
    """One loop, and the requests that a user sent."""

    tiny: TinyLoop
    ids: list[str] = dataclasses.field(default_factory=list)

    def ask(self, user: str, text: str) -> str:
        body = {"model": LOOP, "messages": [{"role": "user", "content": text}], "user": user}
        response = requests.post(f"{self.tiny.url}/v1/chat/completions", json=body, timeout=60)
        assert response.status_code == 200, response.text
        name = str(response.json()["id"])
        self.ids += [name] if user == USER else []
        return name

    def say(self, name: str, **feedback: str) -> None:
        assert requests.post(f"{self.tiny.url}/v1/feedback", json={"id": name, **feedback}, timeout=10).ok

    def speak(self) -> None:
        """Questions of eight users, a third of them of the one who is forgotten, with corrections and thumbs."""
        for number, room in enumerate(ROOMS * 9):
            mine = number % 3 == 0
            text = f"{WORD if mine else 'please'} open curtain number {number} facing the {room} window"
            name = self.ask(USER if mine else f"user{number % 7}", text)
            if number % 2 == 0:
                self.say(
                    name,
                    correction=f"I will open {WORD if mine else 'the'} curtain {number} in the {room}.",
                    comment=f"{WORD if mine else 'it'} opened the wrong one",
                )
            elif number % 5 == 0:
                self.say(name, rating="up")
        self.say(self.ask(USER, f"{WORD} " + "aaaa " * 9), correction="no")  # for the quarantine
        self.ask(USER, f"{WORD} is a word that nobody labelled yet")

    def label(self, folder: Path) -> None:
        """A labelling batch with requests of the user, answered by an annotator."""
        log, store, loop = traffic_log_of(self.tiny.home), embedded(self.tiny.home)["dataset_store"](), self.tiny.loop
        batch = label_export(log, store, loop, "jsonl", 500, 0.0, set(), None)
        rows = [json.loads(line) for line in batch.text.splitlines()]
        answered = [{**row, "completion": f"Label of {row['prompt']}", "annotator": "ann"} for row in rows if WORD in row["prompt"]]
        assert answered
        text = "".join(json.dumps(row) + "\n" for row in answered)
        assert label_import(log, store, loop, text, "jsonl", "week", "labels-1").added == len(answered)

    def bring(self, folder: Path, name: str = "c1", days: float = 0) -> None:
        """A log of elsewhere with a row of the same user."""
        row = {
            "id": name, "user": USER, "model": "old", "created": time.time() - 500 - days * 86400,
            "messages": [{"role": "user", "content": f"{WORD} from elsewhere"}, {"role": "assistant", "content": "Done."}],
        }  # fmt: skip
        file = folder / "chat.jsonl"
        file.write_text(json.dumps(row) + "\n")
        home = self.tiny.home
        assert import_traffic(traffic_log_of(home), self.tiny.loop, [file], "chat", secret=home.user_secret()).stored == 1
        file.unlink()


def forgotten(talk: Talk, **who: str) -> Forgotten:
    home = talk.tiny.home
    local = embedded(home)
    days = folders_of_days(home, [talk.tiny.loop])
    stores = traffic_log_of(home), local["vector_store"](), local["dataset_store"](), artifacts(home)
    return forget([LOOP], *stores, who.get("user"), who.get("request"), days, home.work)


@contextmanager
def loop_with_dagster_in_its_home(folder: Path, **changes: Any) -> Iterator[Talk]:
    with tiny_loop(folder, task_type="text", monitors={"sample": 20}, **changes) as tiny:
        storage = tiny.home.root / "dagster"
        storage.mkdir()
        with dg.DagsterInstance.local_temp(str(storage)) as instance:
            local = {name: embedded(tiny.home)[name]() for name in ("dataset_store", "vector_store", "registry")}
            yield Talk(dataclasses.replace(tiny, instance=instance, resources=tiny.resources | local))


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(600)
def test_no_byte_of_a_forgotten_user_is_left_but_in_the_commits_that_are_named(tmp_path: Path) -> None:
    with loop_with_dagster_in_its_home(tmp_path) as talk:
        tiny, home, store = talk.tiny, talk.tiny.home, embedded(talk.tiny.home)["dataset_store"]()
        assert tiny.run("retrain").success
        assert tiny.move("start").success
        assert places(home.root) == {}
        talk.speak()
        talk.label(tmp_path)
        talk.bring(tmp_path)
        for job in ("watch", "retrain", "watch"):
            assert tiny.run(job).success
        assert tiny.materialize("live_golden_report", "quality_report", "behaviour_report", "preference_pairs").success
        left_over = home.work / "killed" / "train.jsonl"
        left_over.parent.mkdir(parents=True)
        left_over.write_text(WORD)
        for path in (left_over, left_over.parent):
            os.utime(path, (0, 0))

        before = on_main(store)
        assert {path.split("/")[1] for path in before} == {"dataset", "labels", "preferences"}
        assert any("quarantine" in path for path in before)
        assert {name.split("/")[0] for name in places(home.root)} >= {"traffic.db-wal", "vectors", "datasets.git", "work"}

        user = keyed_user(hashed_user(USER), home.user_secret())
        assert user_of(traffic_log_of(home), "c1") == user == user_of(traffic_log_of(home), talk.ids[0]), "one hash on both ways"
        report = forgotten(talk, user=user)

        assert set(report.requests) == {*talk.ids, "chat:c1"}
        assert report.erased["rows of the traffic log"] == len(talk.ids) + 1
        empty = [name for name, count in report.erased.items() if not count]
        assert empty == ["rows of exported days"], report.erased
        outside = [name for name in places(home.root) if not name.startswith("datasets.git/objects/")]
        assert outside == []
        assert {path.split("/")[1] for path in on_main(store)} <= {"dataset"}
        assert "quarantine" not in "".join(on_main(store))
        assert {item["commit"] for item in report.commits} == commits_with_the_marker(store)
        assert "commits named above are history" in report.stays

        again = forgotten(talk, user=user)
        assert (again.requests, {name for name, count in again.erased.items() if count}) == ([], set())
        assert tiny.materialize("curated_dataset").success
        assert on_main(store) == []


def commits_with_the_marker(store: GitDatasetStore) -> set[str]:
    """Merges that brought a file with the marker, and those of datasets that have it."""
    found = set()
    for commit in store.log("main", limit=1000):
        if len(commit.parents) > 1:
            paths = {change.path for change in store.diff(commit.parents[0], commit.id) if change.kind != "removed"}
            paths.update(store.list(commit.id, f"{LOOP}/dataset") if "content_hash" in commit.metadata else ())
            found |= {commit.id} if any(_found(store.read(commit.id, path)) for path in paths) else set()
    return found


@pytest.mark.models
@pytest.mark.timeout(300)
def test_nothing_is_left_in_postgres_and_in_exported_days(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.account()
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    monkeypatch.setenv(TRAFFIC_URL, url)
    for name in chain(*VARIABLES["production"].values()):  # the log is what this is about: the rest stays in the home
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with loop_with_dagster_in_its_home(tmp_path, traffic={"keep": "40d"}) as talk:
        home = talk.tiny.home
        talk.bring(tmp_path, "c1", days=100)
        talk.bring(tmp_path, "c2", days=0)
        talk.say("chat:c2", correction=f"no, {WORD}")
        assert talk.tiny.materialize("traffic_retention").success
        assert {Path(name).parts[0] for name in places(home.root)} == {"traffic_export"}
        assert WORD in dump(url)
        report = forgotten(talk, user=keyed_user(hashed_user(USER), home.user_secret()))
        assert report.requests == ["chat:c1", "chat:c2"]
        assert (report.erased["rows of the traffic log"], report.erased["rows of exported days"]) == (1, 1)
        assert places(home.root) == {}
        assert WORD not in dump(url)


def dump(url: str) -> str:
    """All rows of the user's tables."""
    folder = binaries()
    assert folder is not None
    return subprocess.run([folder / "pg_dump", "--data-only", "--inserts", url], check=True, capture_output=True, text=True).stdout
