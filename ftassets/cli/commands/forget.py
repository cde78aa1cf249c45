"""The right to be forgotten: deletes a user's texts from the log, the vectors and the next dataset, and reports where they were."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from ftassets.assets._shared.dataset_files import (
    from_parquet,
    labels_folder,
    pairs_from_parquet,
    pairs_path,
    pairs_to_parquet,
    quarantine_from_parquet,
    quarantine_path,
    quarantine_to_parquet,
    read_splits,
    refused_folder,
    to_parquet,
)
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import digests, load_manifest
from ftassets.backends.dataset_store.base import DatasetStore, Files, ObjectNotFound
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.traffic_log.day_files import DayFiles
from ftassets.backends.vector_store.base import VectorStore
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.traffic.exchange import Exchange, request_in
from ftassets.errors import InvalidInput

COMMITS_STAY = "dataset commits are history and keep the rows named above: delete the commits or the repository if they must go"
VERSIONS_STAY = "adapters trained on them keep what they learned until a retrain on the next dataset replaces them"
EVENTS_STAY = (
    "Dagster's event log may still show some of their texts, as examples in drift reports and datasets, until its retention removes them"
)
SOURCES = ("correction", "thumbs_up", "label")  # of rows that come from requests


@dataclass
class Forgotten:
    """What was removed, and what still holds it: commits with the number of rows in each, versions trained on such a commit.

    Rows in quarantine count as well. `repeated` are later requests of the conversation, which have the forgotten one among their
    earlier turns. `unreadable` are versions whose training data is not known, each with the reason: they may hold it too. `earlier`
    says that the request named was forgotten before.
    """

    requests: list[str]
    repeated: list[str] = field(default_factory=list)
    commits: list[dict[str, object]] = field(default_factory=list)
    versions: list[dict[str, str]] = field(default_factory=list)
    unreadable: list[dict[str, str]] = field(default_factory=list)
    earlier: bool = False
    user: str | None = None
    stays: str = EVENTS_STAY


def folders_of_days(home: Home, loops: Iterable[LoopConfig]) -> list[DayFiles]:
    """The folders that have days of traffic which left the log: the home's, if there is one, and those that loop files name.

    Raises InvalidInput if one that a loop file names is not there: it may be on a disk that is not mounted.
    """
    folders = {loop.traffic.export for loop in loops if loop.traffic.export}
    if lost := sorted(folder for folder in folders if not folder.is_dir()):
        raise InvalidInput(
            f"{lost[0]}, the folder of traffic.export, is not there, so what it has of the user would stay: mount it, or make it if no day "
            "was copied yet; then forget again"
        )
    return [DayFiles(folder) for folder in sorted({*folders, *([home.traffic_export] if home.traffic_export.is_dir() else [])})]


def user_of(traffic_log: TrafficLog, request: str, day_files: Sequence[DayFiles] = ()) -> str:
    """Hash of the user who sent a request. Raises InvalidInput when neither the log nor the files of deleted days know it."""
    found = traffic_log.named(None, [request]) or list(_moved(day_files, None, [request]))
    if not found:
        raise InvalidInput(f"the traffic log has no request {request}: give the id of one that the user sent and that is not forgotten")
    if not found[0].user:
        raise InvalidInput(f"request {request} has no user: ftassets forget --request {request} removes it alone")
    return found[0].user


def forget(
    loops: Collection[str],
    traffic_log: TrafficLog,
    vector_store: VectorStore,
    dataset_store: DatasetStore,
    artifacts: Artifacts,
    user: str | None = None,
    request: str | None = None,
    day_files: Sequence[DayFiles] = (),
) -> Forgotten:
    """Forget a user (as hashed in the log) or one request; doing it again finishes what was interrupted.

    `loops` are names; loops that have anything in the dataset store are searched too, whether or not their loop files are here.

    Removes log rows, their copies in `day_files`, vectors, labels, preference pairs and quarantined rows now; the rows leave the dataset
    with its next commit.
    Raises InvalidInput when neither is given, and when nothing here has the request or ever forgot it.
    """
    with ExitStack() as held:
        for files in day_files:  # no row may move from the log to a file meanwhile
            held.enter_context(files.held())
        return _forgotten(loops, traffic_log, vector_store, dataset_store, artifacts, user, request, day_files)


def _forgotten(
    loops: Collection[str],
    traffic_log: TrafficLog,
    vector_store: VectorStore,
    dataset_store: DatasetStore,
    artifacts: Artifacts,
    user: str | None,
    request: str | None,
    day_files: Sequence[DayFiles],
) -> Forgotten:
    names = sorted({*loops, *(path.partition("/")[0] for path in dataset_store.list("main", ""))})
    repeated = [later for loop in names for later in _later_turns(traffic_log, day_files, loop, request)] if request else []
    named = [request] if request else []
    moved = {row.id for row in _moved(day_files, user, named)}
    logged = bool(request and (request in moved or traffic_log.named(None, [request])))
    earlier = bool(request and not logged and request in traffic_log.forgotten())
    if request and not logged and not earlier and not any(_holds(dataset_store, loop, request) for loop in names):
        raise InvalidInput(f"no request {request}: neither the traffic log nor a dataset has it, and it was not forgotten earlier")
    ids = set(traffic_log.forget(user=user, request_ids=sorted({*named, *moved})))
    gone = ids | traffic_log.forgotten()  # what an earlier call may have been interrupted before
    report = Forgotten(sorted(name for name in ids if logged or name != request), repeated, earlier=earlier, user=user)
    for copies in day_files:
        for loop in copies.loops():
            copies.erase(loop, gone)
    for loop in names:
        if gone:
            vector_store.remove(loop, sorted(gone))
        if files := _cleaned(dataset_store, loop, gone, user):
            _publish(dataset_store, loop, files)
        report.commits += _commits_holding(dataset_store, loop, ids, user)
    report.versions, report.unreadable = _versions_of(artifacts, {str(item["commit"]) for item in report.commits})
    stays = [COMMITS_STAY] if report.commits else []
    stays += [VERSIONS_STAY] if report.versions or report.unreadable else []
    report.stays = "; ".join([*stays, EVENTS_STAY])
    return report


def _holds(store: DatasetStore, loop: str, request: str) -> bool:
    """Whether anything of the loop has rows of a request that the log does not have, such as a label that brought its own texts."""
    return bool(_cleaned(store, loop, {request}, None) or _commits_holding(store, loop, {request}, None))


def _moved(day_files: Sequence[DayFiles], user: str | None, requests: Collection[str]) -> Iterator[Exchange]:
    """Rows of a user and those named in the files of days that left the log."""
    return (row for files in day_files for loop in files.loops() for row in files.find(loop, user, requests))


def _later_turns(traffic_log: TrafficLog, day_files: Sequence[DayFiles], loop: str, request: str) -> list[str]:
    """Ids of the same user's later requests whose messages begin with those of this one."""
    found = []
    for asked in traffic_log.named(loop, [request]) or [row for files in day_files for row in files.find(loop, ids=[request])]:
        begin = _messages(asked)
        moved = (row for files in day_files for row in files.find(loop, asked.user) if row.at >= asked.at)
        for later in chain(moved, traffic_log.stream(loop, asked.at)) if begin else ():
            if later.id != request and later.user == asked.user and _messages(later)[: len(begin)] == begin:
                found.append(later.id)
    return found


def _messages(exchange: Exchange) -> list[Any]:
    return request_in(exchange.messages)[0] or []


def _cleaned(store: DatasetStore, loop: str, ids: set[str], user: str | None) -> Files:
    """The files of labels, pairs and quarantine on main that have such rows, without them."""
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
    quarantined = _quarantined(store, "main", loop)
    kept_out = [row for row in quarantined if not _quarantined_of(row, ids)]
    if len(kept_out) < len(quarantined):
        files[quarantine_path(loop)] = quarantine_to_parquet(kept_out)
    return files


def _quarantined(store: DatasetStore, ref: str, loop: str) -> list[Quarantined]:
    try:
        return quarantine_from_parquet(store.read(ref, quarantine_path(loop)))
    except ObjectNotFound:
        return []


def _quarantined_of(row: Quarantined, ids: set[str]) -> bool:
    """Whether the row is of one of the requests: it names its step, with the step `schema` its source, and its id."""
    return any(name in ids for name in _requests_named(row.where.partition(":")[2]))


def _requests_named(name: str) -> Iterator[str]:
    """What may be the request of a quarantined row, which is called ID, `label:ID`, or either of them after `SOURCE:`."""
    yield name
    for source in SOURCES:
        if name.startswith(f"{source}:"):
            yield from _requests_named(name.removeprefix(f"{source}:"))


def _publish(store: DatasetStore, loop: str, files: Files) -> None:
    head = store.resolve("main")
    store.publish(f"forget-{loop}-{head[:12]}", files, f"{loop}: rows forgotten", {"loop": loop})


def _commits_holding(store: DatasetStore, loop: str, ids: set[str], user: str | None) -> list[dict[str, object]]:
    """Commits of the loop's dataset, refused ones as well, with rows of the user or the requests, those in quarantine too."""
    found: list[dict[str, object]] = []
    refused = [store.get_commit(branch) for branch in store.branches(refused_folder(loop))]
    published = [commit for commit in store.log("main", limit=100_000) if len(commit.parents) > 1]  # a merge repeats the commit it merges
    for commit in [*published, *refused]:
        if commit.metadata.get("loop") != loop or "content_hash" not in commit.metadata:
            continue
        rows = [row for members in read_splits(store, commit.id, loop).values() for row in members if _is_of(row, ids, user)]
        held = len(rows) + sum(_quarantined_of(row, ids) for row in _quarantined(store, commit.id, loop))
        if held:
            found.append({"loop": loop, "commit": commit.id, "rows": held})
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
