"""A double of lakeFS for tests: the part of its public HTTP API that our client uses, over a real socket.

A double, not lakeFS: paths, fields and status codes come from the published Python client, what an answer means from the embedded
store behind it. It has never been compared with a live server here. To do that, set LAKEFS_TEST_ENDPOINT, LAKEFS_TEST_ACCESS_KEY,
LAKEFS_TEST_SECRET_KEY and LAKEFS_TEST_NAMESPACE (such as local://ftassets-tests): the contract suite then runs on that server too.
"""

import asyncio
import base64
import hashlib
import os
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web
from dulwich.graph import find_merge_base
from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from ftassets.backends.dataset_store.base import (
    AlreadyExists,
    Busy,
    Commit,
    DatasetError,
    MergeConflict,
    NothingToCommit,
    ObjectNotFound,
    RefNotFound,
)
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.dataset_store.lakefs import LakeFsDatasetStore

ACCESS_KEY, SECRET_KEY = "AKIATEST", "s3cr3t-of-the-double"
_RUN = uuid.uuid4().hex  # a live server still has the repositories of earlier runs
_STATUS = {RefNotFound: 404, ObjectNotFound: 404, AlreadyExists: 409, NothingToCommit: 400, Busy: 429}
_BRANCH = re.compile("[a-zA-Z0-9][a-zA-Z0-9_-]*")
_NAME = re.compile("[a-z0-9][a-z0-9-]{2,62}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """What happens to the next `times` requests of one operation (a method of `LakeFsDouble`)."""

    operation: str
    status: int = 0  # answer this and do nothing; 0: carry it out
    body: str = '{"message": "injected"}'
    lose: bool = False  # carry it out, then cut the connection
    delay: float = 0.0  # seconds before the answer leaves
    times: int = 1


@dataclass
class _Repository:
    store: GitDatasetStore
    path: Path
    namespace: str
    staged: dict[str, dict[str, bytes | None]]  # branch -> path -> content, None for removed

    def repo(self) -> Repo:
        self.store.resolve("main")  # made by now
        return Repo(str(self.path))

    def content(self, ref: str, path: str) -> bytes:
        """What a ref reads at a path: a branch also reads what is staged on it."""
        if path in (staged := self.staged.get(ref, {})):
            content = staged[path]
            if content is None:
                raise ObjectNotFound(path)
            return content
        return self.store.read(ref, path)


class LakeFsDouble:
    """A server on a free loopback port from construction until `close`; repositories live where their `local://` namespace says."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.page_size = 1000
        self.conflict_as_error = False  # the body of a merge conflict: Error instead of MergeResult
        self.seen: Counter[str] = Counter()  # operation -> requests
        self._repositories: dict[str, _Repository] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lakefs-double", daemon=True)
        self._thread.start()
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        self.url = f"http://127.0.0.1:{self._wait(self._serve())}"

    def close(self) -> None:
        """End the server."""
        self._wait(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _wait(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(10)

    async def _serve(self) -> int:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self._runner.addresses[0][1]

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._around], client_max_size=2**27)
        repository = "/api/v1/repositories/{repository}"
        branch, ref = repository + "/branches/{branch}", repository + "/refs/{ref}"
        app.add_routes(
            [
                web.post("/api/v1/repositories", self.create_repository),
                web.get(repository, self.get_repository),
                web.post(repository + "/branches", self.create_branch),
                web.get(repository + "/branches", self.list_branches, allow_head=False),
                web.get(branch, self.get_branch, allow_head=False),
                web.delete(branch, self.delete_branch),
                web.get(branch + "/diff", self.diff_branch),
                web.post(branch + "/objects", self.upload_object),
                web.delete(branch + "/objects", self.delete_object),
                web.post(branch + "/commits", self.commit),
                web.get(repository + "/commits/{ref}", self.get_commit),
                web.get(ref + "/commits", self.log_commits),
                web.get(ref + "/objects", self.get_object),
                web.get(ref + "/objects/ls", self.list_objects),
                web.get(ref + "/objects/stat", self.stat_object),
                web.get(ref + "/diff/{right}", self.diff_refs),
                web.post(ref + "/merge/{branch}", self.merge),
                web.post(repository + "/tags", self.create_tag),
                web.get(repository + "/tags/{tag}", self.get_tag),
            ]
        )
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = request.match_info.handler.__name__
        self.seen[operation] += 1
        fault = next((fault for fault in self.faults if fault.operation == operation and fault.times), Fault(operation))
        fault.times -= 1
        if fault.status:
            answer: web.StreamResponse = web.Response(status=fault.status, text=fault.body, content_type="application/json")
        else:
            answer = await self._answer(request, handler)
        await asyncio.sleep(fault.delay)
        if fault.lose and request.transport is not None:
            request.transport.abort()
        return answer

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        expected = base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return _error(401, "error authenticating request")
        try:
            return await handler(request)
        except MergeConflict:
            return _error(409, "conflict found") if self.conflict_as_error else web.json_response({"reference": ""}, status=409)
        except DatasetError as error:
            text = "no changes" if isinstance(error, NothingToCommit) else str(error)
            return _error(_STATUS.get(type(error), 400), text)

    def _of(self, request: web.Request) -> _Repository:
        try:
            return self._repositories[request.match_info["repository"]]
        except KeyError:
            raise RefNotFound("repository not found") from None

    async def create_repository(self, request: web.Request) -> web.Response:
        body = await request.json()
        name, namespace = body["name"], body["storage_namespace"]
        if not _NAME.fullmatch(name) or not namespace.startswith("local://") or body["default_branch"] != "main":
            return _error(400, "invalid repository")
        if name in self._repositories:
            return _error(409, "repository exists")
        path = Path(namespace.removeprefix("local://")) / "datasets.git"
        self._repositories[name] = _Repository(GitDatasetStore(path), path, namespace, {})
        return web.json_response(self._repository_json(name), status=201)

    async def get_repository(self, request: web.Request) -> web.Response:
        self._of(request)
        return web.json_response(self._repository_json(request.match_info["repository"]))

    def _repository_json(self, name: str) -> dict[str, Any]:
        namespace = self._repositories[name].namespace
        return {"id": name, "creation_date": int(time.time()), "default_branch": "main", "storage_namespace": namespace}

    async def create_branch(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not _BRANCH.fullmatch(body["name"]):
            return _error(400, "invalid branch name")
        commit = self._of(request).store.branch(body["name"], body["source"])
        return web.Response(status=201, text=commit, content_type="text/html")  # so does the server, whatever its schema says

    async def list_branches(self, request: web.Request) -> web.Response:
        store, prefix = self._of(request).store, request.query.get("prefix", "")
        found = ((name, {"id": name, "commit_id": store.resolve(name)}) for name in store.branches(prefix))
        return self._page(request, found)

    async def get_branch(self, request: web.Request) -> web.Response:
        return self._named(request, "heads", request.match_info["branch"])

    async def delete_branch(self, request: web.Request) -> web.Response:
        repository, branch = self._of(request), request.match_info["branch"]
        repository.store.delete_branch(branch)
        repository.staged.pop(branch, None)
        return web.Response(status=204)

    async def diff_branch(self, request: web.Request) -> web.Response:
        repository, branch = self._of(request), request.match_info["branch"]
        committed = set(repository.store.list(branch))
        changed = {}
        for path, content in repository.staged.get(branch, {}).items():
            if path not in committed:
                kind = "added" if content is not None else ""
            else:
                kind = "removed" if content is None else "changed" if repository.store.read(branch, path) != content else ""
            if kind:
                changed[path] = {"type": kind, "path": path, "path_type": "object"}
        return self._page(request, changed.items())

    async def upload_object(self, request: web.Request) -> web.Response:
        repository, branch, path = self._of(request), request.match_info["branch"], request.query["path"]
        part = await (await request.multipart()).next()
        assert isinstance(part, BodyPartReader)
        assert part.name == "content"
        content = bytes(await part.read())
        repository.store.put(branch, path, content)
        repository.staged.setdefault(branch, {})[path] = content
        return web.json_response(_stats(path, content), status=201)

    async def delete_object(self, request: web.Request) -> web.Response:
        repository, branch, path = self._of(request), request.match_info["branch"], request.query["path"]
        try:
            repository.store.delete(branch, path)
            repository.staged.setdefault(branch, {})[path] = None
        except ObjectNotFound:
            pass  # the specification leaves open whether this is an error: a client must not count on one
        return web.Response(status=204)

    async def commit(self, request: web.Request) -> web.Response:
        repository, branch, body = self._of(request), request.match_info["branch"], await request.json()
        commit = repository.store.commit(branch, body["message"], body.get("metadata", {}))
        repository.staged.pop(branch, None)
        return web.json_response(_commit(repository.store.get_commit(commit)), status=201)

    async def get_commit(self, request: web.Request) -> web.Response:
        return web.json_response(_commit(self._of(request).store.get_commit(request.match_info["ref"])))

    async def log_commits(self, request: web.Request) -> web.Response:
        commits = self._of(request).store.log(request.match_info["ref"], limit=10**6)
        after = request.query.get("after")
        start = [commit.id for commit in commits].index(after) + 1 if after else 0
        return self._page(request, ((commit.id, _commit(commit)) for commit in commits[start:]), sort=False)

    async def get_object(self, request: web.Request) -> web.Response:
        content = self._of(request).content(request.match_info["ref"], request.query["path"])
        return web.Response(body=content, headers={"Content-Disposition": 'attachment; filename="object"'})

    async def list_objects(self, request: web.Request) -> web.Response:
        repository, ref = self._of(request), request.match_info["ref"]
        paths = set(repository.store.list(ref))
        for path, content in repository.staged.get(ref, {}).items():
            (paths.discard if content is None else paths.add)(path)
        prefix = request.query.get("prefix", "")
        wanted = ((path, _stats(path, repository.content(ref, path))) for path in sorted(paths) if path.startswith(prefix))
        return self._page(request, wanted)

    async def stat_object(self, request: web.Request) -> web.Response:
        path = request.query["path"]
        return web.json_response(_stats(path, self._of(request).content(request.match_info["ref"], path)))

    async def diff_refs(self, request: web.Request) -> web.Response:
        repository = self._of(request)
        left, right = (repository.store.resolve(request.match_info[side]) for side in ("ref", "right"))
        if request.query.get("type", "three_dot") == "three_dot":
            with repository.repo() as repo:
                left = find_merge_base(repo, [ObjectID(left.encode()), ObjectID(right.encode())])[0].decode()
        changes = repository.store.diff(left, right)
        return self._page(request, ((c.path, {"type": c.kind, "path": c.path, "path_type": "object"}) for c in changes))

    async def merge(self, request: web.Request) -> web.Response:
        repository, body = self._of(request), await request.json()
        source, branch = request.match_info["ref"], request.match_info["branch"]
        commit = repository.store.merge(source, branch, body["message"], body.get("metadata", {}))
        return web.json_response({"reference": commit})

    async def create_tag(self, request: web.Request) -> web.Response:
        repository, body = self._of(request), await request.json()
        repository.store.tag(body["id"], body["ref"])
        return web.json_response({"id": body["id"], "commit_id": repository.store.resolve(body["ref"])}, status=201)

    async def get_tag(self, request: web.Request) -> web.Response:
        return self._named(request, "tags", request.match_info["tag"])

    def _named(self, request: web.Request, kind: str, name: str) -> web.Response:
        with self._of(request).repo() as repo:
            ref = Ref(f"refs/{kind}/{name}".encode())
            if ref not in repo.refs:
                return _error(404, "not found")
            return web.json_response({"id": name, "commit_id": repo.refs[ref].decode()})

    def _page(self, request: web.Request, entries: Iterable[tuple[str, dict[str, Any]]], sort: bool = True) -> web.Response:
        """One page of what comes after the key `after`."""
        found = sorted(entries, key=lambda entry: entry[0]) if sort else list(entries)
        if sort:
            found = [entry for entry in found if entry[0] > request.query.get("after", "")]
        size = min(int(request.query.get("amount", 100)), self.page_size)
        page, more = found[:size], len(found) > size
        pagination = {"has_more": more, "next_offset": page[-1][0] if more else "", "results": len(page), "max_per_page": 1000}
        return web.json_response({"pagination": pagination, "results": [entry for _, entry in page]})


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _stats(path: str, content: bytes) -> dict[str, Any]:
    checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {
        "path": path,
        "path_type": "object",
        "physical_address": f"local://double/{checksum}",
        "checksum": checksum,
        "mtime": int(time.time()),
        "size_bytes": len(content),
    }


def _commit(commit: Commit) -> dict[str, Any]:
    return {
        "id": commit.id,
        "parents": list(commit.parents),
        "committer": "double",
        "message": commit.message,
        "creation_date": int(commit.created_at),
        "meta_range_id": "",
        "metadata": dict(commit.metadata),
    }


@cache
def _shared() -> LakeFsDouble:
    return LakeFsDouble()


def on_double(folder: Path) -> LakeFsDatasetStore:
    """A store whose repository lives in `folder`, on a double that all tests of this process share."""
    return LakeFsDatasetStore(_shared().url, ACCESS_KEY, SECRET_KEY, _repository(folder), f"local://{folder}")


def on_live_server(folder: Path) -> LakeFsDatasetStore:
    """A store on the server LAKEFS_TEST_ENDPOINT names, with a new repository for each folder; nothing removes them."""
    keys = (os.environ["LAKEFS_TEST_ACCESS_KEY"], os.environ["LAKEFS_TEST_SECRET_KEY"])
    repository = _repository(folder)
    namespace = f"{os.environ['LAKEFS_TEST_NAMESPACE'].rstrip('/')}/{repository}"
    return LakeFsDatasetStore(os.environ["LAKEFS_TEST_ENDPOINT"], *keys, repository, namespace)


def _repository(folder: Path) -> str:
    return "test-" + hashlib.sha256(f"{_RUN} {folder}".encode()).hexdigest()[:32]
