"""How long refused datasets stay: people read the newest, and the store must not grow by one with each retrain that is refused."""

from collections.abc import Iterable

from ftassets.assets._shared.dataset_files import refused_folder
from ftassets.backends.dataset_store.base import Commit, DatasetStore

KEPT = 20  # of a loop


def beyond(branches: Iterable[tuple[str, Commit]], kept: int = KEPT) -> list[str]:
    """The branches but for the newest ones, by the time of their commits."""
    newest_first = sorted(branches, key=lambda each: (each[1].created_at, each[0]), reverse=True)
    return [name for name, _ in newest_first[kept:]]


def forget_old(store: DatasetStore, loop: str, kept: int = KEPT) -> list[str]:
    """Delete the loop's branches of refused datasets but for the newest ones; returns their names."""
    names = store.branches(refused_folder(loop))
    if len(names) <= kept:
        return []
    old = beyond(((name, store.get_commit(name)) for name in names), kept)
    store.forget_branches(old)
    return old
