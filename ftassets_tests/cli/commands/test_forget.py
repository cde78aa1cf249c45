"""Forgetting a user: gone from log, vectors, labels and pairs; the report names what history keeps."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftassets.assets._shared.dataset_files import (
    dataset_objects,
    from_parquet,
    labels_path,
    pairs_from_parquet,
    pairs_path,
    pairs_to_parquet,
    quarantine_from_parquet,
    quarantine_path,
    rated_from_parquet,
    rated_path,
    rated_to_parquet,
    readable,
    refused_branch,
    row_names,
    seed_path,
    to_parquet,
)
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.artifacts.version_folder import MANIFEST
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.traffic_log.day_files import DayFiles, Moved, read
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.backends.vector_store.base import QueryVector
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.cli.commands.forget import COPIES_STAY, folders_of_days, forget, user_of
from ftassets.cli.commands.user_texts import DatasetFiles, DayRows, LogRows, ModelAnswers, Vectors
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS, read_loops
from ftassets.domain.canonical import canonical_json
from ftassets.domain.chat import question
from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rated import Rated
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.errors import InvalidInput

LOOP = read_loops(LOOPS)["support_triage"]
NAME = LOOP.name


def exchange(number: int, user: str) -> Exchange:
    return Exchange(
        id=f"r{number}", loop=NAME, version="v", user=user, prompt=f"secret {number}", messages="[]", answer="{}", status=200,
        at=100.0 + number, latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
    )  # fmt: skip


def example(number: int, user: str, source: str = "correction") -> Example:
    return Example(
        id=f"{source}-{number}", messages=question(f"secret {number}"), completion="{}", source=source, user=user, request_id=f"r{number}"
    )


@pytest.fixture
def parts(tmp_path: Path) -> dict:
    log, vectors, store = SqliteTrafficLog(tmp_path / "t.db"), QdrantVectorStore(tmp_path / "vectors"), GitDatasetStore(tmp_path / "d.git")
    log.append([exchange(n, "ann" if n < 3 else "bob") for n in range(6)])
    log.add_feedback(Feedback("r1", 200.0, "down", "{}"))
    vectors.add(NAME, "e", [QueryVector(f"r{n}", 100.0 + n, "v", f"secret {n}", np.eye(8)[n]) for n in range(6)])
    rows = {"train": [example(n, "ann" if n < 3 else "bob") for n in range(6)], "validation": [], "test": []}
    objects = dataset_objects(store, NAME, rows, [], {}, {}, "first")
    dataset = store.publish("run1", objects, "dataset", {"loop": NAME, "content_hash": "x"}).commit
    pairs = [
        Pair(
            messages=question("p"),
            chosen="{}",
            rejected="x",
            source="correction",
            request_id=f"r{n}",
            user=user,
            at=1.0,
            version="v",
            weight=100.0,
        )
        for n, user in ((1, "ann"), (4, "bob"))
    ]
    written = {
        labels_path(NAME, "b"): to_parquet([example(n, "annotator", "label") for n in (2, 5)]),
        pairs_path(NAME): pairs_to_parquet(pairs),
    }
    labels = store.publish("run2", written, "labels and pairs", {"loop": NAME}).commit
    manifest = VersionManifest(
        kind="adapter", base_model="b", files={"a": "0"}, tokenizer_digest="t", generation={}, dataset_commit=dataset
    )
    folder = tmp_path / "versions" / manifest.digest
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_bytes(canonical_json(manifest.model_dump()))
    return {
        "traffic_log": log,
        "vector_store": vectors,
        "dataset_store": store,
        "artifacts": FolderArtifacts(tmp_path),
        "dataset": dataset,
        "labels": labels,
    }


def run(parts: dict, loops: tuple[str, ...] = (NAME,), **who: Any) -> dict:
    return asdict(forget(loops, parts["traffic_log"], parts["vector_store"], parts["dataset_store"], parts["artifacts"], **who))


def test_a_user_is_gone_and_others_stay(parts: dict) -> None:
    report = run(parts, user="ann")
    assert report["requests"] == ["r0", "r1", "r2"]
    assert [e.id for e in parts["traffic_log"].exchanges(NAME)] == ["r3", "r4", "r5"]
    assert {p.request_id for p in parts["vector_store"].window(NAME, "e", 0, 1e9, 99)} == {"r3", "r4", "r5"}
    store = parts["dataset_store"]
    assert [row.request_id for row in from_parquet(store.read("main", labels_path(NAME, "b")))] == ["r5"]
    assert [pair.user for pair in pairs_from_parquet(store.read("main", pairs_path(NAME)))] == ["bob"]


def test_rated_answers_of_a_user_are_gone_and_their_commit_is_named(parts: dict) -> None:
    store, known = parts["dataset_store"], {"answer": "x", "rating": "down", "source": "thumbs", "at": 1.0, "version": "v", "weight": 9.0}
    rated = [Rated(messages=question("p"), request_id=f"r{n}", user=user, **known) for n, user in ((1, "ann"), (4, "bob"))]
    commit = store.publish("rated", {rated_path(NAME): rated_to_parquet(rated)}, "rated answers", {"loop": NAME}).commit
    report = run(parts, user="ann")
    assert [row.user for row in rated_from_parquet(store.read("main", rated_path(NAME)))] == ["bob"]
    assert {"loop": NAME, "commit": commit, "rows": 1} in report["commits"]


def test_copies_of_days_that_left_the_log_are_cleaned_and_their_ids_remembered(parts: dict, tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "traffic_export")
    log, store = parts["traffic_log"], parts["dataset_store"]
    gone = [exchange(n, "ann" if n < 3 else "bob") for n in (0, 1, 2, 3)]
    files.add(NAME, 0, [Moved(row, log.feedback_events([row.id]).get(row.id, [])) for row in gone])
    log.remove(NAME, {each.exchange.id: len(each.feedback) for each in read(files.files(NAME, 0)[0])})
    dropped = [Quarantined("schema:correction:r1", "why", "secret 1"), Quarantined("dedup:r4", "why", "secret 4")]
    store.publish("q", dataset_objects(store, NAME, {"train": [example(7, "carl")]}, dropped, {}, {}, "q"), "q", {"loop": NAME})
    assert (user_of(log, "r2", [files]), log.count(NAME)) == ("ann", 2)
    report = run(parts, user="ann", day_files=[files])
    assert report["requests"] == ["r0", "r1", "r2"]
    assert [row.id for row in files.find(NAME, ids={f"r{n}" for n in range(9)})] == ["r3"]
    assert {p.request_id for p in parts["vector_store"].window(NAME, "e", 0, 1e9, 99)} == {"r3", "r4", "r5"}
    assert quarantine_from_parquet(store.read("main", quarantine_path(NAME))) == dropped[1:]
    assert log.append(gone) == 1, "an import does not bring them back"
    assert b"secret 1" not in b"".join(path.read_bytes() for path in files.folder.rglob("*") if path.is_file())
    assert run(parts, request="r3", day_files=[files])["requests"] == ["r3"]
    assert files.loops() == []
    assert run(parts, request="r3", day_files=[files])["earlier"]


def test_what_was_killed_before_the_copies_were_cleaned_is_finished_by_the_next_call(parts: dict, tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "traffic_export")
    files.add(NAME, 0, [Moved(exchange(0, "ann"), ()), Moved(exchange(9, "bob"), ())])
    parts["traffic_log"].forget(user="ann", request_ids=["r0"])
    run(parts, user="ann", day_files=[files])
    assert [row.id for row in files.find(NAME, ids={"r0", "r9"})] == ["r9"]


def test_a_later_turn_that_left_the_log_is_named(parts: dict, tmp_path: Path) -> None:
    first = [{"role": "user", "content": "secret"}]
    files = DayFiles(tmp_path / "traffic_export")
    turns = [
        replace(exchange(20, "eve"), messages=json.dumps(first)),
        replace(exchange(21, "eve"), messages=json.dumps([*first, {"role": "user", "content": "yes"}])),
    ]
    files.add(NAME, 0, [Moved(turn, ()) for turn in turns])
    assert run(parts, request="r20", day_files=[files])["repeated"] == ["r21"]


def test_folders_that_loop_files_name_are_searched_too(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    loop = LOOP.model_copy(update={"traffic": LOOP.traffic.model_copy(update={"export": tmp_path / "disk"})})
    with pytest.raises(InvalidInput, match="disk, the folder of traffic.export, is not there.*mount it"):
        folders_of_days(home, [loop, LOOP])
    (tmp_path / "disk").mkdir()
    assert [each.folder for each in folders_of_days(home, [loop])] == [tmp_path / "disk"]
    home.traffic_export.mkdir(parents=True)
    assert [each.folder for each in folders_of_days(home, [loop, LOOP])] == [tmp_path / "disk", home.traffic_export]


def test_the_report_names_commits_and_versions_that_hold_the_rows(parts: dict) -> None:
    report = run(parts, user="ann")
    assert report["commits"] == [
        {"loop": NAME, "commit": parts["labels"], "rows": 2},
        {"loop": NAME, "commit": parts["dataset"], "rows": 3},
    ]
    assert [version["dataset_commit"] for version in report["versions"]] == [parts["dataset"]]


def test_the_report_names_refused_datasets_that_hold_the_rows(parts: dict) -> None:
    store = parts["dataset_store"]
    rows = {"train": [example(1, "ann"), example(7, "carl")], "validation": [], "test": []}
    files = dataset_objects(store, NAME, rows, [], {}, {}, "refused")
    commit = store.set_aside(refused_branch(NAME, "run9"), "run9", files, "refused", {"loop": NAME, "content_hash": "y"})
    store.set_aside(refused_branch("other", "run9"), "run10", files, "refused", {"loop": "other", "content_hash": "y"})
    assert {"loop": NAME, "commit": commit, "rows": 1} in run(parts, user="ann")["commits"]


def test_commits_of_labels_are_named_in_a_home_without_a_dataset_and_so_is_what_a_killed_process_left(tmp_path: Path) -> None:
    store, log = GitDatasetStore(tmp_path / "d.git"), SqliteTrafficLog(tmp_path / "t.db")
    log.append([exchange(n, "ann") for n in range(3)])
    batches = [[1], [1, 2], [2]]
    for place, rows in enumerate(batches):
        labels = {labels_path(NAME, "b"): to_parquet([example(n, "annotator", "label") for n in rows])}
        store.publish(f"run{place}", labels, "labels", {"loop": NAME})
    store.publish("other", {seed_path(NAME): to_parquet([example(7, "")])}, "seed", {"loop": NAME})
    store.branch("run/killed")
    store.put("run/killed", pairs_path(NAME), pairs_to_parquet([]))
    store.put("run/killed", labels_path(NAME, "c"), to_parquet([example(0, "annotator", "label")]))
    killed = store.commit("run/killed", "pairs", {"loop": NAME})
    new = {"vector_store": QdrantVectorStore(tmp_path / "v"), "artifacts": FolderArtifacts(tmp_path)}
    report = run({"traffic_log": log, "dataset_store": store, **new}, user="ann")
    assert [item["rows"] for item in report["commits"]] == [1, 2, 1, 1]
    assert report["commits"][-1]["commit"] == killed
    assert "keep the rows" in report["stays"]


def test_quarantined_rows_are_named_and_leave_the_quarantine_of_main(parts: dict) -> None:
    store = parts["dataset_store"]
    wheres = ("schema:correction:r1", "dedup:label:r2", "pii:r1", "schema:label:label:r0", "dedup:r4", "dedup:r10", "schema:seed:3")
    dropped = [Quarantined(where, "why", f"text of {where}") for where in wheres]
    rows = {"train": [example(7, "carl")], "validation": [], "test": []}
    facts = {"loop": NAME, "content_hash": "y"}
    main = store.publish("q1", dataset_objects(store, NAME, rows, dropped, {}, {}, "q"), "quarantine", facts).commit
    files = dataset_objects(store, NAME, rows, dropped[:1], {}, {}, "q")
    refused = store.set_aside(refused_branch(NAME, "run9"), "run9", files, "refused", facts)
    report = run(parts, user="ann")
    assert {item["commit"]: item["rows"] for item in report["commits"]} == {parts["dataset"]: 3, parts["labels"]: 2, main: 4, refused: 1}
    assert "the commits named above are history and keep the rows" in report["stays"]
    left = quarantine_from_parquet(store.read("main", quarantine_path(NAME)))
    assert left == dropped[4:]


def test_what_stays_is_said_only_of_what_was_named(parts: dict) -> None:
    parts["traffic_log"].append([exchange(8, "dora")])
    report = run(parts, user="dora")
    assert (report["requests"], report["commits"], report["stays"]) == (["r8"], [], COPIES_STAY)


def test_an_unknown_request_is_refused_and_not_remembered(parts: dict) -> None:
    with pytest.raises(InvalidInput, match="no request nope"):
        run(parts, request="nope")
    assert parts["traffic_log"].forgotten() == set()


def test_a_request_that_was_forgotten_earlier_is_not_counted_again(parts: dict) -> None:
    assert run(parts, request="r4")["earlier"] is False
    again = run(parts, request="r4")
    assert (again["earlier"], again["requests"]) == (True, [])
    assert [item["commit"] for item in again["commits"]] == [parts["labels"], parts["dataset"]]


def test_a_label_whose_request_the_log_never_had_is_forgotten(parts: dict) -> None:
    store = parts["dataset_store"]
    store.publish("run3", {labels_path(NAME, "c"): to_parquet([example(50, "annotator", "label")])}, "label", {"loop": NAME})
    report = run(parts, request="r50")
    assert (report["requests"], report["earlier"]) == ([], False)
    assert labels_path(NAME, "c") not in store.list("main", NAME)
    assert parts["traffic_log"].forgotten() == {"r50"}


def test_an_annotator_is_a_user_whose_labels_are_forgotten(parts: dict) -> None:
    report = run(parts, user="annotator")
    assert (report["requests"], report["erased"]["labels, pairs and quarantined rows"]) == ([], 2)
    assert labels_path(NAME, "b") not in parts["dataset_store"].list("main", NAME)
    assert len(parts["traffic_log"].exchanges(NAME)) == 6


def test_a_request_of_a_loop_that_nothing_else_knows_is_forgotten(parts: dict) -> None:
    parts["traffic_log"].append([replace(exchange(9, "ann"), loop="elsewhere")])
    assert run(parts, request="r9")["requests"] == ["r9"]


def test_the_user_of_a_request_is_looked_up(parts: dict) -> None:
    log = parts["traffic_log"]
    log.append([exchange(9, "")])
    assert user_of(log, "r4") == "bob"
    with pytest.raises(InvalidInput, match="no request nope"):
        user_of(log, "nope")
    with pytest.raises(InvalidInput, match="has no user"):
        user_of(log, "r9")


def test_a_loop_whose_file_is_not_here_is_searched_too(parts: dict) -> None:
    report = run(parts, loops=(), user="ann")
    assert [item["loop"] for item in report["commits"]] == [NAME] * 2
    assert {pair.user for pair in pairs_from_parquet(parts["dataset_store"].read("main", pairs_path(NAME)))} == {"bob"}


def test_one_request_is_forgotten_alone(parts: dict) -> None:
    assert run(parts, request="r4")["requests"] == ["r4"]
    assert [e.id for e in parts["traffic_log"].exchanges(NAME)] == ["r0", "r1", "r2", "r3", "r5"]


def test_later_turns_that_repeat_a_forgotten_request_are_named(parts: dict) -> None:
    def turn(number: int, user: str, *turns: str, tools: bool = False) -> Exchange:
        messages = [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(turns)]
        request = json.dumps({"messages": messages, "tools": [{"type": "function", "function": {"name": "f"}}]} if tools else messages)
        return replace(exchange(number, user), messages=request)

    talk = ("my secret", "A refund?")
    rows = [
        turn(20, "eve", talk[0]),
        turn(21, "eve", *talk, "yes"),
        turn(22, "eve", *talk, "yes", "Done.", "thanks", tools=True),
        turn(23, "mallory", *talk, "yes"),
        turn(24, "eve", "something else"),
    ]
    parts["traffic_log"].append(rows)
    report = run(parts, request="r20")
    assert (report["requests"], report["repeated"]) == (["r20"], ["r21", "r22"])
    assert run(parts, request="r21")["repeated"] == ["r22"]
    assert run(parts, user="eve")["repeated"] == []
    assert "secret" not in "".join(e.messages for e in parts["traffic_log"].exchanges(NAME) if e.user == "eve")


def test_doing_it_again_changes_nothing_and_still_reports(parts: dict) -> None:
    first = run(parts, user="ann")
    head = parts["dataset_store"].resolve("main")
    again = run(parts, user="ann")
    assert parts["dataset_store"].resolve("main") == head
    assert again["commits"] == first["commits"]


def test_a_damaged_version_is_in_the_report_and_hides_no_other(parts: dict, tmp_path: Path) -> None:
    damaged = tmp_path / "versions" / "0damaged"
    damaged.mkdir()
    (damaged / MANIFEST).write_text("{")
    report = run(parts, user="ann")
    [unreadable] = report["unreadable"]
    assert unreadable["version"] == "0damaged"
    assert "no readable manifest" in unreadable["reason"]
    assert [version["dataset_commit"] for version in report["versions"]] == [parts["dataset"]]


def test_nobody_to_forget_is_an_error(parts: dict) -> None:
    with pytest.raises(ValueError, match="user"):
        run(parts)


def test_an_empty_user_is_refused_and_anonymous_rows_stay(parts: dict) -> None:
    parts["traffic_log"].append([exchange(7, "")])
    with pytest.raises(InvalidInput, match="user to forget is empty"):
        run(parts, user="", request="r1")
    assert len(parts["traffic_log"].exchanges(NAME)) == 7


def test_an_imported_request_is_known_by_the_id_of_its_source_too(parts: dict) -> None:
    parts["traffic_log"].append([replace(exchange(9, "ann"), id="chat:c1"), replace(exchange(10, "bob"), id="otel:c2")])
    assert user_of(parts["traffic_log"], "c2") == "bob"
    assert run(parts, request="c1")["requests"] == ["chat:c1"]
    assert run(parts, request="c1")["earlier"]


def test_an_id_that_two_sources_gave_is_refused(parts: dict) -> None:
    parts["traffic_log"].append([replace(exchange(n, "ann"), id=name) for n, name in ((9, "chat:c1"), (10, "otel:c1"))])
    with pytest.raises(InvalidInput, match="several requests: chat:c1, otel:c1"):
        run(parts, request="c1")
    assert parts["traffic_log"].forgotten() == set()
    assert run(parts, request="otel:c1")["requests"] == ["otel:c1"]


def test_an_imported_request_is_known_by_the_id_of_its_source_where_the_import_added_to_it(parts: dict, tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "traffic_export")
    files.add(NAME, 0, [Moved(replace(exchange(11, "eve"), id="otel:m1:67378e4463089b35"), ())])
    names = [(9, "ann", "chat:turns:2"), (10, "bob", "chat:d1"), (12, "carl", "chat:d1:e4463089b35d9915"), (13, "dora", "chat:d12")]
    parts["traffic_log"].append([replace(exchange(n, user), id=name) for n, user, name in names])
    assert user_of(parts["traffic_log"], "m1", [files]) == "eve"
    assert run(parts, request="turns")["requests"] == ["chat:turns:2"]
    assert run(parts, request="turns")["earlier"]
    assert run(parts, request="m1", day_files=[files])["requests"] == ["otel:m1:67378e4463089b35"]
    with pytest.raises(InvalidInput, match="d1 is the id of requests of several users: chat:d1, chat:d1:e4463089b35d9915"):
        user_of(parts["traffic_log"], "d1")
    with pytest.raises(InvalidInput, match="several requests: chat:d1, chat:d1:e4463089b35d9915; name one"):
        run(parts, request="d1")
    assert run(parts, request="chat:d1")["requests"] == ["chat:d1"]
    assert run(parts, request="d1")["requests"] == ["chat:d1:e4463089b35d9915"]


@pytest.mark.parametrize(
    ("user", "hint"), [("marker-user", "is not a hash"), ("deadbeef" * 4, "no store here has anything of the user dead")]
)
def test_an_unknown_user_is_refused(parts: dict, user: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=hint):
        run(parts, user=user)
    assert len(parts["traffic_log"].exchanges(NAME)) == 6


def test_counts_are_of_what_was_there(parts: dict) -> None:
    report = run(parts, user="ann")
    assert {name: count for name, count in report["erased"].items() if count} == {
        "rows of the traffic log": 3, "query vectors": 3, "labels, pairs and quarantined rows": 2,
    }  # fmt: skip
    assert set(run(parts, user="ann")["erased"].values()) == {0}


def whole(parts: dict, tmp_path: Path) -> list[DayFiles]:
    """The parts with rows of ann in every store that can be changed, in the log, and in a copy of a day only."""
    files = DayFiles(tmp_path / "traffic_export")
    files.add(NAME, 0, [Moved(exchange(8, "ann"), ())])
    store = parts["dataset_store"]
    parts["traffic_log"].append([replace(exchange(9, "ann"), prompt="My parcel of last week was never delivered")])
    copied = [Example(id="s1", messages=question("my parcel of last week was never delivered"), completion="{}")]
    store.publish("seed", {seed_path(NAME): to_parquet(copied)}, "seed", {"loop": NAME})
    for number, lost in enumerate(([f"schema:correction:r{n}" for n in (1, 8)], ["dedup:r4"])):  # the first commit is history
        dropped = [Quarantined(where, "why", "text") for where in lost]
        objects = dataset_objects(store, NAME, {"train": [example(7, "carl")]}, dropped, {}, {}, f"q{number}")
        store.publish(f"q{number}", objects, "dataset", {"loop": NAME, "content_hash": "y"})
    return [files]


def mutations(monkeypatch: pytest.MonkeyPatch, dies_after: int) -> list[str]:
    """The names of the stores that are changed; the process ends when so many of them were."""
    done: list[str] = []

    def dying(act: Any) -> Any:
        def acts(self: Any, who: Any) -> Any:
            found = act(self, who)
            done.append(self.name)
            if len(done) == dies_after:
                raise KeyboardInterrupt
            return found

        return acts

    for kind, name in ((DayRows, "erase"), (Vectors, "erase"), (DatasetFiles, "erase"), (ModelAnswers, "erase"), (LogRows, "forget")):
        monkeypatch.setattr(kind, name, dying(getattr(kind, name)))
    return done


@pytest.mark.parametrize("dies_after", range(1, 9))
def test_a_call_that_was_killed_is_finished_by_the_next_one_with_the_same_report(
    parts: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    files = whole(parts, tmp_path)
    with monkeypatch.context() as patch:
        done = mutations(patch, dies_after)
        with pytest.raises(KeyboardInterrupt):
            run(parts, user="ann", day_files=files)
    report = run(parts, user="ann", day_files=files)
    history = [(item["commit"], item["rows"]) for item in report["commits"]]
    assert [rows for _, rows in history] == [2, 2, 3]
    assert [commit for commit, _ in history[1:]] == [parts["labels"], parts["dataset"]]
    assert [version["dataset_commit"] for version in report["versions"]] == [parts["dataset"]]
    gone = LogRows.name in done
    assert report["earlier"] is gone
    assert [item["rows"] for item in report["written"]] == ([] if gone else [1]), "what they asked is gone with the log's rows"
    log, store = parts["traffic_log"], parts["dataset_store"]
    assert {row.user for row in log.exchanges(NAME)} == {"bob"}
    assert {p.request_id for p in parts["vector_store"].window(NAME, "e", 0, 1e9, 99)} == {"r3", "r4", "r5"}
    assert [row.request_id for row in from_parquet(store.read("main", labels_path(NAME, "b")))] == ["r5"]
    assert files[0].loops() == []
    assert log.forgotten("ann") == {"r0", "r1", "r2", "r8", "r9"}
    assert [(item["commit"], item["rows"]) for item in run(parts, user="ann", day_files=files)["commits"]] == history


def test_rows_that_people_copied_from_the_log_are_named(parts: dict) -> None:
    log, store = parts["traffic_log"], parts["dataset_store"]
    log.append(
        [replace(exchange(9, "ann"), prompt="My parcel of last week was never delivered"), replace(exchange(10, "ann"), prompt="yes")]
    )
    copied = [
        Example(id="s1", messages=question("my parcel of last  week was never delivered"), completion="{}"),
        Example(id="s2", messages=question("yes"), completion="{}"),
        Example(id="s3", messages=question("where is my parcel of last week?"), completion="{}"),
    ]
    store.publish("seed", {seed_path(NAME): to_parquet(copied)}, "seed", {"loop": NAME})
    report = run(parts, user="ann")
    assert report["written"] == [{"loop": NAME, "file": seed_path(NAME), "rows": 1}]
    assert "remove them from the files" in report["stays"]
    assert run(parts, user="bob")["written"] == []


def test_a_stored_row_that_is_none_by_todays_rules_is_forgotten_too_and_others_like_it_stay(parts: dict) -> None:
    """What a release does not accept any more still has texts of a user."""
    store = parts["dataset_store"]
    deep = "[" * 200 + "]" * 200  # in `tools`, as an earlier release stored it
    odd = [
        example(n, "ann" if n < 3 else "bob", source).model_copy(update={"tools": deep})
        for n in (1, 4)
        for source in ("label", "correction")
    ]
    labels, rows = ([row for row in odd if (row.source == "label") == wanted] for wanted in (True, False))
    objects = dataset_objects(store, NAME, {"train": [*rows, example(5, "bob")]}, [], {}, {}, "odd")
    commit = store.publish("odd", objects, "dataset", {"loop": NAME, "content_hash": "y"}).commit
    store.publish("labels", {labels_path(NAME, "odd"): to_parquet(labels), seed_path(NAME): to_parquet(labels)}, "labels", {"loop": NAME})
    report = run(parts, user="ann")
    assert {item["commit"]: item["rows"] for item in report["commits"]}[commit] == 1
    [kept] = row_names(store.read("main", labels_path(NAME, "odd")))
    assert kept["request_id"] == "r4"
    assert readable(store.read("main", labels_path(NAME, "odd")))[0] == [], "it is as it was"
