"""Query vectors in Qdrant: in qdrant-client's local mode, in folders that are opened under a file lock for one call; or on a server.

The client of the local mode reads a whole collection when it opens it, so a loop keeps a sample of its vectors there
(`traffic.vectors`). For all of them run a server (1.16 or later: the embedder's id is kept as metadata of the collection).
"""

import hashlib
import json
import re
import shutil
import sqlite3
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from itertools import islice
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from ftassets.backends.vector_store.base import QueryVector, VectorStore
from ftassets.config.server_url import server_url
from ftassets.domain.canonical import parse_json
from ftassets.domain.drift.vector_sample import drawn
from ftassets.domain.formats import NewerFormat, read, stamp
from ftassets.durable import write_durably
from ftassets.errors import FtassetsError, InvalidInput, ServerUnreachable, StateDamaged

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

LOCK_SECONDS = 120.0
SERVER_SECONDS = 30  # for one answer of a server
_BATCH = 500  # points in one request: a server takes 32 MB
_PAGE = 10_000  # ids in one answer
_TURN = 5_000  # points that are thinned out before others may open the store: a folder deletes some hundred a second
_COLLECTION = "queries"
_EMBEDDER = "embedder.json"
_ID, _SHARE = "id", "share"  # in it
_PARTIAL = ".partial"  # a folder that is being made or deleted
_DIGITS = 12  # of an embedder id's digest, in a name
_NAMESPACE = uuid.UUID("8f6b1c52-6d5c-5f0e-9a57-0c1d9a3f7b11")  # point ids are made from request ids: never change it


class StoreBusy(FtassetsError):
    """Another process holds the vector store of this loop open for too long."""


class StoreUnreachable(ServerUnreachable):
    """The vector store's server does not answer or rejects the key."""


class QdrantVectorStore(VectorStore):
    """One folder below `path` for each loop and embedder; calls of any number of processes on one machine take turns."""

    bounded = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, loop: str, embedder: str, points: Sequence[QueryVector]) -> None:
        if not points:
            return
        from qdrant_client import models

        dimensions = len(points[0].vector)
        structs = [
            models.PointStruct(
                id=_point_id(point.request_id),
                vector=np.asarray(point.vector, dtype=np.float32).tolist(),
                payload={"request_id": point.request_id, "at": point.at, "version": point.version, "text": point.text},
            )
            for point in points
        ]
        with self._lock(loop):
            name = self._names(loop).get(embedder)
            if name is None:
                name = self._create(loop, embedder, dimensions)
            with self._client(name) as client:
                size = client.get_collection(self._collection(name)).config.params.vectors.size  # type: ignore[union-attr]
                if {len(point.vector) for point in points} != {size}:
                    raise InvalidInput(
                        f"the vectors of {loop} by {embedder} have {size} dimensions, these have {dimensions}: they cannot be compared. "
                        "If the embedder's endpoint changed its model, set embedder.revision in the loop file"
                    )
                for start in range(0, len(structs), _BATCH):
                    client.upsert(self._collection(name), structs[start : start + _BATCH])

    def window(self, loop: str, embedder: str, since: float, until: float, limit: int, seed: int = 0) -> list[QueryVector]:
        with self._opened(loop, embedder) as (client, collection):
            if client is None:
                return []
            # the sample depends on which points there are, not on the order in which they came
            ids = sorted(_ids(client, collection, _between(since, until)))
            if len(ids) > limit:
                ids = [ids[index] for index in np.random.default_rng(seed).choice(len(ids), size=limit, replace=False)]
            return _points(client, collection, ids)

    def find(self, loop: str, embedder: str, request_ids: Sequence[str]) -> list[QueryVector]:
        if not request_ids:
            return []
        with self._opened(loop, embedder) as (client, collection):
            return [] if client is None else _points(client, collection, [_point_id(request_id) for request_id in request_ids])

    def count(self, loop: str, embedder: str, since: float = 0.0, until: float = float("inf")) -> int:
        with self._opened(loop, embedder) as (client, collection):
            return 0 if client is None else client.count(collection, _between(since, until)).count

    def remove(self, loop: str, request_ids: Sequence[str]) -> None:
        if not request_ids:
            return
        with self._lock(loop):
            self._sweep(loop)
            for name in self._names(loop).values():
                with self._client(name) as client:
                    client.delete(self._collection(name), [_point_id(request_id) for request_id in request_ids])

    def expire(self, loop: str, embedder: str, before: float) -> None:
        with self._opened(loop, embedder) as (client, collection):
            if client is not None:
                client.delete(collection, _between(None, before))

    def share(self, loop: str, embedder: str) -> float:
        with self._lock(loop):
            name = self._names(loop).get(embedder)
            return 1.0 if name is None else float(self._notes(name).get(_SHARE, 1.0))

    def thin(self, loop: str, embedder: str, share: float) -> None:
        more = True
        while more:
            with self._opened(loop, embedder) as (client, collection):
                if client is None:
                    return
                # first: a kill leaves too many points, not too few
                self._note(self._names(loop)[embedder], {_ID: embedder, _SHARE: share})
                surplus: list[Any] = [*islice((each for each, of in _requests(client, collection) if not drawn(of, share)), _TURN)]
                for start in range(0, len(surplus), _BATCH):
                    client.delete(collection, surplus[start : start + _BATCH])
            more = len(surplus) == _TURN

    def embedders(self, loop: str) -> list[str]:
        return sorted(self._names(loop))

    def drop(self, loop: str, embedder: str) -> None:
        with self._lock(loop):
            if (name := self._names(loop).get(embedder)) is not None:
                self._delete(name)
            self._sweep(loop)

    # where the points of a loop are: a name is that of a folder, or of a collection on a server

    def _collection(self, name: str) -> str:
        return _COLLECTION

    def _place(self, name: str) -> str:
        return str(self._path / name)

    def _names(self, loop: str) -> dict[str, str]:
        """Embedder id -> name of the collection with its vectors. That of an earlier release is named after the loop alone."""
        found = {}
        for folder in sorted(self._path.glob(f"{loop}*")):
            if not re.fullmatch(rf"{re.escape(loop)}(\.[0-9a-f]{{{_DIGITS}}})?", folder.name):
                continue
            try:
                found[self._notes(folder.name)[_ID]] = folder.name
            except FileNotFoundError:
                continue
            except NewerFormat:
                raise
            except (ValueError, KeyError, TypeError) as error:
                raise self._damaged(folder.name) from error
        return found

    def _notes(self, name: str) -> dict[str, Any]:
        """The embedder's id and, if there is one, the share of requests that have points. Raises FileNotFoundError, ValueError."""
        notes: dict[str, Any] = read("query_vectors", parse_json((self._path / name / _EMBEDDER).read_bytes()))
        return notes

    def _note(self, name: str, notes: dict[str, Any]) -> None:
        write_durably(self._path / name / _EMBEDDER, json.dumps(stamp("query_vectors", notes)))

    def _create(self, loop: str, embedder: str, dimensions: int) -> str:
        """An empty collection appears in one step: the client's own files do not survive a kill while they are first written."""
        from qdrant_client import QdrantClient, models

        name = f"{loop}.{_digest(embedder)}"
        self._sweep(loop)
        partial = self._path / f"{name}{_PARTIAL}"
        client = QdrantClient(path=str(partial))
        try:
            # dot product: vectors are of length 1 already, and cosine would scale what is stored
            client.create_collection(_COLLECTION, models.VectorParams(size=dimensions, distance=models.Distance.DOT))
        finally:
            client.close()
        for storage in partial.rglob("*.sqlite"):  # the mode stays with the file: a third of the disk waits per point
            with closing(sqlite3.connect(storage)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        (partial / _EMBEDDER).write_text(json.dumps(stamp("query_vectors", {_ID: embedder})))
        partial.rename(self._path / name)
        return name

    def _delete(self, name: str) -> None:
        """It is gone with one rename; `_sweep` removes the files."""
        (self._path / name).rename(self._path / f"{name}{_PARTIAL}")

    def _sweep(self, loop: str) -> None:
        """Remove what a kill left of a collection that was made or deleted."""
        for partial in self._path.glob(f"{loop}*{_PARTIAL}"):
            if re.fullmatch(rf"{re.escape(loop)}(\.[0-9a-f]{{{_DIGITS}}})?", partial.name.removesuffix(_PARTIAL)):
                shutil.rmtree(partial)

    @contextmanager
    def _opened(self, loop: str, embedder: str) -> Iterator[tuple["QdrantClient | None", str]]:
        """The client and the collection of an embedder's vectors; None for the client if it made no vectors yet."""
        with self._lock(loop):
            if (name := self._names(loop).get(embedder)) is None:
                yield None, ""
                return
            with self._client(name) as client:
                yield client, self._collection(name)

    @contextmanager
    def _lock(self, loop: str) -> Iterator[None]:
        self._path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._path / f"{loop}.lock", timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            message = f"another process has had the vectors of {loop} open for {LOCK_SECONDS:.0f} s; try again when it is done"
            raise StoreBusy(message) from error

    @contextmanager
    def _client(self, name: str) -> Iterator["QdrantClient"]:
        from qdrant_client import QdrantClient

        try:
            client = QdrantClient(path=str(self._path / name))
        except (ValueError, KeyError, TypeError, sqlite3.DatabaseError) as error:
            raise self._damaged(name) from error
        try:
            yield client
        finally:
            client.close()

    def _damaged(self, name: str) -> StateDamaged:
        return StateDamaged(f"the vectors in {self._place(name)} cannot be read: restore them, or remove them to embed again")


class QdrantServerVectorStore(QdrantVectorStore):
    """One collection for each loop and embedder on the server at `url`, named after `prefix` and both. A URL without port means 6333.

    Any call raises StoreUnreachable when no answer comes or the key is refused.
    """

    bounded = False

    def __init__(self, url: str, api_key: str | None = None, prefix: str = "ftassets") -> None:
        self._url = url if url == ":memory:" else server_url("QDRANT_URL", url)
        self._api_key, self._prefix = api_key, prefix

    def check(self) -> str:
        """What answers, in words. Raises StoreUnreachable."""
        with self._client("") as client:
            return f"{len(client.get_collections().collections)} collections at {self._url}"

    def _collection(self, name: str) -> str:
        return name

    def _place(self, name: str) -> str:
        return f"collection {name} at {self._url}"

    def _names(self, loop: str) -> dict[str, str]:
        found = {}
        own = re.compile(rf"{re.escape(f'{self._prefix}-{loop}')}(-[0-9a-f]{{{_DIGITS}}})?")
        with self._client(loop) as client:
            for name in sorted(each.name for each in client.get_collections().collections if own.fullmatch(each.name)):
                if _ID in (notes := self._notes(name)):
                    found[notes[_ID]] = name
        return found

    def _notes(self, name: str) -> dict[str, Any]:
        with self._client(name) as client:
            metadata: dict[str, Any] = read("query_vectors", client.get_collection(name).config.metadata or {})
        return {_ID if key == "embedder" else key: value for key, value in metadata.items()}

    def _note(self, name: str, notes: dict[str, Any]) -> None:
        with self._client(name) as client:
            metadata = {"embedder" if key == _ID else key: value for key, value in notes.items()}
            client.update_collection(name, metadata=stamp("query_vectors", metadata))

    def _create(self, loop: str, embedder: str, dimensions: int) -> str:
        """Write the embedder's id last: a collection without it is not ready, and the next call resumes its creation."""
        from qdrant_client import models

        name = f"{self._prefix}-{loop}-{_digest(embedder)}"
        with self._client(name) as client:
            if not client.collection_exists(name):
                client.create_collection(name, models.VectorParams(size=dimensions, distance=models.Distance.DOT))
            client.create_payload_index(name, "at", models.PayloadSchemaType.FLOAT)  # a server orders by nothing else
        self._note(name, {_ID: embedder})
        return name

    def _delete(self, name: str) -> None:
        with self._client(name) as client:
            client.delete_collection(name)

    def _sweep(self, loop: str) -> None:
        """A server deletes a collection whole."""

    @contextmanager
    def _lock(self, loop: str) -> Iterator[None]:
        yield  # the server takes any number of clients

    @contextmanager
    def _client(self, name: str) -> Iterator["QdrantClient"]:
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        try:
            yield self._connection
        except (ResponseHandlingException, JSONDecodeError, AssertionError) as error:
            message = f"no answer of Qdrant at {self._url}: see that it runs and QDRANT_URL is right"
            raise StoreUnreachable(message) from error
        except UnexpectedResponse as error:
            if error.status_code in (401, 403):
                raise StoreUnreachable(f"Qdrant at {self._url} does not take the key: correct QDRANT_API_KEY") from error
            if "json" not in error.headers.get("content-type", ""):  # Qdrant's own errors are JSON
                message = f"what answers at {self._url} is not Qdrant (HTTP {error.status_code}): see that QDRANT_URL is right"
                raise StoreUnreachable(message) from error
            raise

    @cached_property
    def _connection(self) -> "QdrantClient":
        from qdrant_client import QdrantClient

        with warnings.catch_warnings():  # whoever writes http has chosen it; Python would print the warning with a source line
            warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
            return QdrantClient(self._url, api_key=self._api_key, timeout=SERVER_SECONDS, check_compatibility=False)


def _ids(client: "QdrantClient", collection: str, points: Any) -> Iterator[str]:
    """Ids of all points that pass a filter."""
    offset: Any = None
    while True:
        found, offset = client.scroll(collection, points, limit=_PAGE, offset=offset, with_payload=False)
        yield from (str(record.id) for record in found)
        if offset is None:
            return


def _requests(client: "QdrantClient", collection: str) -> Iterator[tuple[str, str]]:
    """Id and request id of every point."""
    offset: Any = None
    while True:
        found, offset = client.scroll(collection, limit=_PAGE, offset=offset, with_payload=["request_id"])
        yield from ((str(record.id), (record.payload or {})["request_id"]) for record in found)
        if offset is None:
            return


def _points(client: "QdrantClient", collection: str, ids: Sequence[str]) -> list[QueryVector]:
    """The points of these ids that there are, ordered by time."""
    batches = (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))
    records = [record for batch in batches for record in client.retrieve(collection, batch, with_vectors=True)]
    points = [_query_vector(record.payload or {}, record.vector) for record in records]
    return sorted(points, key=lambda point: (point.at, point.request_id))


def _digest(embedder: str) -> str:
    return hashlib.sha256(embedder.encode()).hexdigest()[:_DIGITS]


def _point_id(request_id: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, request_id))


def _between(since: float | None, until: float) -> Any:
    from qdrant_client import models

    # infinity is not JSON: a bound that excludes nothing is left out
    bounds = models.Range(gte=since, lt=until if until != float("inf") else None)
    return models.Filter(must=[models.FieldCondition(key="at", range=bounds)])


def _query_vector(payload: dict[str, Any], vector: Any) -> QueryVector:
    return QueryVector(payload["request_id"], payload["at"], payload["version"], payload["text"], np.asarray(vector, dtype=np.float32))
