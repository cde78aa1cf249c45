"""Query vectors in qdrant-client's local mode: one folder a loop, opened under a file lock for one call.

Good for some ten thousand points a loop: the client reads a whole collection when it opens it. Beyond that, run a server.
"""

import json
import shutil
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from ftassets.resources.vector_store.base import QueryVector, VectorStore

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

LOCK_SECONDS = 120.0
_COLLECTION = "queries"
_EMBEDDER = "embedder.json"
_NAMESPACE = uuid.UUID("8f6b1c52-6d5c-5f0e-9a57-0c1d9a3f7b11")  # point ids are made from request ids: never change it


class StoreBusy(Exception):
    """Another process has had the vectors of this loop open for too long."""


class QdrantVectorStore(VectorStore):
    """One folder below `path` for each loop; calls of any number of processes on one machine take turns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, loop: str, embedder: str, points: Sequence[QueryVector]) -> None:
        if not points:
            return
        from qdrant_client import models

        with self._lock(loop):
            known = self._embedder(loop)
            if known is None:
                self._create(loop, embedder, dimensions=len(points[0].vector))
            elif known != embedder:
                raise ValueError(
                    f"the vectors of {loop} are by {known}, these by {embedder}: they cannot be compared. "
                    f"Remove {self._path / loop} to embed its queries anew"
                )
            # oldest first: the client commits point by point, so what a kill leaves has a true watermark
            structs = [
                models.PointStruct(
                    id=_point_id(point.request_id),
                    vector=np.asarray(point.vector, dtype=np.float32).tolist(),
                    payload={"request_id": point.request_id, "at": point.at, "version": point.version, "text": point.text},
                )
                for point in sorted(points, key=lambda point: point.at)
            ]
            with self._client(loop) as client:
                client.upsert(_COLLECTION, structs)

    def window(self, loop: str, since: float, until: float, limit: int, seed: int = 0) -> list[QueryVector]:
        with self._lock(loop):
            if self._embedder(loop) is None:
                return []
            with self._client(loop) as client:
                found, _ = client.scroll(_COLLECTION, _between(since, until), limit=2**31, with_payload=["request_id"])
                # the sample depends on which points there are, not on the order in which they came
                ids = [record.id for record in sorted(found, key=lambda record: str(record.id))]
                if len(ids) > limit:
                    ids = [ids[index] for index in np.random.default_rng(seed).choice(len(ids), size=limit, replace=False)]
                records = client.retrieve(_COLLECTION, ids, with_vectors=True)
        points = [_query_vector(record.payload or {}, record.vector) for record in records]
        return sorted(points, key=lambda point: (point.at, point.request_id))

    def count(self, loop: str, since: float = 0.0, until: float = float("inf")) -> int:
        with self._lock(loop):
            if self._embedder(loop) is None:
                return 0
            with self._client(loop) as client:
                return client.count(_COLLECTION, _between(since, until)).count

    def watermark(self, loop: str) -> float:
        from qdrant_client import models

        with self._lock(loop):
            if self._embedder(loop) is None:
                return 0.0
            with self._client(loop) as client:
                newest, _ = client.scroll(_COLLECTION, limit=1, order_by=models.OrderBy(key="at", direction=models.Direction.DESC))
        return max((float((record.payload or {})["at"]) for record in newest), default=0.0)

    def remove(self, loop: str, request_ids: Sequence[str]) -> None:
        with self._lock(loop):
            if request_ids and self._embedder(loop) is not None:
                with self._client(loop) as client:
                    client.delete(_COLLECTION, [_point_id(request_id) for request_id in request_ids])

    def _embedder(self, loop: str) -> str | None:
        """Id of the embedder whose vectors the loop has; None when it has none yet."""
        try:
            return json.loads((self._path / loop / _EMBEDDER).read_text())["id"]
        except FileNotFoundError:
            return None

    def _create(self, loop: str, embedder: str, dimensions: int) -> None:
        """An empty collection appears in one step: the client's own files do not survive a kill while they are first written."""
        from qdrant_client import QdrantClient, models

        partial = self._path / f"{loop}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        client = QdrantClient(path=str(partial))
        try:
            # dot product: vectors are of length 1 already, and cosine would scale what is stored
            client.create_collection(_COLLECTION, models.VectorParams(size=dimensions, distance=models.Distance.DOT))
        finally:
            client.close()
        for storage in partial.rglob("*.sqlite"):  # the mode stays with the file: a third of the disk waits per point
            with closing(sqlite3.connect(storage)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        (partial / _EMBEDDER).write_text(json.dumps({"id": embedder}))
        partial.rename(self._path / loop)

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
    def _client(self, loop: str) -> Iterator["QdrantClient"]:
        from qdrant_client import QdrantClient

        client = QdrantClient(path=str(self._path / loop))
        try:
            yield client
        finally:
            client.close()


def _point_id(request_id: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, request_id))


def _between(since: float, until: float) -> Any:
    from qdrant_client import models

    # infinity is not JSON: a bound that excludes nothing is left out
    bounds = models.Range(gte=since, lt=until if until != float("inf") else None)
    return models.Filter(must=[models.FieldCondition(key="at", range=bounds)])


def _query_vector(payload: dict[str, Any], vector: Any) -> QueryVector:
    return QueryVector(payload["request_id"], payload["at"], payload["version"], payload["text"], np.asarray(vector, dtype=np.float32))
