"""Vectors of the queries users sent, one per answered request."""

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import asset
from ftassets.backends.embedder.base import EmbedderOf
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import QueryVector, VectorStore
from ftassets.config.loop import LoopConfig
from ftassets.reporting.tables import markdown_table

SLOWEST = 600.0  # seconds an answer may take: rows are logged when they are finished, with the time they began


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: incremental from the newest vector, and safe to repeat."""

    @asset(loop, __doc__, {"qdrant"}, deps=["traffic"])
    def query_embeddings(
        context: dg.AssetExecutionContext,
        traffic_log: dg.ResourceParam[TrafficLog],
        vector_store: dg.ResourceParam[VectorStore],
        embedder_of: dg.ResourceParam[EmbedderOf],
    ) -> dg.MaterializeResult:
        embedder = embedder_of(loop.embedder)
        since = max(0.0, vector_store.watermark(loop.name) - SLOWEST)
        known = {point.request_id for point in vector_store.window(loop.name, since, float("inf"), 10**9)}
        answered = [e for e in traffic_log.exchanges(loop.name, since) if e.status == 200]
        new = [e for e in answered if e.id not in known]
        if new:
            vectors = embedder.embed([e.prompt for e in new])
            points = [QueryVector(e.id, e.at, e.version, e.prompt, v) for e, v in zip(new, vectors, strict=True)]
            vector_store.add(loop.name, embedder.id, points)
        watermark = vector_store.watermark(loop.name)
        total = vector_store.count(loop.name)
        context.log_event(
            dg.AssetMaterialization(
                node(loop.name, "traffic"),
                metadata={"requests": traffic_log.count(loop.name), "watermark": dg.MetadataValue.timestamp(watermark)},
                tags={"dagster/data_version": f"{watermark:.3f}"},
            )
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{total}@{watermark:.3f}"),
            metadata={
                "new": len(new),
                "total": total,
                "embedder": embedder.id,
                "watermark": dg.MetadataValue.timestamp(watermark),
                "newest": dg.MetadataValue.md(markdown_table(["query", "version"], [(e.prompt, e.version[:12]) for e in new[-10:]])),
            },
        )

    return query_embeddings
