"""The right to be forgotten: deletes a user's texts from the log, the vectors and the next dataset, and reports where they were."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ftassets.assets._shared.dataset_files import (
    from_parquet,
    labels_folder,
    pairs_from_parquet,
    pairs_path,
    pairs_to_parquet,
    read_splits,
    refused_folder,
    to_parquet,
)
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import digests, load_manifest
from ftassets.backends.dataset_store.base import DatasetStore, Files, ObjectNotFound
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import VectorStore
from ftassets.domain.dataset.rows import Example
from ftassets.domain.traffic.exchange import Exchange

STAYS = (
    "dataset commits are history and keep the rows named above: delete the commits or the repository if they must go; adapters trained "
    "on them keep what they learned until a retrain on the next dataset replaces them; example requests shown in drift reports lie in "
    "Dagster's event log until its retention removes them"
)


@dataclass
class Forgotten:
    """What was removed, and what still holds it: commits with the number of rows in each, versions trained on such a commit.

    `repeated` are later requests of the conversation, which have the forgotten one among their earlier turns. `unreadable` are
    versions whose training data is not known, each with the reason: they may hold it too.
    """

    requests: list[str]
    repeated: list[str] = field(default_factory=list)
    commits: list[dict[str, object]] = field(default_factory=list)
    versions: list[dict[str, str]] = field(default_factory=list)
    unreadable: list[dict[str, str]] = field(default_factory=list)
    stays: str = STAYS


def forget(
    loops: Collection[str],
    traffic_log: TrafficLog,
    vector_store: VectorStore,
    dataset_store: DatasetStore,
    artifacts: Artifacts,
    user: str | None = None,
    request: str | None = None,
) -> Forgotten:
    """Forget a user (as hashed in the log) or one request; doing it again finishes what was interrupted.

    `loops` are names; loops that have anything in the dataset store are searched too, whether or not their loop files are here.

    Removes log rows, vectors, labels and preference pairs now; the rows leave the dataset with its next commit. Raises
    ValueError when neither is given.
    """
    names = sorted({*loops, *(path.partition("/")[0] for path in dataset_store.list("main", ""))})
    repeated = [later for loop in names for later in _later_turns(traffic_log, loop, request)] if request else []
    ids = set(traffic_log.forget(user=user, request_ids=[request] if request else []))
    gone = ids | traffic_log.forgotten()  # what an earlier call may have been interrupted before
    report = Forgotten(sorted(ids), repeated)
    for loop in names:
        if gone:
            vector_store.remove(loop, sorted(gone))
        _clean_written(dataset_store, loop, gone, user)
        report.commits += _commits_holding(dataset_store, loop, ids, user)
    report.versions, report.unreadable = _versions_of(artifacts, {str(item["commit"]) for item in report.commits})
    return report


def _later_turns(traffic_log: TrafficLog, loop: str, request: str) -> list[str]:
    """Ids of the same user's later requests whose messages begin with those of this one."""
    found = []
    for asked in traffic_log.named(loop, [request]):
        begin = _messages(asked)
        for later in traffic_log.stream(loop, asked.at) if begin else ():
            if later.id != request and later.user == asked.user and _messages(later)[: len(begin)] == begin:
                found.append(later.id)
    return found


def _messages(exchange: Exchange) -> list[Any]:
    stored = json.loads(exchange.messages)
    return stored["messages"] if isinstance(stored, dict) else stored


def _clean_written(store: DatasetStore, loop: str, ids: set[str], user: str | None) -> None:
    """Take the rows out of labels and pairs on main."""
    files: dict[str, bytes | None] = {}
    for path in store.list("main", labels_folder(loop)):
        rows = from_parquet(store.read("main", path))
        if kept := [row for row in rows if row.request_id not in ids]:
            if len(kept) < len(rows):
                files[path] = to_parquet(kept)
        else:
            files[path] = None
    try:
        pairs = pairs_from_parquet(store.read("main", pairs_path(loop)))
    except ObjectNotFound:
        pairs = []
    kept_pairs = [pair for pair in pairs if pair.request_id not in ids and pair.user != user]
    if len(kept_pairs) < len(pairs):
        files[pairs_path(loop)] = pairs_to_parquet(kept_pairs)
    if files:
        _publish(store, loop, files)


def _publish(store: DatasetStore, loop: str, files: Files) -> None:
    head = store.resolve("main")
    store.publish(f"forget-{loop}-{head[:12]}", files, f"{loop}: rows forgotten", {"loop": loop})


def _commits_holding(store: DatasetStore, loop: str, ids: set[str], user: str | None) -> list[dict[str, object]]:
    """Commits of the loop's dataset, refused ones as well, with rows of the user or the requests."""
    found: list[dict[str, object]] = []
    refused = [store.get_commit(branch) for branch in store.branches(refused_folder(loop))]
    published = [commit for commit in store.log("main", limit=100_000) if len(commit.parents) > 1]  # a merge repeats the commit it merges
    for commit in [*published, *refused]:
        if commit.metadata.get("loop") != loop or "content_hash" not in commit.metadata:
            continue
        rows = [row for members in read_splits(store, commit.id, loop).values() for row in members if _is_of(row, ids, user)]
        if rows:
            found.append({"loop": loop, "commit": commit.id, "rows": len(rows)})
    return found


def _is_of(row: Example, ids: set[str], user: str | None) -> bool:
    return row.request_id in ids or (user is not None and row.user == user and row.source != "label")


def _versions_of(artifacts: Artifacts, commits: set[str]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Versions trained on the commits, and those that cannot be read: the rows are gone by now, so the report must not fail."""
    found, unreadable = [], []
    for digest in digests(artifacts):
        try:
            manifest = load_manifest(artifacts, digest)
        except VersionDamaged as error:
            unreadable.append({"version": digest, "reason": str(error)})
            continue
        if manifest.dataset_commit in commits:
            found.append({"version": manifest.digest, "dataset_commit": str(manifest.dataset_commit)})
    return found, unreadable
