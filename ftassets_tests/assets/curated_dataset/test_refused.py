"""Refused datasets: the newest stay."""

from pathlib import Path

from ftassets.assets._shared.dataset_files import refused_branch
from ftassets.assets.curated_dataset.refused import beyond, forget_old
from ftassets.backends.dataset_store.base import Commit
from ftassets.backends.dataset_store.git import GitDatasetStore


def test_the_newest_are_kept_by_the_time_of_their_commits() -> None:
    found = [(name, Commit(name, "m", {}, (), at)) for name, at in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("d", 1.0))]
    assert beyond(found, 2) == ["d", "b"]
    assert beyond(found, 4) == []


def test_only_the_loops_own_old_branches_go(tmp_path: Path) -> None:
    store = GitDatasetStore(tmp_path / "d.git")
    for loop in ("mine", "mine_too"):
        for run in ("r1", "r2", "r3"):
            store.set_aside(refused_branch(loop, run), f"{loop}-{run}", {"a": f"{loop} {run}".encode()}, "m", {})
    kept = max(store.branches("refused/mine/"), key=lambda name: (store.get_commit(name).created_at, name))
    assert sorted(forget_old(store, "mine", kept=1)) == sorted({refused_branch("mine", run) for run in ("r1", "r2", "r3")} - {kept})
    assert store.branches("refused/mine/") == [kept]
    assert len(store.branches("refused/mine_too/")) == 3
    assert forget_old(store, "mine", kept=1) == []
