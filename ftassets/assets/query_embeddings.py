"""Vectors of the queries users sent, one per answered request."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np

from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import asset
from ftassets.backends.embedder.base import Embedder, EmbedderError, EmbedderOf
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import QueryVector, VectorStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import vector_space
from ftassets.domain.traffic.exchange import Exchange, query_of
from ftassets.reporting.tables import table
from ftassets.wording import amount

SLOWEST = 600.0  # seconds an answer may take: rows are logged when they are finished, with the time they began
PAGE = 2000  # exchanges read, embedded and stored at once: what a kill costs at most
SAME = 0.99  # cosine of two vectors of one text: servers round, another model is far below


def kept_for(loop: LoopConfig) -> float:
    """Seconds for which vectors are kept: as long as anything reads them, and no longer, or each look would cost more than the last."""
    return loop.reads_back


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: incremental from the newest vector, and safe to repeat; a new embedder begins a new collection."""

    @asset(loop, __doc__, {"qdrant"}, deps=["traffic"])
    def query_embeddings(
        context: dg.AssetExecutionContext,
        traffic_log: dg.ResourceParam[TrafficLog],
        vector_store: dg.ResourceParam[VectorStore],
        embedder_of: dg.ResourceParam[EmbedderOf],
    ) -> dg.MaterializeResult:
        embedder = embedder_of(loop.embedder)
        space = vector_space(embedder.id, loop.dataset.context)
        earlier = [each for each in vector_store.embedders(loop.name) if each != space]
        known_until = vector_store.watermark(loop.name, space)
        oldest = time.time() - kept_for(loop)
        since = max(oldest, known_until - SLOWEST)
        day = _day(since, loop.timezone)
        if earlier:
            context.log.info(f"embedder changed from {', '.join(earlier)} to {space}: queries since {day} are embedded again")
        new, newest, refused = 0, list[Exchange](), dict[str, str]()
        answered = traffic_log.stream(loop.name, since, answered=True)
        while page := list(islice(answered, PAGE)):
            added, failed = _embedded(loop, vector_store, embedder, space, page, known_until)
            refused |= failed
            new, newest = new + len(added), [*newest, *added][-10:]
            if added:
                context.log.info(f"{amount(new, 'query', 'queries')} embedded, up to {datetime.fromtimestamp(page[-1].at, UTC):%F %T} UTC")
        if refused:
            name, reason = next(iter(refused.items()))
            context.log.warning(
                f"{amount(len(refused), 'query has', 'queries have')} no vector, and are tried again next time; request {name}: {reason}"
            )
        for each in earlier:  # all that reports need is there
            vector_store.drop(loop.name, each)
        vector_store.expire(loop.name, space, oldest)
        watermark = vector_store.watermark(loop.name, space)
        total = vector_store.count(loop.name, space)
        changed = {"embedder_changed": f"from {', '.join(earlier)} to {space}: queries since {day} embedded again"}
        context.log_event(
            dg.AssetMaterialization(
                node(loop.name, "traffic"),
                metadata={"new_requests": new, "watermark": dg.MetadataValue.timestamp(watermark)},
                tags={"dagster/data_version": f"{watermark:.3f}"},
            )
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{total}@{watermark:.3f}" + (f"@{space}" if earlier else "")),
            metadata={
                **(changed if earlier else {}),
                "new": new,
                "without_vector": len(refused),
                **({"why_without_vector": table(["request id", "reason"], list(refused.items())[:10])} if refused else {}),
                "total": total,
                "embedder": space,
                "watermark": dg.MetadataValue.timestamp(watermark),
                "newest": table(["request id", "version"], [(e.id, e.version[:12]) for e in newest]),
            },
        )

    return query_embeddings


def _embedded(
    loop: LoopConfig, store: VectorStore, embedder: Embedder, space: str, answered: Sequence[Exchange], known_until: float
) -> tuple[list[Exchange], dict[str, str]]:
    """Those of the exchanges that had no vector, oldest first, and have one now; and the ids of those that get none, with the reason.

    `known_until` is the newest vector's time.

    Raises EmbedderError if the embedder gives a query another vector than it has.
    """
    points = store.find(loop.name, space, [e.id for e in answered if e.at <= known_until])
    known = {point.request_id for point in points}
    new = [e for e in answered if e.id not in known]
    if new:
        # an endpoint may serve another model under the same name: ask it for a vector we have
        probe = points[-1:]
        texts = [query_of(e, loop.dataset.context) for e in new]
        vectors, failed = embedder.embed_each([*(point.text for point in probe), *texts])
        for point, vector in zip(probe, vectors, strict=False):
            _check_same(space, point, vector)
        refused = {new[place - len(probe)].id: reason for place, reason in failed.items() if place >= len(probe)}
        found = [one for one in zip(new, texts, vectors[len(probe) :], strict=True) if one[0].id not in refused]
        store.add(loop.name, space, [QueryVector(e.id, e.at, e.version, text, vector) for e, text, vector in found])
        return [e for e, _, _ in found], refused
    return [], {}


def _check_same(embedder: str, point: QueryVector, vector: np.ndarray) -> None:
    cosine = float(point.vector @ vector) if len(vector) == len(point.vector) else 0.0
    if cosine < SAME:
        raise EmbedderError(
            f"the embedder {embedder} gives the query of request {point.request_id} another vector than before (cosine {cosine:.3f}): "
            "its model has changed under the same name, so new queries cannot be compared with earlier ones. "
            "Set embedder.revision in the loop file to a new value: vectors and drift reference are then made again"
        )


def _day(at: float, timezone: str) -> str:
    return f"{datetime.fromtimestamp(at, ZoneInfo(timezone)):%F}"
