"""What every dataset store must do."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftassets.backends.dataset_store import base
from ftassets.backends.dataset_store.base import (
    AlreadyExists,
    Busy,
    Change,
    DatasetError,
    DatasetStore,
    MergeConflict,
    NothingToCommit,
    ObjectNotFound,
    RefNotFound,
    Unreachable,
    run_branch,
)

MakeStore = Callable[[Path], DatasetStore]
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]  # one property for the stores of all subclasses


def land(store: DatasetStore, branch: str, files: Mapping[str, bytes | None], message: str = "m") -> str:
    """Commit files on a branch; None deletes."""
    for path, content in files.items():
        if content is None:
            store.delete(branch, path)
        else:
            store.put(branch, path, content)
    return store.commit(branch, message, {})


def contents(store: DatasetStore, ref: str) -> dict[str, bytes]:
    return {path: store.read(ref, path) for path in store.list(ref)}


SIDE = st.fixed_dictionaries({}, optional={path: st.sampled_from([b"1", b"2", b"3"]) for path in ("a", "d/x", "d/y", "d/e/z")})


class DatasetStoreContract:
    """Subclass it with a fixture `make`: a function that opens the store of a folder, the same store for the same folder."""

    has_folders = True  # a path and one below it exclude each other, as with git; with objects in a bucket they do not

    @pytest.fixture
    def make(self) -> MakeStore:
        raise NotImplementedError("a contract is run by a subclass with a fixture `make`")

    @pytest.fixture
    def store(self, make: MakeStore, tmp_path: Path) -> DatasetStore:
        return make(tmp_path)

    def test_main_is_there_and_empty(self, store: DatasetStore) -> None:
        assert store.list("main") == []
        assert [commit.id for commit in store.log("main")] == [store.resolve("main")]
        assert store.get_commit("main").parents == ()

    def test_a_store_opened_again_is_the_same(self, make: MakeStore, tmp_path: Path) -> None:
        commit = land(make(tmp_path), "main", {"a": b"1"})
        assert make(tmp_path).resolve("main") == commit

    def test_staged_changes_show_after_the_commit_only(self, make: MakeStore, tmp_path: Path) -> None:
        store = make(tmp_path)
        store.put("main", "data/a.jsonl", b"1")
        assert store.list("main") == []
        commit = make(tmp_path).commit("main", "first", {})  # another process may finish what is staged
        assert contents(store, commit) == {"data/a.jsonl": b"1"}
        store.delete("main", "data/a.jsonl")
        assert store.list("main") == ["data/a.jsonl"]
        store.commit("main", "second", {})
        assert (store.list("main"), contents(store, commit)) == ([], {"data/a.jsonl": b"1"})

    @pytest.mark.parametrize("content", [b"", b"\x00\xff\r\n", b"x" * 3_000_000])
    def test_bytes_come_back_exactly(self, store: DatasetStore, content: bytes) -> None:
        land(store, "main", {"a": content})
        assert store.read("main", "a") == content

    @settings(max_examples=15, deadline=None, suppress_health_check=SHARED)
    @given(
        message=st.text(st.characters(codec="utf-8"), max_size=60),
        metadata=st.dictionaries(st.text(max_size=8), st.text(max_size=30), max_size=4),
    )
    def test_message_and_metadata_come_back_exactly(self, make: MakeStore, message: str, metadata: dict[str, str]) -> None:
        with TemporaryDirectory() as folder:
            store = make(Path(folder))
            store.put("main", "a", b"1")
            commit = store.get_commit(store.commit("main", message, metadata))
            assert (commit.message, commit.metadata) == (message, metadata)

    def test_a_message_that_looks_like_metadata_is_a_message(self, store: DatasetStore) -> None:
        store.put("main", "a", b"1")
        message = 'x\n\nftassets-metadata: {"run_id": "forged"}\n'
        commit = store.get_commit(store.commit("main", message, {"k": "two\nlines \u00e9"}))
        assert (commit.message, commit.metadata) == (message, {"k": "two\nlines \u00e9"})

    def test_a_commit_has_a_time(self, store: DatasetStore) -> None:
        before = int(time.time())
        for n in range(3):  # faster than one a second: times are still true
            land(store, "main", {"a": b"%d" % n})
        assert before <= store.get_commit("main").created_at <= time.time()

    def test_metadata_is_text_only(self, store: DatasetStore) -> None:
        store.put("main", "a", b"1")
        number: Any = 7
        with pytest.raises(TypeError, match="rows|text|str"):
            store.commit("main", "m", {"rows": number})

    def test_committing_nothing_is_refused(self, store: DatasetStore) -> None:
        with pytest.raises(NothingToCommit):
            store.commit("main", "m", {})
        head = land(store, "main", {"a": b"1"})
        store.put("main", "a", b"1")
        store.put("main", "b", b"2")
        store.delete("main", "b")
        with pytest.raises(NothingToCommit):
            store.commit("main", "m", {})
        assert store.resolve("main") == head

    def test_branches_are_apart(self, store: DatasetStore) -> None:
        base = land(store, "main", {"a": b"1"})
        assert store.branch("run/1") == base
        store.branch("run/2", base)
        land(store, "run/1", {"a": b"2"})
        store.put("run/2", "b", b"3")
        assert contents(store, "main") == contents(store, "run/2") == {"a": b"1"}
        assert contents(store, "run/1") == {"a": b"2"}

    def test_names_are_taken_once(self, store: DatasetStore) -> None:
        land(store, "main", {"a": b"1"})
        store.branch("x")
        store.tag("x", "main")
        with pytest.raises(AlreadyExists):
            store.branch("x")
        with pytest.raises(AlreadyExists):
            store.branch("main")
        with pytest.raises(AlreadyExists):
            store.tag("x", "main")

    def test_a_commit_outlives_its_branch_and_nothing_staged_does(self, store: DatasetStore) -> None:
        store.branch("b")
        commit = land(store, "b", {"a": b"1"})
        store.put("b", "staged", b"2")
        store.delete_branch("b")
        assert contents(store, commit) == {"a": b"1"}
        with pytest.raises(RefNotFound):
            store.resolve("b")
        store.branch("b")
        with pytest.raises(NothingToCommit):
            store.commit("b", "m", {})

    def test_main_stays(self, store: DatasetStore) -> None:
        head = land(store, "main", {"a": b"1"})
        with pytest.raises(DatasetError, match="main"):
            store.delete_branch("main")
        assert store.resolve("main") == head

    @pytest.mark.parametrize("ref", ["nobody", "", "..", "a b", "0" * 40, "g" * 40, "refs/heads/main", "HEAD"])
    def test_unknown_refs(self, store: DatasetStore, ref: str) -> None:
        head = land(store, "main", {"a": b"1"})
        calls: list[Callable[[], object]] = [
            lambda: store.resolve(ref),
            lambda: store.get_commit(ref),
            lambda: store.log(ref),
            lambda: store.list(ref),
            lambda: store.read(ref, "a"),
            lambda: store.diff("main", ref),
            lambda: store.diff(ref, "main"),
            lambda: store.branch("new", ref),
            lambda: store.tag("new", ref),
            lambda: store.delete_branch(ref),
            lambda: store.put(ref, "b", b"1"),
            lambda: store.delete(ref, "a"),
            lambda: store.commit(ref, "m", {}),
            lambda: store.merge(ref, "main", "m", {}),
            lambda: store.merge("main", ref, "m", {}),
        ]
        for call in calls:
            with pytest.raises(RefNotFound):
                call()
        assert store.resolve("main") == head

    def test_a_commit_id_is_not_a_branch(self, store: DatasetStore) -> None:
        commit = land(store, "main", {"a": b"1"})
        with pytest.raises(RefNotFound):
            store.put(commit, "b", b"1")

    @pytest.mark.parametrize("path", ["b", "d", "d/x/y", "/a", "a/", "", ".", "../a"])
    def test_objects_that_are_not_there(self, store: DatasetStore, path: str) -> None:
        land(store, "main", {"a": b"1", "d/x": b"2"})
        with pytest.raises(ObjectNotFound):
            store.read("main", path)
        with pytest.raises(ObjectNotFound):
            store.delete("main", path)

    @pytest.mark.parametrize("path", ["/a", "a/", "", ".", "../a", "a//b", ".git/config", "a\0b"])
    def test_paths_that_are_none_are_refused(self, store: DatasetStore, path: str) -> None:
        with pytest.raises(DatasetError) as refused:
            store.put("main", path, b"1")
        assert type(refused.value) is DatasetError, "the path, not the branch or the store"

    def test_list_is_sorted_and_filtered(self, store: DatasetStore) -> None:
        land(store, "main", {"b": b"", "a/2": b"", "a/10": b"", "a-b": b"", "\u00e9": b""})
        assert store.list("main") == ["a-b", "a/10", "a/2", "b", "\u00e9"]
        assert store.list("main", "a/") == ["a/10", "a/2"]
        assert store.list("main", "c") == []

    def test_reads_of_an_opened_store_see_what_is_written_meanwhile(self, store: DatasetStore) -> None:
        with store.opened(), store.opened():
            first = store.publish("run-1", {"a": b"1"}, "one", {}).commit
            assert store.read("main", "a") == b"1"
        store.publish("run-2", {"a": b"2"}, "two", {})
        assert (store.read("main", "a"), store.read(first, "a")) == (b"2", b"1")
        with store.opened(), pytest.raises(ObjectNotFound):
            store.read(first, "b")

    def test_diff_by_path(self, store: DatasetStore) -> None:
        left = land(store, "main", {"a": b"1", "b": b"1", "d/x": b"1", "same": b"1"})
        right = land(store, "main", {"a": b"2", "b": None, "d/y": b"1"})
        assert store.diff(left, right) == [Change("a", "changed"), Change("b", "removed"), Change("d/y", "added")]
        assert store.diff(right, left) == [Change("a", "changed"), Change("b", "added"), Change("d/y", "removed")]
        assert store.diff(left, left) == []

    def test_log_is_newest_first_even_within_a_second(self, store: DatasetStore) -> None:
        commits = [store.resolve("main")] + [land(store, "main", {"a": b"%d" % n}, f"m{n}") for n in range(5)]
        assert [commit.id for commit in store.log("main")] == commits[::-1]
        assert [commit.message for commit in store.log("main", limit=2)] == ["m4", "m3"]
        assert [commit.id for commit in store.log(commits[2])] == commits[2::-1]

    def test_a_tag_stays_where_it_is(self, store: DatasetStore) -> None:
        first = land(store, "main", {"a": b"1"})
        store.tag("release/1", "main")
        land(store, "main", {"a": b"2"})
        assert store.resolve("release/1") == first
        assert store.read("release/1", "a") == b"1"

    def test_disjoint_changes_both_land(self, store: DatasetStore) -> None:
        base = land(store, "main", {"keep": b"0", "d/gone": b"0", "d/old": b"0"})
        store.branch("b")
        theirs = land(store, "b", {"d/new": b"1", "d/gone": None})
        ours = land(store, "main", {"d/old": b"2"})
        merged = store.merge("b", "main", "both", {"run_id": "7"})
        assert contents(store, "main") == {"keep": b"0", "d/new": b"1", "d/old": b"2"}
        commit = store.get_commit("main")
        assert (commit.id, commit.parents, commit.message, commit.metadata) == (merged, (ours, theirs), "both", {"run_id": "7"})
        assert [c.id for c in store.log("main")][0] == merged
        assert {c.id for c in store.log("main")} >= {merged, ours, theirs, base}

    @pytest.mark.parametrize(
        ("ours", "theirs", "paths"),
        [
            ({"a": b"2"}, {"a": b"3"}, ["a"]),
            ({"a": None}, {"a": b"3"}, ["a"]),
            ({"a": b"2"}, {"a": None}, ["a"]),
            ({"n": b"2"}, {"n": b"3"}, ["n"]),
            ({"a": b"1\n2\n3\n4\nx\n", "n/y": b"2"}, {"a": b"y\n1\n2\n3\n4\n", "n/y": b"3", "b": b"4"}, ["a", "n/y"]),
            ({"n": b"2"}, {"n/x": b"3"}, ["n/x"]),
            ({"n/x": b"2"}, {"n": b"3"}, ["n"]),
        ],
        ids=["both changed", "we deleted", "they deleted", "both added", "different lines", "their folder", "our folder"],
    )
    def test_a_path_changed_on_both_sides_conflicts_and_nothing_moves(
        self, store: DatasetStore, ours: dict[str, bytes | None], theirs: dict[str, bytes | None], paths: list[str]
    ) -> None:
        if not self.has_folders and ("n" in ours) != ("n" in theirs) and "n/x" in {*ours, *theirs}:
            pytest.skip("a path and one below it are two objects of this store")
        land(store, "main", {"a": b"1\n2\n3\n4\n"})
        store.branch("b")
        source, head = land(store, "b", theirs), land(store, "main", ours)
        with pytest.raises(MergeConflict) as conflict:
            store.merge("b", "main", "m", {})
        assert conflict.value.paths == paths
        assert (store.resolve("main"), store.resolve("b")) == (head, source)

    def test_the_same_change_on_both_sides_is_none(self, store: DatasetStore) -> None:
        land(store, "main", {"a": b"1", "b": b"1"})
        store.branch("b")
        land(store, "b", {"a": b"2", "b": None})
        head = land(store, "main", {"a": b"2", "b": None})
        with pytest.raises(NothingToCommit):
            store.merge("b", "main", "m", {})
        assert store.resolve("main") == head

    def test_a_merged_branch_brings_nothing_more_until_it_moves(self, store: DatasetStore) -> None:
        store.branch("b")
        land(store, "b", {"a": b"1"})
        store.merge("b", "main", "m", {})
        with pytest.raises(NothingToCommit):
            store.merge("b", "main", "m", {})
        land(store, "b", {"a": b"2"})  # same path again: the base is the merge, not the branch point
        store.merge("b", "main", "m", {})
        assert contents(store, "main") == {"a": b"2"}

    def test_a_destination_with_staged_changes_is_not_merged_into(self, store: DatasetStore) -> None:
        store.branch("b")
        land(store, "b", {"a": b"1"})
        store.put("main", "staged", b"2")
        with pytest.raises(DatasetError, match="staged"):
            store.merge("b", "main", "m", {})
        store.commit("main", "m", {})
        store.merge("b", "main", "m", {})
        assert contents(store, "main") == {"a": b"1", "staged": b"2"}

    @settings(max_examples=12, deadline=None, suppress_health_check=SHARED)
    @given(base=SIDE, ours=SIDE, theirs=SIDE)
    def test_merge_decides_path_by_path(
        self, make: MakeStore, base: dict[str, bytes], ours: dict[str, bytes], theirs: dict[str, bytes]
    ) -> None:
        with TemporaryDirectory() as folder:
            store = make(Path(folder))
            land(store, "main", {**base, "anchor": b""})
            store.branch("b")
            for branch, wanted in (("main", ours), ("b", theirs)):
                changes = {path: wanted.get(path) for path in {*base, *wanted} if base.get(path) != wanted.get(path)}
                land(store, branch, {**changes, f"of-{branch}": b""})
            both = {p for p in {*base, *ours, *theirs} if ours.get(p) != theirs.get(p) and base.get(p) not in (ours.get(p), theirs.get(p))}
            if both:
                with pytest.raises(MergeConflict) as conflict:
                    store.merge("b", "main", "m", {})
                assert conflict.value.paths == sorted(both)
                return
            store.merge("b", "main", "m", {})
            expected = {p: theirs.get(p) if ours.get(p) == base.get(p) else ours.get(p) for p in {*base, *ours, *theirs}}
            assert contents(store, "main") == {p: c for p, c in expected.items() if c} | {"anchor": b"", "of-main": b"", "of-b": b""}

    def test_publish_lands_once_per_run(self, store: DatasetStore) -> None:
        first = store.publish("r1", {"d/a": b"1", "d/b": b"2"}, "m", {"rows": "2"})
        assert first.files == ("d/a", "d/b")
        assert first.commit == store.resolve("main")
        assert store.get_commit(first.commit).metadata == {"rows": "2", "run_id": "r1"}
        store.publish("r2", {"d/a": b"3"}, "m", {})
        assert store.publish("r1", {"d/a": b"1", "d/b": b"2"}, "m", {"rows": "2"}) == first
        assert contents(store, "main") == {"d/a": b"3", "d/b": b"2"}

    def test_publish_of_what_main_has_names_a_commit_that_has_all_of_it(self, store: DatasetStore) -> None:
        store.publish("r1", {"a": b"1", "b": b"1"}, "m", {})
        second = store.publish("r2", {"b": b"2"}, "m", {})
        store.publish("r3", {"other": b"1"}, "m", {})
        head = store.resolve("main")
        assert store.publish("r4", {"a": b"1", "b": b"2"}, "m", {}).commit == second.commit
        assert store.resolve("main") == head

    def test_publish_begins_again_where_an_attempt_died(self, store: DatasetStore) -> None:
        store.branch("run/r1")
        store.put("run/r1", "half", b"0")
        store.publish("r2", {"b": b"2"}, "m", {})
        store.publish("r1", {"a": b"1"}, "m", {})
        assert contents(store, "main") == {"a": b"1", "b": b"2"}

    def test_publish_names_the_landed_commit_when_another_run_was_faster(
        self, store: DatasetStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        landed: list[str] = []

        def commit_late(branch: str, message: str, metadata: Mapping[str, str]) -> str:
            monkeypatch.undo()
            landed.append(store.publish("r2", {"a": b"1"}, "m", {}).commit)
            return store.commit(branch, message, metadata)

        monkeypatch.setattr(store, "commit", commit_late)
        assert store.publish("r1", {"a": b"1"}, "m", {}).commit == landed[0] == store.resolve("main")

    def test_publish_since_an_older_commit_conflicts_with_what_changed_there_only(self, store: DatasetStore) -> None:
        looked = store.publish("r0", {"a": b"0", "b": b"0"}, "m", {}).commit
        store.publish("r1", {"b": b"1"}, "m", {})
        for content in (b"2", b"0"):
            with pytest.raises(MergeConflict, match="changed on both sides: .*b"):
                store.publish("r2", {"a": b"0", "b": content}, "m", {}, since=looked)
        store.publish("r3", {"a": b"3"}, "m", {}, since=looked)
        assert contents(store, "main") == {"a": b"3", "b": b"1"}

    def test_publish_against_a_moved_path_conflicts(self, store: DatasetStore, monkeypatch: pytest.MonkeyPatch) -> None:
        def commit_late(branch: str, message: str, metadata: Mapping[str, str]) -> str:
            monkeypatch.undo()
            store.publish("r2", {"a": b"2"}, "m", {})
            return store.commit(branch, message, metadata)

        monkeypatch.setattr(store, "commit", commit_late)
        with pytest.raises(MergeConflict, match=": a$"):
            store.publish("r1", {"a": b"1"}, "m", {})
        assert contents(store, "main") == {"a": b"2"}
        assert store.publish("r1", {"a": b"1"}, "m", {}).commit == store.resolve("main")

    @pytest.mark.parametrize("step", ["branch", "put", "delete", "commit", "merge", "delete_branch"])
    def test_publish_lands_once_when_an_answer_is_lost(self, store: DatasetStore, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        monkeypatch.setattr(base, "RETRY_PAUSES", (0.0, 0.0, 0.0))
        before = store.publish("r0", {"old": b"1"}, "m", {}).commit
        lost: list[str] = []

        def act_and_lose_the_answer(*arguments: Any) -> None:
            getattr(type(store), step)(store, *arguments)
            if not lost:
                lost.append(step)
                raise Unreachable("the line went dead")

        monkeypatch.setattr(store, step, act_and_lose_the_answer)
        publication = store.publish("r1", {"a": b"1", "old": None}, "m", {})
        assert lost == [step]
        assert publication.commit == store.resolve("main")
        assert store.get_commit("main").parents[0] == before
        assert store.get_commit("main").metadata["run_id"] == "r1"
        assert contents(store, "main") == {"a": b"1"}
        with pytest.raises(RefNotFound):
            store.resolve(run_branch("r1"))

    @pytest.mark.parametrize("error", [Unreachable, Busy])
    def test_publish_gives_up_after_several_tries(
        self, store: DatasetStore, monkeypatch: pytest.MonkeyPatch, error: type[DatasetError]
    ) -> None:
        monkeypatch.setattr(base, "RETRY_PAUSES", (0.0, 0.0, 0.0))
        tries: list[str] = []

        def no_answer(*arguments: Any) -> str:
            tries.append("merge")
            raise error("no answer")

        head = store.resolve("main")
        monkeypatch.setattr(store, "merge", no_answer)
        with pytest.raises(error, match="no answer"):
            store.publish("r1", {"a": b"1"}, "m", {})
        assert len(tries) == 4
        assert store.resolve("main") == head
        monkeypatch.undo()
        store.publish("r1", {"a": b"1"}, "m", {})
        assert contents(store, "main") == {"a": b"1"}

    def test_what_is_set_aside_is_kept_on_its_branch_and_not_merged(self, store: DatasetStore) -> None:
        looked = store.publish("r0", {"a": b"0", "gone": b"0"}, "m", {}).commit
        store.publish("r1", {"a": b"1"}, "m", {})
        head = store.resolve("main")
        commit = store.set_aside("refused/loop/r2", "r2", {"a": b"2", "gone": None}, "refused", {"rows": "2"}, since=looked)
        assert store.resolve("main") == head
        assert contents(store, "refused/loop/r2") == contents(store, commit) == {"a": b"2"}
        found = store.get_commit(commit)
        assert (found.message, found.metadata, found.parents) == ("refused", {"rows": "2", "run_id": "r2"}, (looked,))
        store.publish("r3", {"b": b"3"}, "m", {})  # the next writer sweeps up after publications, not what was set aside
        assert store.branches("refused/loop/") == ["refused/loop/r2"]
        with pytest.raises(RefNotFound):
            store.resolve(run_branch("r2"))

    def test_branches_are_forgotten_and_nothing_else_is(self, store: DatasetStore) -> None:
        landed = [store.publish(f"r{number}", {"a": str(number).encode(), "b": b"same"}, "m", {}).commit for number in range(3)]
        for number in range(3):
            store.set_aside(f"refused/loop/x{number}", f"x{number}", {"a": f"only {number}".encode(), "b": b"same"}, "m", {})
        store.tag("named", "refused/loop/x1")
        store.branch("work")
        store.put("work", "staged", b"not committed yet")
        store.forget_branches(["refused/loop/x0", "refused/loop/x1", "refused/loop/nonesuch"])
        assert store.branches("refused/loop/") == ["refused/loop/x2"]
        assert [contents(store, commit) for commit in landed] == [{"a": str(number).encode(), "b": b"same"} for number in range(3)]
        assert contents(store, "refused/loop/x2") == {"a": b"only 2", "b": b"same"}
        assert contents(store, "named") == {"a": b"only 1", "b": b"same"}
        store.commit("work", "m", {})
        assert store.read("work", "staged") == b"not committed yet"

    def test_setting_aside_again_for_the_same_run_changes_nothing(self, store: DatasetStore) -> None:
        first = store.set_aside("refused/loop/r1", "r1", {"a": b"1"}, "m", {})
        assert store.set_aside("refused/loop/r1", "r1", {"a": b"2"}, "m", {}) == first
        assert contents(store, first) == {"a": b"1"}

    def test_a_run_that_set_its_files_aside_may_still_publish(self, store: DatasetStore) -> None:
        store.set_aside("refused/loop/r1", "r1", {"a": b"1"}, "m", {})
        assert store.publish("r1", {"a": b"2"}, "m", {}).commit == store.resolve("main")
        assert contents(store, "main") == {"a": b"2"}

    def test_setting_aside_begins_again_where_an_attempt_died(self, store: DatasetStore) -> None:
        store.branch("run/r1")
        store.put("run/r1", "half", b"0")
        assert contents(store, store.set_aside("refused/loop/r1", "r1", {"a": b"1"}, "m", {})) == {"a": b"1"}

    @pytest.mark.parametrize("step", ["branch", "put", "delete", "commit", "delete_branch"])
    def test_files_are_set_aside_once_when_an_answer_is_lost(self, store: DatasetStore, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        monkeypatch.setattr(base, "RETRY_PAUSES", (0.0, 0.0, 0.0))
        store.publish("r0", {"old": b"1"}, "m", {})
        head = store.resolve("main")
        lost: list[str] = []

        def act_and_lose_the_answer(*arguments: Any) -> Any:
            done = getattr(type(store), step)(store, *arguments)
            if not lost and not (step == "branch" and arguments[0] == run_branch("r1")):
                lost.append(step)
                raise Unreachable("the line went dead")
            return done

        monkeypatch.setattr(store, step, act_and_lose_the_answer)
        commit = store.set_aside("refused/loop/r1", "r1", {"a": b"1", "old": None}, "m", {})
        assert lost == [step]
        assert (store.resolve("refused/loop/r1"), store.resolve("main")) == (commit, head)
        assert contents(store, commit) == {"a": b"1"}

    def test_branches_are_listed_by_the_beginning_of_their_names(self, store: DatasetStore) -> None:
        names = ["a/1", "a/1-2", "ab", "b_c/1", "b_c/é"]
        for name in names:
            store.branch(name)
        assert store.branches("") == sorted([*names, "main"])
        assert store.branches("a/") == ["a/1", "a/1-2"]
        assert store.branches("b_c/") == ["b_c/1", "b_c/é"]
        assert store.branches("c") == []

    def test_publish_removes_what_is_none(self, store: DatasetStore) -> None:
        store.publish("r1", {"d/a": b"1", "d/b": b"1"}, "m", {})
        second = store.publish("r2", {"d/a": None, "d/c": b"1", "absent": None}, "m", {})
        assert contents(store, "main") == {"d/b": b"1", "d/c": b"1"}
        assert store.publish("r3", {"d/a": None, "d/c": b"1"}, "m", {}).commit == second.commit

    def test_publish_of_a_removal_conflicts_with_a_change_meanwhile(self, store: DatasetStore, monkeypatch: pytest.MonkeyPatch) -> None:
        store.publish("r1", {"a": b"1"}, "m", {})

        def commit_late(branch: str, message: str, metadata: Mapping[str, str]) -> str:
            monkeypatch.undo()
            store.publish("r2", {"a": b"2"}, "m", {})
            return store.commit(branch, message, metadata)

        monkeypatch.setattr(store, "commit", commit_late)
        with pytest.raises(MergeConflict, match=": a$"):
            store.publish("r3", {"a": None}, "m", {})
        assert contents(store, "main") == {"a": b"2"}

    def test_checksum_tells_bytes_apart(self, store: DatasetStore) -> None:
        first = land(store, "main", {"a": b"1", "b": b"2", "c": b"1"})
        land(store, "main", {"a": b"2"})
        assert store.checksum("main", "a") == store.checksum("main", "b") != store.checksum("main", "c")
        assert store.checksum(first, "a") == store.checksum("main", "c")
        with pytest.raises(ObjectNotFound):
            store.checksum("main", "d")

    def test_last_change(self, store: DatasetStore) -> None:
        first = store.publish("r1", {"a": b"1"}, "m", {}).commit
        store.publish("r2", {"b": b"1"}, "m", {})
        assert store.last_change("main", "a") == first
        assert store.last_change("main", "a", "b") == store.last_change("main", "b") != first
        with pytest.raises(ObjectNotFound):
            store.last_change("main", "c")
        with pytest.raises(ObjectNotFound):
            store.last_change("main", "a", "c")
