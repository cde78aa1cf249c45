"""Datasets under version control: branches, commits, merges, tags; lakeFS's model, one object a path."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from ftassets.errors import FtassetsError, ServerUnreachable

RETRY_PAUSES = (0.5, 2.0, 8.0)  # seconds
_Result = TypeVar("_Result")
SEARCHED_COMMITS = 1000  # commits in which a publication looks for its own run


class DatasetError(FtassetsError):
    """Base of all errors of a dataset store."""


class RefNotFound(DatasetError):
    """No branch, tag or commit of that name."""


class ObjectNotFound(DatasetError):
    """The ref has no object at that path."""


class AlreadyExists(DatasetError):
    """A branch or tag of that name exists."""


class NothingToCommit(DatasetError):
    """The branch has no staged change, or the source has no new commit."""


class MergeConflict(DatasetError):
    """Both sides changed the same path; `paths` names them."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(f"changed on both sides: {', '.join(paths)}")
        self.paths = paths


class Busy(DatasetError):
    """Another writer holds the store; try again."""


class Unreachable(DatasetError, ServerUnreachable):
    """No answer from the store; whether a commit or merge happened is unknown."""


@dataclass(frozen=True)
class Commit:
    """One commit: opaque id, metadata str -> str, time in epoch seconds."""

    id: str
    message: str
    metadata: Mapping[str, str]
    parents: tuple[str, ...]
    created_at: float


@dataclass(frozen=True)
class Change:
    """How one path differs: kind is added, removed or changed."""

    path: str
    kind: str


@dataclass(frozen=True)
class Publication:
    """What `publish` left on main."""

    commit: str
    files: tuple[str, ...] = field(default=())


# `list` is a method of the store: inside the class the name no longer means the type
Paths = list[str]
Commits = list[Commit]
Changes = list[Change]
Files = Mapping[str, bytes | None]  # path -> content, None removes


def run_branch(run_id: str) -> str:
    """The branch on which a run's publication is made."""
    return f"run/{run_id}"


def _retried(action: Callable[[], _Result]) -> _Result:
    for pause in RETRY_PAUSES:
        try:
            return action()
        except (Busy, Unreachable):
            time.sleep(pause)
    return action()


class DatasetStore(ABC):
    """A repository of datasets. `main` exists from the start. Paths are relative and use `/`."""

    def opened(self) -> AbstractContextManager[None]:
        """Many reads of this thread one after the other cost less inside of it, and see what others write meanwhile all the same."""
        return nullcontext()

    @abstractmethod
    def branch(self, name: str, source: str = "main") -> str:
        """Create a branch at `source`; returns the commit id. Raises AlreadyExists, RefNotFound."""

    @abstractmethod
    def delete_branch(self, name: str) -> None:
        """Remove a branch with what is staged on it. Raises RefNotFound."""

    def forget_branches(self, names: Paths) -> None:
        """Delete branches, and what only they had as soon as the store can. One that does not exist is passed over."""
        for name in names:
            self._drop(name)

    @abstractmethod
    def put(self, branch: str, path: str, content: bytes) -> None:
        """Stage an object on a branch. Raises RefNotFound."""

    @abstractmethod
    def delete(self, branch: str, path: str) -> None:
        """Stage the removal of an object. Raises RefNotFound, ObjectNotFound."""

    @abstractmethod
    def commit(self, branch: str, message: str, metadata: Mapping[str, str]) -> str:
        """Commit what is staged; returns the commit id. Raises NothingToCommit."""

    @abstractmethod
    def merge(self, source: str, destination: str, message: str, metadata: Mapping[str, str]) -> str:
        """Three-way merge per path, never inside an object. Raises MergeConflict, NothingToCommit; on either, nothing moves."""

    @abstractmethod
    def tag(self, name: str, ref: str) -> None:
        """Tag a commit permanently. Raises AlreadyExists, RefNotFound."""

    @abstractmethod
    def resolve(self, ref: str) -> str:
        """Commit id of a branch, tag or commit id. Raises RefNotFound."""

    @abstractmethod
    def get_commit(self, ref: str) -> Commit:
        """The commit a ref stands for. Raises RefNotFound."""

    @abstractmethod
    def log(self, ref: str, limit: int = 100) -> Commits:
        """The commit and its ancestors, newest first."""

    @abstractmethod
    def list(self, ref: str, prefix: str = "") -> Paths:
        """Paths of the committed objects below a prefix, sorted."""

    @abstractmethod
    def read(self, ref: str, path: str) -> bytes:
        """Bytes of a committed object. Raises RefNotFound, ObjectNotFound."""

    @abstractmethod
    def diff(self, left: str, right: str) -> Changes:
        """How committed `right` differs from committed `left`, by path."""

    @abstractmethod
    def checksum(self, ref: str, path: str) -> str:
        """Opaque; the same for the same bytes within one store. Raises RefNotFound, ObjectNotFound."""

    @abstractmethod
    def branches(self, prefix: str) -> Paths:
        """Names of the branches that begin with a prefix, sorted."""

    def publish(self, run_id: str, files: Files, message: str, metadata: Mapping[str, str], since: str = "main") -> Publication:
        """Publish files on main as one commit from a separate branch (None removes); repeating it for the same run changes nothing.

        The commit carries `run_id` in its metadata. When main already has these bytes at these paths, the newest
        commit that touched them is returned instead. A store that is busy or does not answer is retried, after a check of
        what was published. Raises MergeConflict when the same paths changed on main since the commit that the files were made
        from; Busy and Unreachable after several tries.
        """
        return _retried(lambda: self._land(run_id, files, message, metadata, since))

    def set_aside(self, branch: str, run_id: str, files: Files, message: str, metadata: Mapping[str, str], since: str = "main") -> str:
        """Commit files on a branch that is never merged, so that people can inspect them; returns the commit.

        The branch belongs to the run: repeating it changes nothing. Retries and raises as `publish`, but for MergeConflict.
        """
        return _retried(lambda: self._set_aside(branch, run_id, files, message, metadata, since))

    def last_change(self, ref: str, *paths: str) -> str:
        """The commit on the first-parent history of `ref` since which the objects at all paths are today's. Raises ObjectNotFound."""
        for path in paths:
            self.checksum(ref, path)
        return self._held_since(ref, list(paths))

    def _land(self, run_id: str, files: Files, message: str, metadata: Mapping[str, str], since: str) -> Publication:
        paths, branch = tuple(sorted(files)), run_branch(run_id)
        for commit in self.log("main", limit=SEARCHED_COMMITS):
            if commit.metadata.get("run_id") == run_id:
                self._drop(branch)
                return Publication(commit.id, paths)
        if same := self._unchanged(files):
            return Publication(same, paths)
        self._stage(branch, files, since)
        marked = {**metadata, "run_id": run_id}
        try:
            self.commit(branch, message, marked)
            commit_id = self.merge(branch, "main", message, marked)
        except NothingToCommit as nothing:  # another run landed the same bytes after we looked, or changed what we leave as it was
            landed = self._unchanged(files)
            if landed is None:
                raise MergeConflict(list(paths)) from nothing
            commit_id = landed
        self._drop(branch)
        return Publication(commit_id, paths)

    def _set_aside(self, branch: str, run_id: str, files: Files, message: str, metadata: Mapping[str, str], since: str) -> str:
        with suppress(RefNotFound):
            return self.resolve(branch)
        work = run_branch(run_id)
        self._stage(work, files, since)
        commit = self.commit(work, message, {**metadata, "run_id": run_id})
        with suppress(AlreadyExists):  # the answer to an earlier try was lost
            self.branch(branch, commit)  # in one step: whoever lists branches finds the whole commit
        self._drop(work)
        return self.resolve(branch)

    def _stage(self, branch: str, files: Files, since: str) -> None:
        """Stage files on a new branch at `since`."""
        self._drop(branch)  # an earlier attempt died here: begin again
        self.branch(branch, since)
        for path in sorted(files):
            content = files[path]
            if content is not None:
                self.put(branch, path, content)
            elif self._checksum(branch, path) is not None:
                self.delete(branch, path)

    def _drop(self, branch: str) -> None:
        with suppress(RefNotFound):
            self.delete_branch(branch)

    def _unchanged(self, files: Files) -> str | None:
        for path, content in files.items():
            try:
                if self.read("main", path) != content:
                    return None
            except ObjectNotFound:
                if content is not None:
                    return None
        return self._held_since("main", list(files))

    def _held_since(self, ref: str, paths: Paths) -> str:
        newest = self.resolve(ref)
        today = [self._checksum(newest, path) for path in paths]
        while (parents := self.get_commit(newest).parents) and [self._checksum(parents[0], path) for path in paths] == today:
            newest = parents[0]
        return newest

    def _checksum(self, ref: str, path: str) -> str | None:
        try:
            return self.checksum(ref, path)
        except ObjectNotFound:
            return None
