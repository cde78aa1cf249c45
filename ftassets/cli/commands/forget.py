"""The right to be forgotten: takes a user's texts out of every store of the registry, and reports what history keeps."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.traffic_log.day_files import DayFiles
from ftassets.backends.vector_store.base import VectorStore
from ftassets.cli.commands.user_texts import (
    Commits,
    DatasetFiles,
    DayRows,
    LogRows,
    ModelAnswers,
    Scratch,
    Store,
    Subject,
    Vectors,
    Versions,
    WrittenRows,
    asked_in,
)
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.traffic.exchange import Exchange, request_in
from ftassets.domain.traffic.imports.fields import stored_ids
from ftassets.errors import InvalidInput

_HASH = re.compile("[0-9a-f]{32}")  # see `keyed_user`
COMMITS_STAY, VERSIONS_STAY, WRITTEN_STAY = Commits.stays, Versions.stays, WrittenRows.stays
COPIES_STAY = (
    "seed, golden and exported files are yours, and so are backups: remove the texts there if they have them. The log of a PostgreSQL "
    "server and of a lakeFS repository follow those servers' rules"
)


@dataclass
class Forgotten:
    """What was removed, and what still holds it: commits with the number of rows in each, versions trained on such a commit.

    `erased` counts by store what is gone. Rows in quarantine count as well. `repeated` are later requests of the conversation, which
    have the forgotten one among their earlier turns. `unreadable` are versions whose training data is not known, each with the reason:
    they may hold it too. `written` are files on `main` with rows that people wrote and that ask the same. `in_use` are scratch folders
    in which a process works. `earlier` says that the request named, or requests of the user, were forgotten before.
    """

    requests: list[str]
    repeated: list[str] = field(default_factory=list)
    erased: dict[str, int] = field(default_factory=dict)
    commits: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, str]] = field(default_factory=list)
    unreadable: list[dict[str, str]] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)
    in_use: list[str] = field(default_factory=list)
    earlier: bool = False
    user: str | None = None
    stays: str = COPIES_STAY


@dataclass(frozen=True)
class Registry:
    """Every store of users' texts of a home: the log and the copies of its days, which know whose a request is, the others that can be
    changed, and those that are history."""

    loops: Sequence[str]
    log: LogRows
    days: DayRows
    datasets: DatasetFiles
    others: tuple[Store, ...]
    commits: Commits
    versions: Versions
    written: WrittenRows

    @property
    def stores(self) -> tuple[Store, ...]:
        """All of them."""
        return self.log, self.days, *self.others, self.commits, self.versions, self.written


def registry(
    loops: Collection[str],
    traffic_log: TrafficLog,
    vector_store: VectorStore,
    dataset_store: DatasetStore,
    artifacts: Artifacts,
    day_files: Sequence[DayFiles] = (),
    work: Path | None = None,
) -> Registry:
    """The stores of these loops, and of those that have anything in the dataset store, whether or not their loop files are here."""
    names = sorted({*loops, *(path.partition("/")[0] for path in dataset_store.list("main", ""))})
    commits = Commits(dataset_store, names)
    files = DatasetFiles(dataset_store, names)
    scratch = [Scratch(work)] if work else []
    others = (Vectors(vector_store, names), files, ModelAnswers(artifacts), *scratch)
    written = WrittenRows(dataset_store, names)
    return Registry(names, LogRows(traffic_log), DayRows(day_files), files, others, commits, Versions(artifacts, commits), written)


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
    names = sorted(_known_as(traffic_log, day_files, request))
    found = traffic_log.named(None, names) or list(_moved(day_files, None, names))
    if not found:
        raise InvalidInput(f"the traffic log has no request {request}: give the id of one that the user sent and that is not forgotten")
    if len({row.user for row in found}) > 1:
        raise InvalidInput(f"{request} is the id of requests of several users: {', '.join(names)}; name one of them")
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
    work: Path | None = None,
) -> Forgotten:
    """Forget a user (as hashed in the log) or one request; doing it again finishes what was interrupted.

    A request may have the id that its source gave it. `work` is the folder of scratch folders.
    Everything that can be changed is changed now; the rows leave the dataset with its next commit.
    Raises InvalidInput when neither is given, when nothing here has the request or ever forgot it, when the id names several, and when
    no store has anything of the user.
    """
    of = registry(loops, traffic_log, vector_store, dataset_store, artifacts, day_files, work)
    with ExitStack() as held:
        for files in day_files:  # no row may move from the log to a file meanwhile
            held.enter_context(files.held())
        return _forgotten(of, traffic_log, day_files, artifacts, user, request)


def _forgotten(
    of: Registry,
    traffic_log: TrafficLog,
    day_files: Sequence[DayFiles],
    artifacts: Artifacts,
    user: str | None,
    request: str | None,
) -> Forgotten:
    request = request and _stored_name(of, traffic_log, day_files, request)
    repeated = [later for loop in of.loops for later in _later_turns(traffic_log, day_files, loop, request)] if request else []
    named = [request] if request else []
    there, asking = _there(traffic_log, day_files, user, named)
    before = frozenset(traffic_log.forgotten(user)) if user is not None else frozenset()
    earlier = bool(before) or bool(request and request not in there and request in traffic_log.forgotten())
    asked = Subject(frozenset({*named, *there, *before}), user)
    who = Subject(asked.requests | traffic_log.forgotten(), user, of.commits.row_ids(asked), asking)
    erased = {store.name: store.erase(who) for store in of.others}
    commits = of.commits.find(asked)
    written = of.written.find(who)
    # the log goes after them: by it the next call finds what an interrupted one has left. It remembers ids and user, for the rest
    logged = of.log.forget(Subject(frozenset({*named, *there}), user))
    late = Subject(who.requests | logged, user, who.rows)  # with what came, or was written by a run, meanwhile
    erased = {store.name: erased.get(store.name, 0) + store.erase(late) for store in (of.days, *of.others)}
    erased = {of.log.name: len(logged), **erased}
    report = Forgotten(sorted(logged | there), repeated, erased, earlier=earlier, user=user)
    report.commits = [{"loop": place.loop, "commit": place.name, "rows": place.rows} for place in commits]
    if user is not None and not (asked.requests or report.commits or any(n for name, n in erased.items() if name != Scratch.name)):
        raise InvalidInput(_unknown(user))
    for place in of.versions.trained_on({str(item["commit"]) for item in report.commits}):
        if place.why is None:
            report.versions.append({"version": place.name, "dataset_commit": str(load_manifest(artifacts, place.name).dataset_commit)})
        else:
            report.unreadable.append({"version": place.name, "reason": place.why})
    report.written = [{"loop": place.loop, "file": place.name, "rows": place.rows} for place in written]
    report.in_use = [f"{place.name}: {place.why}" for store in of.others for place in store.find(late) if place.why]
    stays = [COMMITS_STAY] if report.commits else []
    stays += [VERSIONS_STAY] if report.versions or report.unreadable else []
    stays += [WRITTEN_STAY] if report.written else []
    report.stays = "; ".join([*stays, COPIES_STAY])
    return report


def _unknown(user: str) -> str:
    hint = "" if _HASH.fullmatch(user) else ", and it is not a hash as the log has it"
    return (
        f"no store here has anything of the user {user}{hint}: ftassets user-hash NAME prints the hash of a name, and --user-of takes the "
        "id of a request"
    )


def _there(
    traffic_log: TrafficLog, day_files: Sequence[DayFiles], user: str | None, named: Collection[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Ids of a user's and the named requests that the log and the copies of days have, and what they ask, see `asked_in`."""
    logged = traffic_log.of_user(user) if user is not None else ()
    rows = [(row.id, asked_in(row.prompt)) for row in chain(traffic_log.named(None, list(named)), logged, _moved(day_files, user, named))]
    return frozenset(name for name, _ in rows), frozenset(known for _, asked in rows for known in asked)


def _stored_name(of: Registry, traffic_log: TrafficLog, day_files: Sequence[DayFiles], request: str) -> str:
    """The id under which the stores know a request. Raises InvalidInput if none does, or if several requests have this name."""
    names = stored_ids(request)
    known = _known_as(traffic_log, day_files, request)
    known = known or {name for name in traffic_log.forgotten() if name in names or name.startswith(_derived(names))}
    known = known or {name for name in names if any(store.find(Subject(frozenset([name]))) for store in (of.datasets, of.commits))}
    if len(known) > 1:
        raise InvalidInput(f"{request} is the id of several requests: {', '.join(sorted(known))}; name one of them")
    if not known:
        raise InvalidInput(f"no request {request}: neither the traffic log nor a dataset has it, and it was not forgotten earlier")
    return known.pop()


def _known_as(traffic_log: TrafficLog, day_files: Sequence[DayFiles], request: str) -> set[str]:
    """The ids that a request may have in the log and in the copies of days: the one named, else those which imports gave what their source
    called so: with the source's name before it, and behind it what tells the exchanges of one id apart.
    """
    for names, derived in (([request], False), (stored_ids(request), True)):
        found = {row.id for row in (*traffic_log.named(None, names), *_moved(day_files, None, names))}
        if derived:
            found |= traffic_log.derived(names)
            found.update(*(files.derived(loop, names) for files in day_files for loop in files.loops()))
        if found:
            return found
    return set()


def _derived(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}:" for name in names)


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
