"""Every store that has texts of users: where texts of somebody are in it, and how they are taken out.

`forget` walks this registry. A new store of users' texts gets a class here; the test that plants a marker fails without it. Reports, the
answers of LLM judges, Dagster's event log and MLflow have no texts of users: they name requests by their ids.
"""

import io
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ftassets.assets._shared.dataset_files import (
    golden_path,
    labels_folder,
    names_in_dataset,
    pairs_path,
    quarantine_from_parquet,
    quarantine_path,
    quarantine_to_parquet,
    rated_path,
    refused_folder,
    row_names,
    seed_path,
    seed_rejected_path,
    sets_folder,
    synthetic_path,
    table_rows,
    without_rows,
)
from ftassets.backends.artifacts.answers import FOLDER as ANSWERS
from ftassets.backends.artifacts.answers import answers_key
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import digests, load_manifest
from ftassets.backends.dataset_store.base import Commit, DatasetStore, Files, ObjectNotFound, RefNotFound, run_branch
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.traffic_log.day_files import DayFiles
from ftassets.backends.vector_store.base import VectorStore
from ftassets.domain.dataset.curation.text import normalised
from ftassets.domain.dataset.rows import Quarantined

SOURCES = ("correction", "thumbs_up", "label")  # of rows that come from requests
_LONG_ENOUGH = 20  # characters
STALE = 3600.0  # seconds after which a scratch folder that nobody writes to is left over from a process that was killed


@dataclass(frozen=True)
class Subject:
    """Whose texts are meant: requests by their ids, those forgotten earlier included, and the hash of a user.

    `rows` are ids of dataset rows that were made of these requests, `asked` what they asked, see `asked_in`.
    """

    requests: frozenset[str]
    user: str | None = None
    rows: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Place:
    """Where texts are, and in how many rows; `why` nothing can be told of it, if that is so."""

    loop: str | None
    name: str
    rows: int
    why: str | None = None


class Store(ABC):
    """A store of users' texts under the name that messages call it."""

    name: ClassVar[str]

    @abstractmethod
    def find(self, who: Subject) -> list[Place]:
        """Where it has texts of them."""

    @abstractmethod
    def erase(self, who: Subject) -> int:
        """Take them out; returns the number of rows or files that are gone. Doing it again is safe."""


class History(Store):
    """A store that keeps what it has; `stays` is the sentence about it, with what can be done."""

    stays: ClassVar[str]

    def erase(self, who: Subject) -> int:
        return 0


class LogRows(Store):
    """Requests, answers and feedback of the traffic log."""

    name = "rows of the traffic log"

    def __init__(self, log: TrafficLog) -> None:
        self._log = log

    def find(self, who: Subject) -> list[Place]:
        found = len(self._log.named(None, sorted(who.requests)))
        return [Place(None, "traffic log", found)] if found else []

    def erase(self, who: Subject) -> int:
        return len(self.forget(who))

    def forget(self, who: Subject) -> set[str]:
        """Ids of what it had of them, which it remembers from now on. Raises InvalidInput if no user and no request is named."""
        there = {row.id for row in self._log.named(None, sorted(who.requests))}
        return set(self._log.forget(user=who.user, request_ids=sorted(who.requests))) - (who.requests - there)


class DayRows(Store):
    """Days of traffic that left the log; to be used with the folders held."""

    name = "rows of exported days"

    def __init__(self, folders: Sequence[DayFiles]) -> None:
        self._folders = folders

    def find(self, who: Subject) -> list[Place]:
        counts = [
            Place(loop, str(files.folder / loop), sum(1 for _ in files.find(loop, who.user, who.requests)))
            for files in self._folders
            for loop in files.loops()
        ]
        return [place for place in counts if place.rows]

    def erase(self, who: Subject) -> int:
        return sum(files.erase(loop, who.requests) for files in self._folders for loop in files.loops())


class Vectors(Store):
    """Vectors of queries, each with its text."""

    name = "query vectors"

    def __init__(self, store: VectorStore, loops: Collection[str]) -> None:
        self._store, self._loops = store, loops

    def find(self, who: Subject) -> list[Place]:
        names = sorted(who.requests)
        places = [
            Place(loop, space, len(self._store.find(loop, space, names))) for loop in self._loops for space in self._store.embedders(loop)
        ]
        return [place for place in places if place.rows]

    def erase(self, who: Subject) -> int:
        there = sum(place.rows for place in self.find(who))
        for loop in self._loops if who.requests else ():
            self._store.remove(loop, sorted(who.requests))
        return there


class DatasetFiles(Store):
    """Labels, preference pairs, rated answers and the quarantine on `main`: files of their own, which one commit can change."""

    name = "labels, pairs and quarantined rows"

    def __init__(self, store: DatasetStore, loops: Collection[str]) -> None:
        self._store, self._loops = store, loops

    def find(self, who: Subject) -> list[Place]:
        return [Place(loop, path, count) for loop in self._loops for path, _, count in self._changes(loop, who)]

    def erase(self, who: Subject) -> int:
        erased = 0
        for loop in self._loops:
            changes = list(self._changes(loop, who))
            if files := {path: content for path, content, _ in changes}:
                self._publish(loop, files)
            erased += sum(count for _, _, count in changes)
        return erased

    def _changes(self, loop: str, who: Subject) -> Iterator[tuple[str, bytes | None, int]]:
        """Each file that has rows of them: its path, its content without them, and how many there were."""
        for path in self._store.list("main", labels_folder(loop)):
            content = self._store.read("main", path)
            gone = [_is_of(row, who) for row in row_names(content)]
            if any(gone):
                yield path, None if all(gone) else without_rows(content, gone), sum(gone)
        for path, kind in _preference_files(loop).items():
            with suppress(ObjectNotFound):
                content = self._store.read("main", path)
                gone = [_is_of(row, who) for row in row_names(content, kind)]
                if any(gone):
                    yield path, without_rows(content, gone), sum(gone)
        quarantined = quarantine_of(self._store, "main", loop)
        others = [row for row in quarantined if not quarantined_of(row, who.requests)]
        if len(others) < len(quarantined):
            yield quarantine_path(loop), quarantine_to_parquet(others), len(quarantined) - len(others)

    def _publish(self, loop: str, files: Files) -> None:
        head = self._store.resolve("main")
        self._store.publish(f"forget-{loop}-{head[:12]}", files, f"{loop}: rows forgotten", {"loop": loop})


def _preference_files(loop: str) -> dict[str, str]:
    """Files of what users preferred, each with the kind of its rows."""
    return {pairs_path(loop): "preference_pairs", rated_path(loop): "rated_answers"}


class ModelAnswers(Store):
    """Answers that models gave to rows of them when they were evaluated; an answer may repeat what was asked.

    The file goes as a whole: who evaluates on these rows again gets new answers.
    """

    name = "files of models' answers"

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    def find(self, who: Subject) -> list[Place]:
        return list(self._places(who))

    def erase(self, who: Subject) -> int:
        places = self.find(who)
        for place in places:
            self._artifacts.remove(place.name)
        return len(places)

    def _places(self, who: Subject) -> Iterator[Place]:
        for name in self._artifacts.names(ANSWERS):
            count = _answers_of(self._artifacts.local(answers_key(name)), who.rows | who.requests)
            if count:
                yield Place(None, answers_key(name), count)


class Scratch(Store):
    """Scratch folders of runs that were killed: a run removes its own at its end."""

    name = "left-over scratch folders"

    def __init__(self, work: Path) -> None:
        self._work = work

    def find(self, who: Subject) -> list[Place]:
        folders = sorted(self._work.iterdir()) if self._work.is_dir() else []
        fresh = "a process may work there: forget once more when it has ended"
        return [Place(None, str(folder), 0, None if _stale(folder) else fresh) for folder in folders]

    def erase(self, who: Subject) -> int:
        left = [place for place in self.find(who) if place.why is None]
        for place in left:
            folder = Path(place.name)
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink(missing_ok=True)
        return len(left)


class Commits(History):
    """Commits that brought a dataset, refused ones as well, labels, pairs or a quarantine; the current dataset loses the rows with its
    next commit."""

    name = "commits of datasets, labels and pairs"
    stays = (
        "the commits named above are history and keep the rows, and so do later commits until the one that took them out: rewrite the "
        "repository's history without them, or delete it, if they must go"
    )

    def __init__(self, store: DatasetStore, loops: Collection[str]) -> None:
        self._store, self._loops = store, loops
        self._found: dict[Subject, list[tuple[str, str, list[str], int]]] = {}  # commits do not change, and there may be many

    def find(self, who: Subject) -> list[Place]:
        return [Place(loop, commit, len(rows) + others) for loop, commit, rows, others in self._holding(who) if rows or others]

    def row_ids(self, who: Subject) -> frozenset[str]:
        """Ids of the rows that were made of their requests."""
        return frozenset(name for _, _, rows, _ in self._holding(who) for name in rows)

    def _holding(self, who: Subject) -> list[tuple[str, str, list[str], int]]:
        if who not in self._found:
            self._found[who] = list(self._searched(who))
        return self._found[who]

    def _searched(self, who: Subject) -> Iterator[tuple[str, str, list[str], int]]:
        """Each commit of a loop, with the ids of its dataset's rows and the number of other rows that it brought."""
        log = [commit for commit in self._store.log("main", limit=100_000) if len(commit.parents) > 1]  # a merge repeats what it merges
        unmerged = list(self._on_branches(run_branch("")))  # of processes that were killed
        known: dict[str, list[dict[str, Any]]] = {}
        wanted = partial(_is_of, who=who)
        for loop in self._loops:
            for commit in [*log, *self._on_branches(refused_folder(loop)), *unmerged]:
                if commit.metadata.get("loop") == loop:
                    rows: list[str] = []
                    if "content_hash" in commit.metadata:
                        rows = [row["id"] for row in names_in_dataset(self._store, commit.id, loop, wanted, known)]
                    yield loop, commit.id, rows, sum(self._brought(commit, loop, who))

    def _on_branches(self, prefix: str) -> Iterator[Commit]:
        for branch in self._store.branches(prefix):
            with suppress(RefNotFound):  # it was merged meanwhile
                yield self._store.get_commit(branch)

    def _brought(self, commit: Commit, loop: str, who: Subject) -> Iterator[int]:
        """Rows of labels, pairs and the quarantine in each such file that the commit changed."""
        for change in self._store.diff(commit.parents[0], commit.id) if commit.parents else ():
            if change.kind == "removed":
                continue
            if change.path.startswith(labels_folder(loop)):
                yield sum(_is_of(row, who) for row in row_names(self._store.read(commit.id, change.path)))
            elif kind := _preference_files(loop).get(change.path):
                yield sum(_is_of(row, who) for row in row_names(self._store.read(commit.id, change.path), kind))
            elif change.path == quarantine_path(loop):
                yield sum(quarantined_of(row, who.requests) for row in quarantine_of(self._store, commit.id, loop))


class WrittenRows(History):
    """Rows of seed, golden and further sets and synthetic rows that ask what they asked: somebody may have copied them from the log."""

    name = "rows that people wrote"
    stays = "rows of seed and golden files named above ask the same: remove them from the files if they were copied from the log"

    def __init__(self, store: DatasetStore, loops: Collection[str]) -> None:
        self._store, self._loops = store, loops

    def find(self, who: Subject) -> list[Place]:
        places = [Place(loop, path, self._count(path, who)) for loop in self._loops for path in self._paths(loop)] if who.asked else []
        return [place for place in places if place.rows]

    def _paths(self, loop: str) -> list[str]:
        there = set(self._store.list("main", f"{loop}/"))
        single = [path for path in (seed_path(loop), seed_rejected_path(loop), golden_path(loop), synthetic_path(loop)) if path in there]
        return [*single, *self._store.list("main", sets_folder(loop))]

    def _count(self, path: str, who: Subject) -> int:
        content = self._store.read("main", path)
        if path == seed_rejected_path(path.split("/")[0]):  # which holds the beginnings of lines
            lines = [normalised(row.content) for row in quarantine_from_parquet(content)]
            return sum(any(asked[:100] in line for asked in who.asked) for line in lines)
        rows = table_rows(io.BytesIO(content), "dataset_rows")
        return sum(any(asked_in(message.get("content") or "") & who.asked for message in row.get("messages") or ()) for row in rows)


class Versions(History):
    """Versions that were trained on such commits."""

    name = "trained versions"
    stays = "adapters trained on them keep what they learned until a retrain on the next dataset replaces them"

    def __init__(self, artifacts: Artifacts, commits: Commits) -> None:
        self._artifacts, self._commits = artifacts, commits

    def find(self, who: Subject) -> list[Place]:
        return self.trained_on({place.name for place in self._commits.find(who)})

    def trained_on(self, commits: Collection[str]) -> list[Place]:
        """Versions trained on one of these commits, and those that cannot be read, with the reason: they may have been, too."""
        found = []
        for digest in digests(self._artifacts):
            try:
                manifest = load_manifest(self._artifacts, digest)
            except VersionDamaged as error:
                found.append(Place(None, digest, 0, str(error)))
                continue
            if manifest.dataset_commit in commits:
                found.append(Place(None, manifest.digest, 1, None))
        return found


def asked_in(text: str) -> frozenset[str]:
    """What a text is known by where it was copied to; nothing for one so short that anybody may have written it."""
    return frozenset([normalised(text)] if len(text) >= _LONG_ENOUGH else [])


def quarantine_of(store: DatasetStore, ref: str, loop: str) -> list[Quarantined]:
    """The quarantine of a commit or branch; empty without one."""
    try:
        return quarantine_from_parquet(store.read(ref, quarantine_path(loop)))
    except ObjectNotFound:
        return []


def quarantined_of(row: Quarantined, requests: Collection[str]) -> bool:
    """Whether the row is of one of the requests: it names its step, with the step `schema` its source, and its id."""
    return any(name in requests for name in _requests_named(row.where.partition(":")[2]))


def _requests_named(name: str) -> Iterator[str]:
    """What may be the request of a quarantined row, which is called ID, `label:ID`, or either of them after `SOURCE:`."""
    yield name
    for source in SOURCES:
        if name.startswith(f"{source}:"):
            yield from _requests_named(name.removeprefix(f"{source}:"))


def _is_of(row: Mapping[str, Any], who: Subject) -> bool:
    return row.get("request_id") in who.requests or (who.user is not None and row.get("user") == who.user)


def _answers_of(path: Path, rows: Iterable[str]) -> int:
    """Rows of a file of answers that are answers to one of these; a batch that is not finished counts as one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.name.endswith(".parquet"):
        return int(path.name.endswith(".partial"))
    try:
        if "answer" not in pq.read_schema(path).names:
            return 0
        names = set(pq.read_table(path, columns=["id"], partitioning=None).column("id").to_pylist())
    except (pa.ArrowException, OSError):
        return 1
    return len(names & set(rows))


def _stale(folder: Path) -> bool:
    try:
        newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:  # somebody works in it
        return False
    return time.time() - newest > STALE
