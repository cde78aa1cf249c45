"""Datasets in a lakeFS repository, through its public HTTP API; the only module that knows lakefs-client.

lakeFS has no folders: `n` and `n/x` may both be objects. A branch reads what is staged on it, so every read here names a commit.
"""

import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import urllib3

from ftassets.backends.dataset_store.base import (
    AlreadyExists,
    Busy,
    Change,
    Changes,
    Commit,
    Commits,
    DatasetError,
    DatasetStore,
    MergeConflict,
    NothingToCommit,
    ObjectNotFound,
    Paths,
    RefNotFound,
    Unreachable,
)
from ftassets.config.server_url import server_url

if TYPE_CHECKING:
    from lakefs_client.client import LakeFSClient
    from lakefs_client.exceptions import ApiException

TIMEOUT = (5.0, 60.0)  # seconds to connect, and between two bytes of an answer
PAUSES = (0.2, 0.5, 1.0)  # seconds before a busy server is asked again
PAGE = 1000  # the API's largest
_COMMIT_ID = re.compile("[0-9a-f]{40,64}")
_BUSY = (423, 429, 503)  # and 500 when the branch is locked: the server did nothing


class _Refused(DatasetError):
    """An answer of 4xx or 5xx that another try would not change."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class LakeFsDatasetStore(DatasetStore):
    """One repository at `endpoint`, made at first use below `storage_namespace` (such as `s3://bucket/path`) when it is missing.

    Any call raises Unreachable when no answer comes, Busy when the server stays busy, and DatasetError when it refuses.
    """

    def __init__(self, endpoint: str, access_key: str, secret_key: str, repository: str, storage_namespace: str | None = None) -> None:
        self._endpoint = server_url("LAKEFS_ENDPOINT", endpoint).removesuffix("/api/v1")
        self._access_key, self._secret_key = access_key, secret_key
        self._repository, self._namespace = repository, storage_namespace

    def check(self) -> str:
        """What answers, in words; makes nothing. Raises DatasetError when the credentials or the repository are of no use."""
        if self._exists():
            return f"repository {self._repository} at {self._endpoint}"
        if self._namespace is None:
            raise self._no_repository()
        return f"{self._endpoint} answers; the first run makes repository {self._repository} in {self._namespace}"

    def branch(self, name: str, source: str = "main") -> str:
        from lakefs_client.models import BranchCreation

        commit = self.resolve(source)
        self._name("branch", self._client.branches_api.create_branch, BranchCreation(name=_legal(name), source=commit), name)
        return commit

    def delete_branch(self, name: str) -> None:
        if name == "main":
            raise DatasetError("main cannot be deleted")
        self._on_branch(name, self._client.branches_api.delete_branch)

    def branches(self, prefix: str) -> Paths:
        pages = self._pages(self._client.branches_api.list_branches)
        return sorted(name for branch in pages if (name := _given(branch.id)).startswith(prefix))

    def put(self, branch: str, path: str, content: bytes) -> None:
        if not _is_path(path):
            raise DatasetError(f"{path!r} is not a relative path with /")
        upload = self._client.objects_api.upload_object
        # the client closes what it sent: each try gets a file of its own
        self._on_branch(branch, lambda *where, **more: upload(*where, content=io.BytesIO(content), **more), path)

    def delete(self, branch: str, path: str) -> None:
        try:
            # the removal itself may succeed where nothing is; what is staged counts
            self._at(_legal(branch), path, self._client.objects_api.stat_object)
        except ObjectNotFound:
            self._on_branch(branch, self._client.branches_api.get_branch)
            raise
        self._on_branch(branch, self._client.objects_api.delete_object, path)

    def commit(self, branch: str, message: str, metadata: Mapping[str, str]) -> str:
        from lakefs_client.models import CommitCreation

        creation = CommitCreation(message=message, metadata=_texts(metadata))
        try:
            return self._on_branch(branch, self._client.commits_api.commit, creation).id
        except _Refused as error:
            if _says_no_changes(error):
                raise NothingToCommit(f"nothing is staged on {branch}") from error
            raise

    def merge(self, source: str, destination: str, message: str, metadata: Mapping[str, str]) -> str:
        from lakefs_client.models import Merge

        theirs, merge = self._commit_id(source), Merge(message=message, metadata=_texts(metadata))
        try:  # a merge without body has made servers cut the connection
            return self._ask(self._client.refs_api.merge_into_branch, theirs, _legal(destination), merge=merge).reference
        except _Refused as error:
            if error.status == 404:
                raise RefNotFound(f"there is no branch {destination!r}, or no {source!r} to merge into it") from error
            if error.status == 409:
                raise self._conflict(theirs, destination) from error
            if error.status == 400 and _says_no_changes(error):
                raise NothingToCommit(f"{source} brings nothing new to {destination}") from error
            if error.status == 400 and self._ask(self._client.branches_api.diff_branch, _legal(destination), amount=1).results:
                raise DatasetError(f"{destination} has staged changes: commit them before a merge") from error
            raise

    def tag(self, name: str, ref: str) -> None:
        from lakefs_client.models import TagCreation

        self._name("tag", self._client.tags_api.create_tag, TagCreation(id=_legal(name), ref=self.resolve(ref)), name)

    def resolve(self, ref: str) -> str:
        if _COMMIT_ID.fullmatch(ref):
            return self.get_commit(ref).id
        for look_up in (self._client.branches_api.get_branch, self._client.tags_api.get_tag):
            try:
                return self._ask(look_up, _legal(ref)).commit_id
            except _Refused as error:
                if error.status != 404:
                    raise
        raise RefNotFound(f"there is no branch, tag or commit {ref!r}")

    def get_commit(self, ref: str) -> Commit:
        try:
            return _commit(self._ask(self._client.commits_api.get_commit, self._commit_id(ref)))
        except _Refused as error:
            raise _or_no_ref(error, ref) from error

    def log(self, ref: str, limit: int = 100) -> Commits:
        pages = self._pages(self._client.refs_api.log_commits, self._commit_id(ref), amount=min(limit, PAGE))
        try:
            return [_commit(commit) for commit in islice(pages, limit)]
        except _Refused as error:
            raise _or_no_ref(error, ref) from error

    def list(self, ref: str, prefix: str = "") -> Paths:
        pages = self._pages(self._client.objects_api.list_objects, self._commit_id(ref), prefix=prefix, user_metadata=False)
        try:
            return sorted(entry.path for entry in pages)
        except _Refused as error:
            raise _or_no_ref(error, ref) from error

    def read(self, ref: str, path: str) -> bytes:
        get = self._client.objects_api.get_object
        # without preloading, or the client leaves each download behind as a temporary file
        return self._object(ref, path, lambda *where, **more: get(*where, _preload_content=False, **more).data)

    def checksum(self, ref: str, path: str) -> str:
        return self._object(ref, path, self._client.objects_api.stat_object).checksum

    def diff(self, left: str, right: str) -> Changes:
        before, after = self._commit_id(left), self._commit_id(right)
        try:
            changes = [Change(change.path, change.type) for change in self._diff(before, after, "two_dot")]
        except _Refused as error:
            raise _or_no_ref(error, f"{left} or {right}") from error
        return sorted(changes, key=lambda change: change.path)

    # one answer of the server, or what a missing answer means

    @cached_property
    def _opened(self) -> "LakeFSClient":
        from lakefs_client import Configuration
        from lakefs_client.client import LakeFSClient

        configuration = Configuration(host=f"{self._endpoint}/api/v1", username=self._access_key, password=self._secret_key)
        # what never arrived is sent again, and reads are; whether another request was carried out nobody here knows
        configuration.retries = urllib3.Retry(
            2, redirect=0, raise_on_redirect=False, respect_retry_after_header=False, allowed_methods={"GET"}, backoff_factor=PAUSES[0]
        )
        return LakeFSClient(configuration)

    @cached_property
    def _client(self) -> "LakeFSClient":
        """The client, of a repository that exists."""
        if not self._exists():
            self._create()
        return self._opened

    def _exists(self) -> bool:
        try:
            self._ask(self._opened.repositories_api.get_repository)
        except _Refused as error:
            if error.status != 404:
                raise
            return False
        return True

    def _create(self) -> None:
        from lakefs_client.exceptions import ApiValueError
        from lakefs_client.models import RepositoryCreation

        if self._namespace is None:
            raise self._no_repository()
        try:
            creation = RepositoryCreation(name=self._repository, storage_namespace=self._namespace, default_branch="main")
        except ApiValueError as error:
            raise DatasetError(
                f"lakeFS takes no repository {self._repository!r} in {self._namespace!r}: set LAKEFS_REPOSITORY to a name of 3 to 63 "
                "small letters, digits and -, and LAKEFS_STORAGE_NAMESPACE to a URL such as s3://bucket/path"
            ) from error
        try:
            self._call(self._opened.repositories_api.create_repository, creation)
        except _Refused as error:
            if error.status != 409 or not self._exists():  # another process was faster
                raise

    def _no_repository(self) -> DatasetError:
        return DatasetError(
            f"lakeFS at {self._endpoint} has no repository {self._repository!r}: create it there, correct LAKEFS_REPOSITORY, or set "
            "LAKEFS_STORAGE_NAMESPACE (such as s3://bucket/path) to have it made"
        )

    def _ask(self, call: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return self._call(call, self._repository, *args, **more)

    def _call(self, call: Callable[..., Any], *args: Any, **more: Any) -> Any:
        from lakefs_client.exceptions import ApiException, OpenApiException

        pauses = iter(PAUSES)
        while True:
            try:
                return call(*args, _request_timeout=TIMEOUT, **more)
            except urllib3.exceptions.HTTPError as error:
                reason = getattr(error, "reason", None) or error
                raise Unreachable(
                    f"no answer from lakeFS at {self._endpoint} ({type(reason).__name__}): see that it runs and LAKEFS_ENDPOINT is right"
                ) from error
            except ApiException as error:
                if not _is_busy(error):
                    raise self._refusal(error) from error
                pause = next(pauses, None)
                if pause is None:
                    raise Busy(f"lakeFS at {self._endpoint} stays busy (HTTP {error.status}): {self._message(error)}") from error
                time.sleep(pause)
            except (OpenApiException, TypeError, ValueError) as error:  # what the client makes of an answer it cannot read
                raise DatasetError(f"{self._endpoint} does not speak lakeFS's API: {error}") from error

    def _refusal(self, error: "ApiException") -> DatasetError:
        message = self._message(error)
        if error.status == 401:
            return DatasetError(
                f"lakeFS at {self._endpoint} does not know access key {self._access_key!r} with the secret given: "
                "correct LAKEFS_ACCESS_KEY and LAKEFS_SECRET_KEY"
            )
        if error.status == 403:
            return DatasetError(
                f"lakeFS at {self._endpoint} forbids this to access key {self._access_key!r} ({message}): "
                "give its user the right, or lift the protection of the branch"
            )
        return _Refused(f"lakeFS at {self._endpoint} refused (HTTP {error.status}): {message}", error.status)

    def _message(self, error: "ApiException") -> str:
        text = re.sub(r"\s+", " ", error.body or error.reason or "")[:500]
        return text.replace(self._secret_key, "***") if self._secret_key else text

    def _pages(self, call: Callable[..., Any], *args: Any, amount: int = PAGE, **more: Any) -> Iterator[Any]:
        after = ""
        while True:
            page = self._ask(call, *args, after=after, amount=amount, **more)
            yield from page.results
            if not page.pagination.has_more:
                return
            after = page.pagination.next_offset

    # what an answer means here

    def _name(self, kind: str, create: Callable[..., Any], creation: Any, name: str) -> None:
        if not name or _COMMIT_ID.fullmatch(name):
            raise DatasetError(f"{name!r} is not a name for a {kind}")
        try:
            # unread: for a branch it is a bare commit id, and one that looks like a number confuses the client
            self._ask(lambda *what, **more: create(*what, _preload_content=False, **more).data, creation)
        except _Refused as error:
            if error.status == 409:
                raise AlreadyExists(f"{name!r} exists") from error
            raise

    def _on_branch(self, branch: str, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return self._ask(call, _legal(branch), *args)
        except _Refused as error:
            raise _or_no_ref(error, branch) from error

    def _object(self, ref: str, path: str, call: Callable[..., Any]) -> Any:
        commit = self._commit_id(ref)
        try:
            return self._at(commit, path, call)
        except ObjectNotFound:
            if commit == ref:
                self.get_commit(commit)  # or is it the commit that is missing?
            raise

    def _at(self, legal_ref: str, path: str, call: Callable[..., Any]) -> Any:
        missing = ObjectNotFound(f"there is no object {path!r}")
        if not _is_path(path):
            raise missing
        try:
            return self._ask(call, legal_ref, path)
        except _Refused as error:
            raise (missing if error.status == 404 else error) from error

    def _commit_id(self, ref: str) -> str:
        """Commit a ref stands for; a commit id is taken as it is, the server answers 404 for an unknown one."""
        return ref if _COMMIT_ID.fullmatch(ref) else self.resolve(ref)

    def _diff(self, left: str, right: str, kind: str) -> Iterator[Any]:
        return self._pages(self._client.refs_api.diff_refs, left, right, type=kind)

    def _conflict(self, theirs: str, destination: str) -> DatasetError:
        """The server names no paths: they changed on both sides since the common ancestor, and not to the same bytes."""
        ours = self.resolve(destination)
        sides = [(ours, theirs, "three_dot"), (theirs, ours, "three_dot"), (ours, theirs, "two_dot")]
        changed = [{change.path for change in self._diff(left, right, kind)} for left, right, kind in sides]
        paths = sorted(set.intersection(*changed))
        return MergeConflict(paths) if paths else Busy(f"{destination} moved while it was merged into; try again")


def _legal(name: str) -> str:
    """The name of a branch or tag in lakeFS's alphabet, a letter or digit and then letters, digits, - and _; one for each name.

    `_` and two hexadecimal digits stand for a byte, a first `0_` for nothing: `run/7` becomes `run_2f7`.
    """
    safe = "".join(chr(byte) if re.match(rb"[a-zA-Z0-9-]", bytes([byte])) else f"_{byte:02x}" for byte in name.encode())
    return safe if re.match("[a-zA-Z0-9]", safe) else f"0_{safe}"


def _given(legal: str) -> str:
    """The inverse of `_legal`: that there is one means no two names share one."""
    body = legal[2:] if re.match("0_([_-]|$)", legal) else legal
    return re.sub("(?:_[0-9a-f]{2})+", lambda run: bytes.fromhex(run[0].replace("_", "")).decode(errors="replace"), body)


def _is_path(path: str) -> bool:
    """The paths the embedded store takes: a dataset may move from one to the other."""
    return "\0" not in path and not any(part in ("", ".", "..", ".git") for part in path.split("/"))


def _texts(metadata: Mapping[str, str]) -> dict[str, str]:
    if not all(isinstance(text, str) for item in metadata.items() for text in item):
        raise TypeError("commit metadata maps str to str")
    return dict(metadata)


def _is_busy(error: "ApiException") -> bool:
    return error.status in _BUSY or (error.status == 500 and "locked" in (error.body or ""))


def _says_no_changes(error: _Refused) -> bool:
    return error.status == 400 and "no changes" in str(error).lower()


def _or_no_ref(error: _Refused, ref: str) -> DatasetError:
    return RefNotFound(f"there is no branch, tag or commit {ref!r}") if error.status == 404 else error


def _commit(commit: Any) -> Commit:
    return Commit(
        id=commit.id,
        message=commit.message,
        metadata=dict(commit.get("metadata") or {}),
        parents=tuple(commit.parents),
        created_at=float(commit.creation_date),
    )
