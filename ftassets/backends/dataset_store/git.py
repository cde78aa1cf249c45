"""Datasets in a bare git repository on this machine: git's objects and refs, lakeFS's rules.

Every write holds one lock file next to the repository, so git's own lock files can only be leftovers of a killed writer.
A publication also holds a lock file of its own while it runs; the next write removes the branch of one that is dead.
Objects that a killed writer finished but nothing names stay: they cost space and harm nothing.
What is staged on a branch is a tree under `refs/staging/<branch>`; commit metadata is the last line of the commit message.
"""

import json
import shutil
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from dulwich.errors import ChecksumMismatch, FileFormatException, NotGitRepository, NotTreeError
from dulwich.gc import prune_unreachable_objects
from dulwich.graph import find_merge_base
from dulwich.object_store import BaseObjectStore, commit_tree_changes, tree_lookup_path
from dulwich.objects import Blob, ObjectID, Tree
from dulwich.objects import Commit as GitCommit
from dulwich.refs import Ref, check_ref_format
from dulwich.repo import Repo
from dulwich.walk import ORDER_TOPO
from filelock import FileLock, Timeout

from ftassets.backends.dataset_store.base import (
    AlreadyExists,
    Busy,
    Change,
    Changes,
    Commit,
    Commits,
    DatasetError,
    DatasetStore,
    Files,
    MergeConflict,
    NothingToCommit,
    ObjectNotFound,
    Paths,
    Publication,
    RefNotFound,
    run_branch,
)

LOCK_SECONDS = 60.0
_AUTHOR = b"ftassets <ftassets@localhost>"
_METADATA = "\n\nftassets-metadata: "
_FILE_MODE = 0o100644
_WRITING = "ftassets-writing"  # there while a write is under way, or after one that did not end
_PUBLISHING = "ftassets-publishing"  # folder with a file for each publication; locked while it runs

PathChanges = dict[str, ObjectID | None]  # path -> blob, None for removed


class GitDatasetStore(DatasetStore):
    """One repository at `path`, made at first use; for any number of processes on one machine, on a local file system."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = threading.local()  # the repository of `opened`

    @contextmanager
    def opened(self) -> Iterator[None]:
        before = getattr(self._kept, "repo", None)
        with self._reading() as repo:
            self._kept.repo = repo
            try:
                yield
            finally:
                self._kept.repo = before

    def branch(self, name: str, source: str = "main") -> str:
        with self._writing() as repo:
            commit = _resolve(repo, source)
            _create_ref(repo, "heads", name, commit)
        return commit.decode()

    def delete_branch(self, name: str) -> None:
        if name == "main":
            raise DatasetError("main cannot be deleted")
        with self._writing() as repo:
            head = _head(repo, name)
            _unstage(repo, name)
            _move(repo, _ref("heads", name), head, None)

    def forget_branches(self, names: Paths) -> None:
        super().forget_branches(names)
        with self._writing() as repo:  # no writer is between an object and its ref now
            prune_unreachable_objects(repo.object_store, repo.refs)

    def branches(self, prefix: str) -> Paths:
        with self._reading() as repo:
            names = [key.decode() for key in repo.refs.subkeys(Ref(b"refs/heads/"))]
        return sorted(name for name in names if name.startswith(prefix))

    def put(self, branch: str, path: str, content: bytes) -> None:
        _check_path(path)
        with self._writing() as repo:
            tree = _working_tree(repo, branch)
            if clash := _clash(repo.object_store, tree, path):
                raise DatasetError(f"{path} cannot be stored: {clash} is an object where a folder is needed, or the reverse")
            blob = Blob.from_string(content)
            repo.object_store.add_object(blob)
            _stage(repo, branch, _apply(repo.object_store, tree, {path: blob.id}))

    def delete(self, branch: str, path: str) -> None:
        with self._writing() as repo:
            tree = _working_tree(repo, branch)
            _lookup(repo, tree, path)
            _stage(repo, branch, _apply(repo.object_store, tree, {path: None}))

    def commit(self, branch: str, message: str, metadata: Mapping[str, str]) -> str:
        with self._writing() as repo:
            head, tree = _head(repo, branch), _working_tree(repo, branch)
            if tree == _tree(repo, head):
                raise NothingToCommit(f"nothing is staged on {branch}")
            commit = _write_commit(repo, tree, [head], message, metadata)
            _move(repo, _ref("heads", branch), head, commit)
            _unstage(repo, branch)
        return commit.decode()

    def merge(self, source: str, destination: str, message: str, metadata: Mapping[str, str]) -> str:
        with self._writing() as repo:
            ours, theirs = _head(repo, destination), _resolve(repo, source)
            tree = _tree(repo, ours)
            if _working_tree(repo, destination) != tree:
                raise DatasetError(f"{destination} has staged changes: commit them before a merge")
            merged = _merged_tree(repo, ours, theirs)
            if merged == tree:
                raise NothingToCommit(f"{source} brings nothing new to {destination}")
            commit = _write_commit(repo, merged, [ours, theirs], message, metadata)
            _unstage(repo, destination)  # first: a leftover of today's tree would undo the merge with the next commit
            _move(repo, _ref("heads", destination), ours, commit)
        return commit.decode()

    def tag(self, name: str, ref: str) -> None:
        with self._writing() as repo:
            _create_ref(repo, "tags", name, _resolve(repo, ref))

    def resolve(self, ref: str) -> str:
        with self._reading() as repo:
            return _resolve(repo, ref).decode()

    def get_commit(self, ref: str) -> Commit:
        with self._reading() as repo:
            return _commit(_named(repo, ref))

    def log(self, ref: str, limit: int = 100) -> Commits:
        with self._reading() as repo:
            walker = repo.get_walker(include=[_resolve(repo, ref)], order=ORDER_TOPO, max_entries=limit)
            return [_commit(entry.commit) for entry in walker]

    def list(self, ref: str, prefix: str = "") -> Paths:
        with self._reading() as repo:
            entries = repo.object_store.iter_tree_contents(_named(repo, ref).tree)
            paths = [entry.path.decode() for entry in entries if entry.path is not None]
        return sorted(path for path in paths if path.startswith(prefix))

    def read(self, ref: str, path: str) -> bytes:
        with self._reading() as repo:
            blob = repo.object_store[_lookup(repo, _named(repo, ref).tree, path)]
            assert isinstance(blob, Blob)
            return blob.data

    def checksum(self, ref: str, path: str) -> str:
        with self._reading() as repo:
            return _lookup(repo, _named(repo, ref).tree, path).decode()

    def diff(self, left: str, right: str) -> Changes:
        with self._reading() as repo:
            before, after = _named(repo, left).tree, _named(repo, right).tree
            changes = []
            for (old, new), _, _ in repo.object_store.tree_changes(before, after):
                path = new if new is not None else old
                assert path is not None
                changes.append(Change(path.decode(), "added" if old is None else "removed" if new is None else "changed"))
        return sorted(changes, key=lambda change: change.path)

    def _land(self, run_id: str, files: Files, message: str, metadata: Mapping[str, str], since: str) -> Publication:
        with self._publishing(run_id):
            return super()._land(run_id, files, message, metadata, since)

    def _set_aside(self, branch: str, run_id: str, files: Files, message: str, metadata: Mapping[str, str], since: str) -> str:
        with self._publishing(run_id):
            return super()._set_aside(branch, run_id, files, message, metadata, since)

    @contextmanager
    def _publishing(self, run_id: str) -> Iterator[None]:
        """Show that the branch of a run has a living owner. Raises Busy when another process publishes the same run."""
        _ref("heads", run_branch(run_id))
        with self._lock():  # only under it does such a file appear, get locked, or go
            self._create()
            folder = self._path / _PUBLISHING
            folder.mkdir(exist_ok=True)
            try:
                alive = FileLock(folder / quote(run_branch(run_id), safe="")).acquire(timeout=0)
            except Timeout as error:
                raise Busy(f"another process is publishing run {run_id}") from error
        with alive:
            yield

    @contextmanager
    def _reading(self) -> Iterator[Repo]:
        if (kept := getattr(self._kept, "repo", None)) is not None:
            with self._whole():
                yield kept
            return
        if not self._path.exists():
            with self._lock():
                self._create()
        with self._opened() as repo:
            yield repo

    @contextmanager
    def _writing(self) -> Iterator[Repo]:
        with self._lock():
            self._create()
            marker = self._path / _WRITING
            if marker.exists():
                self._sweep()
            marker.touch()
            with self._opened() as repo:
                self._sweep_publications(repo)
                try:
                    yield repo
                except DatasetError:  # a refusal, not an end half-way
                    marker.unlink()
                    raise
            marker.unlink()

    @contextmanager
    def _opened(self) -> Iterator[Repo]:
        with self._whole(), Repo(str(self._path)) as repo:
            yield repo

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except (NotGitRepository, FileFormatException, ChecksumMismatch, zlib.error) as error:
            raise DatasetError(
                f"the dataset store {self._path} is damaged ({error}): restore it from a copy, or move it away to start with an empty one"
            ) from error

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(f"{self._path}.lock", timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise Busy(f"another process has been writing to {self._path} for {LOCK_SECONDS:.0f} s") from error

    def _create(self) -> None:
        """A repository with an empty first commit on main appears in one step. The lock is held."""
        if self._path.exists():
            return
        partial = self._path.with_name(self._path.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with Repo.init_bare(partial, mkdir=True, default_branch=b"main") as repo:
            config = repo.get_config()
            config.set((b"core",), b"looseCompression", b"1")  # JSONL shrinks to a third; more effort costs time, not space
            config.set((b"core",), b"fsyncObjectFiles", b"true")  # no ref may outlive its objects in a power cut
            config.write_to_path()
        with Repo(str(partial)) as repo:
            tree = Tree()
            repo.object_store.add_object(tree)
            _move(repo, _ref("heads", "main"), None, _write_commit(repo, tree.id, [], "empty", {}))
        partial.rename(self._path)

    def _sweep(self) -> None:
        """Remove the leftovers of a killed writer: while we hold the lock, no other process owns a lock or temporary file of git."""
        for pattern in ("*.lock", "objects/**/tmp_*"):
            for leftover in self._path.rglob(pattern):
                leftover.unlink()

    def _sweep_publications(self, repo: Repo) -> None:
        """Remove the branches of publications that ended without doing so. Our lock is held."""
        for file in sorted((self._path / _PUBLISHING).glob("*")):
            try:
                with FileLock(file, timeout=0):  # what can be locked has no living owner
                    for kind in ("staging", "heads"):
                        ref = _ref(kind, unquote(file.name))
                        if ref in repo.refs:
                            _move(repo, ref, None, None)
                    file.unlink()
            except Timeout:
                continue


def _ref(kind: str, name: str) -> Ref:
    ref = Ref(f"refs/{kind}/{name}".encode())
    if not check_ref_format(ref):
        raise DatasetError(f"{name!r} is not a name for a branch or tag: see git-check-ref-format")
    return ref


def _resolve(repo: Repo, name: str) -> ObjectID:
    """Id of the commit of a branch, a tag or a commit id."""
    return _named(repo, name).id


def _named(repo: Repo, name: str) -> GitCommit:
    """Commit of a branch, a tag or a commit id."""
    for kind in ("heads", "tags"):
        ref = Ref(f"refs/{kind}/{name}".encode())
        if check_ref_format(ref) and ref in repo.refs:
            return _git_commit(repo, repo.refs[ref])
    sha = ObjectID(name.encode())
    try:
        if len(sha) == 40 and bytes.fromhex(name) and isinstance(found := repo.object_store[sha], GitCommit):
            return found
    except (ValueError, KeyError):
        pass
    raise RefNotFound(f"there is no branch, tag or commit {name!r}")


def _head(repo: Repo, branch: str) -> ObjectID:
    ref = Ref(f"refs/heads/{branch}".encode())
    if not check_ref_format(ref) or ref not in repo.refs:
        raise RefNotFound(f"there is no branch {branch!r}")
    return repo.refs[ref]


def _create_ref(repo: Repo, kind: str, name: str, commit: ObjectID) -> None:
    ref = _ref(kind, name)
    for other in (key.decode() for key in repo.refs.subkeys(Ref(f"refs/{kind}/".encode()))):
        if other == name:
            raise AlreadyExists(f"{name!r} exists")
        if other.startswith(name + "/") or name.startswith(other + "/"):  # refs are files, which cannot be folders too
            raise AlreadyExists(f"{name!r} and {other!r} cannot both exist")
    if not repo.refs.add_if_new(ref, commit):
        raise Busy(f"{name!r} appeared meanwhile: something writes to the repository without its lock")


def _move(repo: Repo, ref: Ref, old: ObjectID | None, new: ObjectID | None) -> None:
    """Compare and set; None removes, or for `old`, whatever was there."""
    moved = repo.refs.remove_if_equals(ref, old) if new is None else repo.refs.set_if_equals(ref, old, new)
    if not moved:
        raise Busy(f"{ref.decode()} moved meanwhile: something writes to the repository without its lock")


def _stage(repo: Repo, branch: str, tree: ObjectID) -> None:
    _move(repo, _ref("staging", branch), None, tree)


def _unstage(repo: Repo, branch: str) -> None:
    _move(repo, _ref("staging", branch), None, None)


def _working_tree(repo: Repo, branch: str) -> ObjectID:
    """What the branch would hold if it were committed now."""
    head = _head(repo, branch)
    staging = _ref("staging", branch)
    return repo.refs[staging] if staging in repo.refs else _tree(repo, head)


def _git_commit(repo: Repo, sha: ObjectID) -> GitCommit:
    commit = repo.object_store[sha]
    assert isinstance(commit, GitCommit)
    return commit


def _tree(repo: Repo, commit: ObjectID) -> ObjectID:
    return _git_commit(repo, commit).tree


def _lookup(repo: Repo, tree: ObjectID, path: str) -> ObjectID:
    try:
        _check_path(path)
        mode, sha = tree_lookup_path(repo.object_store.__getitem__, tree, path.encode())
    except (DatasetError, KeyError, NotTreeError):
        mode = 0
    if mode != _FILE_MODE:
        raise ObjectNotFound(f"there is no object {path!r}")
    return sha


def _check_path(path: str) -> None:
    if "\0" in path or any(part in ("", ".", "..", ".git") for part in path.split("/")):
        raise DatasetError(f"{path!r} is not a relative path with /")


def _clash(store: BaseObjectStore, tree: ObjectID, path: str) -> str | None:
    """The path in `tree` that conflicts with an object at `path`: an object where it needs a folder, or a folder in its place."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        try:
            mode, _ = tree_lookup_path(store.__getitem__, tree, "/".join(parts[:depth]).encode())
        except KeyError:
            return None
        if (mode == _FILE_MODE) != (depth == len(parts)):
            return "/".join(parts[:depth])
    return None


def _apply(store: BaseObjectStore, tree: ObjectID, changes: PathChanges) -> ObjectID:
    """The tree with some paths set or removed."""
    return commit_tree_changes(store, tree, [(path.encode(), _FILE_MODE if blob else None, blob) for path, blob in changes.items()])


def _changes(store: BaseObjectStore, base: ObjectID, tree: ObjectID) -> PathChanges:
    changes: PathChanges = {}
    for (old, new), _, (_, blob) in store.tree_changes(base, tree):
        if new is not None:
            changes[new.decode()] = blob
        elif old is not None:
            changes[old.decode()] = None
    return changes


def _merged_tree(repo: Repo, ours: ObjectID, theirs: ObjectID) -> ObjectID:
    """Our tree with their changes since the common ancestor. Raises MergeConflict."""
    store = repo.object_store
    # after a criss-cross there are several ancestors: any of them errs on the side of a conflict
    base = _tree(repo, find_merge_base(repo, [ours, theirs])[0])
    our_changes, their_changes = _changes(store, base, _tree(repo, ours)), _changes(store, base, _tree(repo, theirs))
    conflicts = {path for path in our_changes.keys() & their_changes.keys() if our_changes[path] != their_changes[path]}
    new = {path: blob for path, blob in their_changes.items() if path not in our_changes}
    tree = _apply(store, _tree(repo, ours), {path: None for path, blob in new.items() if blob is None})
    added: PathChanges = {path: blob for path, blob in new.items() if blob is not None}
    conflicts.update(path for path in added if _clash(store, tree, path))
    if conflicts:
        raise MergeConflict(sorted(conflicts))
    return _apply(store, tree, added)


def _write_commit(repo: Repo, tree: ObjectID, parents: list[ObjectID], message: str, metadata: Mapping[str, str]) -> ObjectID:
    if not all(isinstance(text, str) for item in metadata.items() for text in item):
        raise TypeError("commit metadata maps str to str")
    commit = GitCommit()
    commit.tree, commit.parents = tree, parents
    commit.author = commit.committer = _AUTHOR
    commit.author_time = int(time.time())
    # above all parents' whatever the clock does: walks and merge bases follow commit times, and ties mislead them
    commit.commit_time = max([commit.author_time, *(_git_commit(repo, parent).commit_time + 1 for parent in parents)])
    commit.author_timezone = commit.commit_timezone = 0
    commit.encoding = b"UTF-8"
    commit.message = (message + _METADATA + json.dumps(dict(metadata), sort_keys=True)).encode()
    repo.object_store.add_object(commit)
    return commit.id


def _commit(commit: GitCommit) -> Commit:
    # JSON has no raw line break, so the last marker is ours whatever the message holds
    message, _, metadata = commit.message.decode().rpartition(_METADATA)
    return Commit(
        id=commit.id.decode(),
        message=message,
        metadata=json.loads(metadata),
        parents=tuple(parent.decode() for parent in commit.parents),
        created_at=float(commit.author_time),
    )
