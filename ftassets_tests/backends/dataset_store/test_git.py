"""What only the embedded store must do: outlive kills, let processes take turns, and stay a repository git can read."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from filelock import FileLock

from ftassets.backends.dataset_store import base
from ftassets.backends.dataset_store import git as embedded
from ftassets.backends.dataset_store.base import AlreadyExists, Busy, DatasetError, DatasetStore, RefNotFound
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.testing.contracts.dataset_store import contents, land

PUBLISHER = """
import sys
from pathlib import Path
from ftassets.backends.dataset_store.git import GitDatasetStore
store, name = GitDatasetStore(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
for n in range(int(sys.argv[3])):
    run = f"{name}-{n}"
    files = {f"{name}/{n}": run.encode() * 3000, f"{name}/{n - 1}": None, f"{name}/index.json": run.encode()}
    store.publish(run, files, "m", {"rows": str(n)})
    print(run, flush=True)
"""


def publisher(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that publishes again and again: a new object, the removal of the last one, and an index that names it."""
    return subprocess.Popen([sys.executable, "-c", PUBLISHER, str(path), name, str(count)], stdout=subprocess.PIPE, text=True)


def published(store: DatasetStore, name: str) -> int:
    """Number of the publication that main shows, -1 for none. Fails when it shows half of one."""
    commit = store.resolve("main")
    files = {path: store.read(commit, path) for path in store.list(commit, f"{name}/")}
    if not files:
        return -1
    run = files[f"{name}/index.json"].decode()
    number = run.removeprefix(f"{name}-")
    assert files == {f"{name}/index.json": run.encode(), f"{name}/{number}": run.encode() * 3000}
    return int(number)


def leftovers(path: Path) -> list[Path]:
    """What only a publication under way or a killed one has."""
    return [*path.rglob("*.lock"), *path.rglob("tmp_*"), *path.glob("refs/heads/run/**/*"), *path.glob("refs/staging/run/**/*")]


@pytest.fixture
def finish() -> Iterator[Callable[[subprocess.Popen[str]], list[str]]]:
    """Wait for a child and return the lines it finished; whatever happens, no child stays."""
    children: list[subprocess.Popen[str]] = []

    def lines_of(child: subprocess.Popen[str]) -> list[str]:
        children.append(child)
        child.wait(timeout=120)
        assert child.stdout is not None
        return [line for line in child.stdout.read().split("\n")[:-1] if line != "ready"]  # not communicate(): it skips what is buffered

    yield lines_of
    for child in children:
        child.kill()


def test_writers_all_land(tmp_path: Path, finish: Callable[[subprocess.Popen[str]], list[str]]) -> None:
    path = tmp_path / "datasets.git"
    writers = [publisher(path, f"w{n}", 12) for n in range(4)]
    assert [len(finish(writer)) for writer in writers] == [12, 12, 12, 12]
    store = GitDatasetStore(path)
    assert [published(store, f"w{n}") for n in range(4)] == [11, 11, 11, 11]
    assert {commit.metadata.get("run_id") for commit in store.log("main", 1000)} == {None} | {
        f"w{n}-{m}" for n in range(4) for m in range(12)
    }


def test_kill_at_any_moment(tmp_path: Path, finish: Callable[[subprocess.Popen[str]], list[str]]) -> None:
    path, dice = tmp_path / "datasets.git", random.Random(20)
    store = GitDatasetStore(path)
    acknowledged, left_something, took = {}, 0, 0.1
    for kill in range(20):
        name, seen = f"k{kill}", [-1]
        child = publisher(path, name, 1000)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        start = time.monotonic()
        for done in range(first := dice.randrange(3)):
            assert child.stdout.readline() == f"{name}-{done}\n"
            seen.append(published(store, name))
        if first:
            took = (time.monotonic() - start) / first
        end = time.monotonic() + dice.uniform(0.0, took)
        while time.monotonic() < end:
            seen.append(published(store, name))
        child.send_signal(signal.SIGKILL)
        acknowledged[name] = first + len(finish(child)) - 1
        left_something += bool(leftovers(path))
        seen.append(published(GitDatasetStore(path), name))
        assert seen == sorted(seen)
        assert acknowledged[name] <= seen[-1] <= acknowledged[name] + 1  # one more may have landed before it could say so
        after = store.publish(f"after-{kill}", {"after": name.encode()}, "m", {})
        assert store.read(after.commit, "after") == name.encode()
        assert not leftovers(path)
    for name, number in acknowledged.items():
        assert published(store, name) >= number
    assert max(acknowledged.values()) > 0
    assert left_something > 1  # else the kills came between the publications


DIES = """
import os, signal, sys
from pathlib import Path
from ftassets.backends.dataset_store.git import GitDatasetStore
store = GitDatasetStore(Path(sys.argv[1]))
setattr(store, sys.argv[2], lambda *a: os.kill(os.getpid(), signal.SIGKILL))
store.publish("r1", {"a": b"1", "b": b"1"}, "m", {})
"""


@pytest.mark.parametrize("step", ["put", "commit", "merge", "delete_branch"])
def test_next_writer_removes_the_branch_of_a_dead_publication(tmp_path: Path, step: str) -> None:
    path = tmp_path / "datasets.git"
    store = GitDatasetStore(path)
    store.branch("run/mine")  # not a publication's: nobody's to remove
    assert subprocess.run([sys.executable, "-c", DIES, str(path), step], check=False).returncode == -signal.SIGKILL
    if step != "delete_branch":
        assert store.resolve("run/r1")
    store.put("main", "c", b"1")
    assert leftovers(path) == [path / "refs/heads/run/mine"]
    assert not list((path / embedded._PUBLISHING).iterdir())
    store.commit("main", "m", {})
    store.publish("r1", {"a": b"1", "b": b"1"}, "m", {})  # the run is tried again
    assert contents(store, "main") == {"a": b"1", "b": b"1", "c": b"1"}


def test_other_writers_leave_a_living_publication_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "datasets.git"
    store = GitDatasetStore(path)

    def commit_late(branch: str, message: str, metadata: Mapping[str, str]) -> str:
        monkeypatch.undo()
        subprocess.run([sys.executable, "-c", PUBLISHER, str(path), "other", "1"], check=True, stdout=subprocess.DEVNULL)
        return store.commit(branch, message, metadata)

    monkeypatch.setattr(store, "commit", commit_late)
    store.publish("r1", {"a": b"1"}, "m", {})
    assert store.read("main", "a") == b"1"
    assert published(store, "other") == 0


def test_one_run_is_not_published_twice_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "RETRY_PAUSES", (0.0,))
    store = GitDatasetStore(tmp_path / "datasets.git")
    with store._publishing("r1"), pytest.raises(Busy, match="publishing run r1"):
        GitDatasetStore(tmp_path / "datasets.git").publish("r1", {"a": b"1"}, "m", {})
    assert store.list("main") == []
    store.publish("r1", {"a": b"1"}, "m", {})
    assert store.list("main") == ["a"]


def test_a_refusal_is_no_kill(tmp_path: Path) -> None:
    path = tmp_path / "datasets.git"
    store = GitDatasetStore(path)
    with pytest.raises(RefNotFound):
        store.delete_branch("unknown")
    assert not (path / embedded._WRITING).exists()  # else each publication would look through all objects for leftovers


def test_leftovers_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    path = tmp_path / "datasets.git"
    partial = tmp_path / "datasets.git.partial"
    partial.mkdir()
    (partial / "config").write_text("half")
    store = GitDatasetStore(path)
    land(store, "main", {"a": b"1"})
    leftovers = [path / "refs/heads/main.lock", path / "objects/pack/tmp_pack_1", path / "packed-refs.lock"]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    (path / embedded._WRITING).touch()
    land(store, "main", {"a": b"2"})
    assert not any(leftover.exists() for leftover in [*leftovers, partial, path / embedded._WRITING])


def test_says_who_waits_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.2)
    store = GitDatasetStore(tmp_path / "datasets.git")
    store.resolve("main")
    with FileLock(tmp_path / "datasets.git.lock"):
        with pytest.raises(Busy, match="another process"):
            store.put("main", "a", b"1")
        assert store.list("main") == []  # readers do not wait


@pytest.mark.parametrize("name", ["a", "x/y/z"])
def test_names_that_are_files_and_folders_are_refused(tmp_path: Path, name: str) -> None:
    store = GitDatasetStore(tmp_path / "datasets.git")
    store.branch("x/y")
    store.branch("a/b")
    with pytest.raises(AlreadyExists, match="cannot both exist"):
        store.branch(name)


@pytest.mark.parametrize("name", ["", "a b", "..", "x.lock", "a..b", "-\x7f", "a/"])
def test_names_git_cannot_take_are_refused(tmp_path: Path, name: str) -> None:
    store = GitDatasetStore(tmp_path / "datasets.git")
    with pytest.raises(DatasetError, match="not a name"):
        store.branch(name)


def test_repository_is_sound_for_git(tmp_path: Path) -> None:
    from dulwich.repo import Repo

    store = GitDatasetStore(tmp_path / "datasets.git")
    store.publish("r1", {"d/a": b"1"}, "m", {})
    store.put("main", "staged", b"2")
    with Repo(str(tmp_path / "datasets.git")) as repo:
        for sha in repo.object_store:
            repo.object_store[sha].check()


def test_what_only_a_forgotten_branch_had_leaves_the_disk(tmp_path: Path) -> None:
    store = GitDatasetStore(tmp_path / "d.git")
    store.publish("r0", {"a": b"0"}, "m", {})
    before = {path for path in (tmp_path / "d.git/objects").rglob("*") if path.is_file()}
    commit = store.set_aside("refused/loop/x", "x", {"a": b"somebody's words"}, "m", {})
    store.forget_branches(["refused/loop/x"])
    assert {path for path in (tmp_path / "d.git/objects").rglob("*") if path.is_file()} == before
    with pytest.raises(RefNotFound):
        store.resolve(commit)
    subprocess.run(["git", "-C", str(tmp_path / "d.git"), "fsck", "--strict"], check=True, capture_output=True)
