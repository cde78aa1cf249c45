"""What is special about lakeFS and its client; what every store must do is in test_dataset_store.py."""

import base64
import logging
import re
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ftassets
from ftassets.backends.dataset_store import base, lakefs
from ftassets.backends.dataset_store.base import (
    AlreadyExists,
    Busy,
    Change,
    DatasetError,
    MergeConflict,
    NothingToCommit,
    ObjectNotFound,
    RefNotFound,
    Unreachable,
)
from ftassets.backends.dataset_store.lakefs import LakeFsDatasetStore, _given, _legal
from ftassets.testing.doubles.lakefs import ACCESS_KEY, SECRET_KEY, Fault, LakeFsDouble


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lakefs, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(base, "RETRY_PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def double() -> Iterator[LakeFsDouble]:
    server = LakeFsDouble()
    yield server
    server.close()


@pytest.fixture
def store(double: LakeFsDouble, tmp_path: Path) -> LakeFsDatasetStore:
    return LakeFsDatasetStore(double.url, ACCESS_KEY, SECRET_KEY, "datasets", f"local://{tmp_path}")


def land(store: LakeFsDatasetStore, branch: str, files: dict[str, bytes]) -> str:
    for path, content in files.items():
        store.put(branch, path, content)
    return store.commit(branch, "m", {})


def lose(operation: str, times: int = 1) -> Fault:
    return Fault(operation, lose=True, times=times)


# one publication, whatever the network does


@pytest.mark.parametrize(
    "operation",
    ["get_repository", "create_repository", "log_commits", "create_branch", "upload_object", "stat_object"]
    + ["delete_object", "commit", "merge", "delete_branch"],
)
def test_a_lost_answer_leaves_one_publication(store: LakeFsDatasetStore, double: LakeFsDouble, operation: str) -> None:
    if operation not in ("get_repository", "create_repository"):
        land(store, "main", {"old": b"0"})
    double.faults.append(lose(operation))
    published = store.publish("r1", {"a": b"1", "b": b"2", "old": None}, "m", {})
    assert not double.faults[0].times, "the fault did not strike"
    mine = [commit for commit in store.log("main") if commit.metadata.get("run_id") == "r1"]
    assert [(commit.id, len(commit.parents)) for commit in mine] == [(published.commit, 2), (mine[1].id, 1)]
    assert {path: store.read("main", path) for path in store.list("main")} == {"a": b"1", "b": b"2"}
    assert store.publish("r1", {"a": b"1", "b": b"2"}, "m", {}) == base.Publication(published.commit, ("a", "b"))


def test_the_outcome_of_a_lost_commit_or_merge_is_unknown(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    store.branch("run/1")
    store.put("run/1", "a", b"1")
    double.faults += [lose("commit"), lose("merge")]
    with pytest.raises(Unreachable):
        store.commit("run/1", "m", {})
    with pytest.raises(Unreachable):
        store.merge("run/1", "main", "m", {})
    assert store.read("main", "a") == b"1"  # here both had happened
    assert (double.seen["commit"], double.seen["merge"]) == (1, 1)  # and were not sent twice


def test_publish_gives_up_on_a_server_that_stays_away(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    head = store.resolve("main")
    double.faults.append(lose("create_branch", times=100))
    with pytest.raises(Unreachable):
        store.publish("r1", {"a": b"1"}, "m", {})
    assert double.seen["create_branch"] == 4
    assert store.resolve("main") == head


def test_publishers_beside_each_other_all_land(store: LakeFsDatasetStore) -> None:
    store.resolve("main")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda n: store.publish(f"r{n}", {f"shard-{n}": b"%d" % n}, "m", {}), range(9)))
    assert {path: store.read("main", path) for path in store.list("main")} == {f"shard-{n}": b"%d" % n for n in range(9)}


def test_a_lost_read_is_asked_again(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    land(store, "main", {"a": b"1"})
    double.faults.append(lose("get_object", times=2))
    assert store.read("main", "a") == b"1"
    double.faults.append(lose("get_object", times=3))
    with pytest.raises(Unreachable):
        store.read("main", "a")


# answers of a busy, slow, strange or absent server

BUSY = [(429, "slow down"), (423, "locked"), (503, "slow down"), (500, "branch is currently locked, try again later")]


@pytest.mark.parametrize(("status", "text"), BUSY)
def test_a_busy_server_is_asked_again(store: LakeFsDatasetStore, double: LakeFsDouble, status: int, text: str) -> None:
    store.put("main", "a", b"1")
    double.faults.append(Fault("commit", status, f'{{"message": "{text}"}}', times=3))
    assert store.commit("main", "m", {}) == store.resolve("main")
    store.put("main", "a", b"2")
    double.faults.append(Fault("commit", status, f'{{"message": "{text}"}}', times=4))
    with pytest.raises(Busy, match=text):
        store.commit("main", "m", {})
    assert store.read("main", "a") == b"1"


def test_an_upload_is_whole_when_it_is_sent_again(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    double.faults.append(Fault("upload_object", 503, times=2))
    land(store, "main", {"a": b"all of it"})
    assert store.read("main", "a") == b"all of it"


def test_another_error_of_the_server_is_final(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    store.put("main", "a", b"1")
    double.faults.append(Fault("commit", 500, '{"message": "out of disk"}'))
    with pytest.raises(DatasetError, match="out of disk") as refused:
        store.commit("main", "m", {})
    assert not isinstance(refused.value, (Busy, Unreachable))
    assert double.seen["commit"] == 1


def test_a_hook_that_refuses_is_quoted(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    store.put("main", "a", b"1")
    double.faults.append(Fault("commit", 412, '{"message": "pre-commit hook: no owner"}'))
    with pytest.raises(DatasetError, match="HTTP 412.*no owner"):
        store.commit("main", "m", {})


CALLS: dict[str, Callable[[LakeFsDatasetStore], object]] = {
    "get_repository": lambda store: store.check(),
    "get_branch": lambda store: store.resolve("main"),
    "get_tag": lambda store: store.resolve("none"),
    "get_commit": lambda store: store.get_commit("main"),
    "log_commits": lambda store: store.log("main"),
    "list_objects": lambda store: store.list("main"),
    "get_object": lambda store: store.read("main", "a"),
    "stat_object": lambda store: store.checksum("main", "a"),
    "diff_refs": lambda store: store.diff("main", "main"),
    "create_branch": lambda store: store.branch("b"),
    "delete_branch": lambda store: store.delete_branch("b"),
    "upload_object": lambda store: store.put("main", "b", b"1"),
    "delete_object": lambda store: store.delete("main", "a"),
    "commit": lambda store: store.commit("main", "m", {}),
    "merge": lambda store: store.merge("main", "main", "m", {}),
    "create_tag": lambda store: store.tag("t", "main"),
}


@pytest.mark.parametrize("operation", CALLS)
def test_no_call_waits_for_ever(store: LakeFsDatasetStore, double: LakeFsDouble, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    land(store, "main", {"a": b"1"})
    monkeypatch.setattr(lakefs, "TIMEOUT", (0.5, 0.05))
    double.faults.append(Fault(operation, delay=0.25, times=3))
    started = time.monotonic()
    with pytest.raises(Unreachable, match="no answer from lakeFS"):
        CALLS[operation](store)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("operation", CALLS)
def test_every_refusal_is_a_dataset_error(store: LakeFsDatasetStore, double: LakeFsDouble, operation: str) -> None:
    land(store, "main", {"a": b"1"})
    double.faults.append(Fault(operation, 418, '{"message": "teapot"}'))
    with pytest.raises(DatasetError, match="HTTP 418.*teapot"):
        CALLS[operation](store)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    store = LakeFsDatasetStore("http://127.0.0.1:9", ACCESS_KEY, SECRET_KEY, "datasets")
    with pytest.raises(Unreachable, match="LAKEFS_ENDPOINT") as absent:
        store.resolve("main")
    assert_no_secret(absent.value)


@pytest.mark.parametrize("body", ["<html>welcome</html>", '{"results": [], "pagination": 1}', "[]", "{}"])
def test_a_server_that_is_something_else(store: LakeFsDatasetStore, double: LakeFsDouble, body: str) -> None:
    store.resolve("main")
    double.faults.append(Fault("diff_refs", 200, body))
    with pytest.raises(DatasetError, match="does not speak lakeFS's API"):
        store.diff("main", "main")


def test_a_kind_of_change_the_client_does_not_know_is_refused(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    page = '{"pagination": {"has_more": false, "next_offset": "", "results": 1, "max_per_page": 1000}, "results": [%s]}'
    change = '{"type": "renamed", "path": "a", "path_type": "object"}'
    store.resolve("main")
    double.faults.append(Fault("diff_refs", 200, page % change))
    with pytest.raises(DatasetError, match="renamed"):
        store.diff("main", "main")


def test_a_commit_id_that_looks_like_a_number_is_a_branch_all_the_same(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    double.faults.append(Fault("create_branch", 201, "1234567890" * 6 + "1234"))
    assert store.branch("b") == store.resolve("main")


# credentials


def assert_no_secret(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    assert SECRET_KEY not in text
    assert base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode() not in text


@pytest.mark.parametrize("keys", [(ACCESS_KEY, "s3cr3t-but-wrong"), ("nobody", SECRET_KEY)])
def test_wrong_credentials_are_named_but_not_shown(double: LakeFsDouble, keys: tuple[str, str]) -> None:
    store = LakeFsDatasetStore(double.url, *keys, "datasets")
    with pytest.raises(DatasetError, match="LAKEFS_ACCESS_KEY and LAKEFS_SECRET_KEY") as refused:
        store.resolve("main")
    assert keys[0] in str(refused.value)
    assert keys[1] not in "".join(traceback.format_exception(refused.value))
    assert double.seen["get_repository"] == 1


def test_a_right_that_is_missing_is_named(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    store.put("main", "a", b"1")
    double.faults.append(Fault("commit", 403, f'{{"message": "{SECRET_KEY} may not write"}}'))
    with pytest.raises(DatasetError, match=f"forbids this to access key '{ACCESS_KEY}'") as refused:
        store.commit("main", "m", {})
    assert SECRET_KEY not in str(refused.value)  # even when the server repeats it


def test_nothing_logs_the_secret(store: LakeFsDatasetStore, caplog: pytest.LogCaptureFixture) -> None:
    store.resolve("main")  # the client quietens its loggers when it is made
    with caplog.at_level(logging.DEBUG, "urllib3"), caplog.at_level(logging.DEBUG, "lakefs_client"):
        store.publish("r1", {"a": b"1"}, "m", {})
    assert "POST" in caplog.text  # requests are logged, their headers are not
    assert SECRET_KEY not in caplog.text
    assert base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode() not in caplog.text


@pytest.mark.parametrize("endpoint", ["lakefs.example.com", "ftp://x", "http://", "https://user:s3cr3t@lakefs.example.com"])
def test_an_endpoint_is_a_url_without_password(endpoint: str) -> None:
    with pytest.raises(ValueError, match="LAKEFS_ENDPOINT") as refused:
        LakeFsDatasetStore(endpoint, ACCESS_KEY, SECRET_KEY, "datasets")
    assert "s3cr3t" not in str(refused.value)


# the repository


def test_a_missing_repository_without_a_place_for_it(double: LakeFsDouble) -> None:
    store = LakeFsDatasetStore(double.url, ACCESS_KEY, SECRET_KEY, "datasets")
    for call in (store.check, lambda: store.resolve("main")):
        with pytest.raises(DatasetError, match="has no repository 'datasets'.*LAKEFS_REPOSITORY.*LAKEFS_STORAGE_NAMESPACE"):
            call()
    assert not double.seen["create_repository"]


@pytest.mark.parametrize(("repository", "namespace"), [("No Capitals", "local:///x"), ("datasets", "/no/url")])
def test_a_repository_lakefs_cannot_take(double: LakeFsDouble, repository: str, namespace: str) -> None:
    store = LakeFsDatasetStore(double.url, ACCESS_KEY, SECRET_KEY, repository, namespace)
    with pytest.raises(DatasetError, match="set LAKEFS_REPOSITORY.*LAKEFS_STORAGE_NAMESPACE"):
        store.resolve("main")


def test_a_repository_another_process_made_meanwhile(store: LakeFsDatasetStore, double: LakeFsDouble, tmp_path: Path) -> None:
    double.faults.append(Fault("get_repository", 404))  # we look, the other one creates
    LakeFsDatasetStore(double.url, ACCESS_KEY, SECRET_KEY, "datasets", f"local://{tmp_path}").resolve("main")
    double.faults.append(Fault("get_repository", 404))
    assert store.resolve("main")
    assert double.seen["create_repository"] == 2


def test_a_check_makes_nothing(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    assert "the first run makes repository datasets" in store.check()
    assert not double.seen["create_repository"]
    store.resolve("main")
    assert store.check() == f"repository datasets at {double.url}"


def test_the_endpoint_may_be_that_of_the_api(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    commit = store.resolve("main")
    assert LakeFsDatasetStore(f"{double.url}/api/v1/", ACCESS_KEY, SECRET_KEY, "datasets").resolve("main") == commit


# the traps of client and API


def test_reading_leaves_no_temporary_file(store: LakeFsDatasetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    land(store, "main", {"a": b"x" * 100_000})
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert [len(store.read("main", "a")) for _ in range(3)] == [100_000] * 3
    assert not list(folder.iterdir())
    assert not list(Path.cwd().glob("object"))


def test_reads_of_a_branch_do_not_see_what_is_staged(store: LakeFsDatasetStore) -> None:
    land(store, "main", {"a": b"1", "b": b"1"})
    store.put("main", "a", b"2")
    store.put("main", "new", b"2")
    store.delete("main", "b")
    assert store.list("main") == ["a", "b"]
    assert store.read("main", "a") == store.read("main", "b") == b"1"
    assert store.checksum("main", "a") == store.checksum("main", "b")
    with pytest.raises(ObjectNotFound):
        store.delete("main", "b")  # staged removals do count here
    with pytest.raises(ObjectNotFound):
        store.checksum("main", "new")


def test_lists_longer_than_a_page(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    empty = store.resolve("main")
    commits = [empty] + [land(store, "main", {f"p{n}": b"1"}) for n in range(5)]
    double.page_size = 2
    paths = [f"p{n}" for n in range(5)]
    assert store.list("main") == paths
    assert store.diff(empty, "main") == [Change(path, "added") for path in paths]
    assert [commit.id for commit in store.log("main")] == commits[::-1]
    assert [commit.id for commit in store.log("main", limit=3)] == commits[:2:-1]
    before = double.seen["log_commits"]
    store.log("main", limit=2)
    assert double.seen["log_commits"] == before + 1  # what is not wanted is not asked for


@pytest.mark.parametrize("as_error", [False, True], ids=["MergeResult", "Error"])
def test_a_conflict_names_its_paths_whatever_the_answer_looks_like(store: LakeFsDatasetStore, double: LakeFsDouble, as_error: bool) -> None:
    double.conflict_as_error = as_error
    land(store, "main", {f"{n}": b"0" for n in range(6)})
    store.branch("b")
    land(store, "b", {"0": b"1", "1": b"1", "2": b"1", "3": b"1"})
    land(store, "main", {"0": b"2", "1": b"2", "2": b"1", "4": b"2"})
    double.page_size = 1
    with pytest.raises(MergeConflict) as conflict:
        store.merge("b", "main", "m", {})
    assert conflict.value.paths == ["0", "1"]  # 2 is the same on both sides


def test_a_conflict_that_is_gone_when_we_look_is_worth_another_try(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    double.faults.append(Fault("merge", 409, '{"reference": ""}'))
    assert store.publish("r1", {"a": b"1"}, "m", {}).commit == store.resolve("main")
    assert double.seen["merge"] == 2


def test_400_of_a_merge_told_apart(store: LakeFsDatasetStore, double: LakeFsDouble) -> None:
    store.branch("b")
    with pytest.raises(NothingToCommit):
        store.merge("b", "main", "m", {})
    land(store, "b", {"a": b"1"})
    store.put("main", "x", b"1")
    with pytest.raises(DatasetError, match="main has staged changes"):
        store.merge("b", "main", "m", {})
    store.commit("main", "m", {})
    double.faults.append(Fault("merge", 400, '{"message": "bad strategy"}'))
    with pytest.raises(DatasetError, match="bad strategy"):
        store.merge("b", "main", "m", {})


# names


@given(st.text(max_size=12) | st.text("0_-af/2", max_size=8))
@example("run/7")
@example("")
@example("0_")
@example("/")
@example("0/")
@example("-")
@example("0_2f")
def test_a_name_is_legal_and_comes_back(name: str) -> None:
    assert re.fullmatch("[a-zA-Z0-9][a-zA-Z0-9_-]*", _legal(name))
    assert _given(_legal(name)) == name


def test_names_the_embedded_store_takes_stay_apart(store: LakeFsDatasetStore) -> None:
    names = ["run/1", "run_2f1", "run_1", "run-1", "é", "-x", "_x", "0_x"]
    commits = {}
    for name in names:
        store.branch(name)
        commits[name] = land(store, name, {"name": name.encode()})
        store.tag(f"t/{name}", name)
    assert {name: store.read(name, "name").decode() for name in names} == {name: name for name in names}
    assert {name: store.resolve(f"t/{name}") for name in names} == commits
    with pytest.raises(AlreadyExists):
        store.branch("run/1")
    assert _legal("main") == "main"


@pytest.mark.parametrize("name", ["", "a" * 40, "0" * 64])
def test_names_that_would_be_taken_for_something_else_are_refused(store: LakeFsDatasetStore, name: str) -> None:
    for create in (store.branch, lambda name: store.tag(name, "main")):
        with pytest.raises(DatasetError, match="not a name"):
            create(name)


def test_a_tag_is_not_written_to(store: LakeFsDatasetStore) -> None:
    land(store, "main", {"a": b"1"})
    store.tag("v1", "main")
    for write in (lambda: store.put("v1", "b", b"1"), lambda: store.delete("v1", "a"), lambda: store.commit("v1", "m", {})):
        with pytest.raises(RefNotFound):
            write()


def test_one_module_knows_the_client() -> None:
    package = Path(ftassets.__file__).parent
    knowing = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"(?m)^\s*(?:import|from) lakefs_client", path.read_text())
    }
    assert knowing == {"backends/dataset_store/lakefs.py"}
