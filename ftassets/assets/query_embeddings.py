"""Vectors of the queries users sent, one per answered request."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np

from ftassets.assets._shared.events import metadata_value, newest, node
from ftassets.assets._shared.node import asset
from ftassets.backends.embedder.base import Embedder, EmbedderError, EmbedderOf
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import QueryVector, VectorStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import vector_space
from ftassets.domain.traffic.exchange import Exchange, query_of
from ftassets.reporting.tables import table
from ftassets.wording import amount

OVERLAP = 600.0  # seconds that are read again: writers of a log have clocks of their own, and a row is stored a little after its time
PAGE = 2000  # exchanges read, embedded and stored at once: what a kill costs at most
WATERMARK = "read_until"  # metadata: arrival in the log up to which queries were read
SAME = 0.99  # cosine of two vectors of one text: servers round, another model is far below


def kept_for(loop: LoopConfig) -> float:
    """Seconds for which vectors are kept: as long as anything reads them, and no longer, or each look would cost more than the last."""
    return loop.reads_back


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: incremental by arrival in the log, and safe to repeat; a new embedder begins a new collection."""

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
        began = time.time()
        oldest = began - kept_for(loop)
        last = newest(context.instance, node(loop.name, "query_embeddings"))
        read_until = _read_until(last, space, vector_store.count(loop.name, space))
        day = _day(oldest, loop.timezone)
        if earlier:
            context.log.info(f"embedder changed from {', '.join(earlier)} to {space}: queries since {day} are embedded again")
        new, shown, refused, probe = 0, list[Exchange](), dict[str, str](), list[QueryVector]()
        arrivals = traffic_log.arrivals(loop.name, max(0.0, read_until - OVERLAP), oldest)
        while page := list(islice(arrivals, PAGE)):
            added, failed, probe = _embedded(loop, vector_store, embedder, space, [each.exchange for each in page], probe)
            refused |= failed
            new, shown = new + len(added), [*shown, *added][-10:]
            read_until = max(read_until, min(page[-1].stored_at, began))  # a clock that was ahead must not hide what comes after it
            if added:
                up_to = f"{datetime.fromtimestamp(read_until, UTC):%F %T} UTC"
                context.log.info(f"{amount(new, 'query', 'queries')} embedded, of those stored up to {up_to}")
        if refused:
            name, reason = next(iter(refused.items()))
            context.log.warning(
                f"{amount(len(refused), 'query has', 'queries have')} no vector, and are tried again next time; request {name}: {reason}"
            )
        for each in earlier:  # all that reports need is there
            vector_store.drop(loop.name, each)
        vector_store.expire(loop.name, space, oldest)
        total = vector_store.count(loop.name, space)
        changed = {"embedder_changed": f"from {', '.join(earlier)} to {space}: queries since {day} embedded again"}
        context.log_event(
            dg.AssetMaterialization(
                node(loop.name, "traffic"),
                metadata={"new_requests": new, WATERMARK: dg.MetadataValue.timestamp(read_until)},
                tags={"dagster/data_version": f"{read_until:.3f}"},
            )
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{total}@{read_until:.3f}" + (f"@{space}" if earlier else "")),
            metadata={
                **(changed if earlier else {}),
                "new": new,
                "without_vector": len(refused),
                **({"why_without_vector": table(["request id", "reason"], list(refused.items())[:10])} if refused else {}),
                "total": total,
                "embedder": space,
                WATERMARK: dg.MetadataValue.timestamp(read_until),
                "newest": table(["request id", "version"], [(e.id, e.version[:12]) for e in shown]),
            },
        )

    return query_embeddings


def _read_until(last: dg.AssetMaterialization | None, space: str, there: int) -> float:
    """Up to which arrival in the log (epoch seconds) queries were read; 0 where that is not known, and where no vectors are there."""
    if last is None or not there or metadata_value(last, "embedder") != space:
        return 0.0
    until = metadata_value(last, WATERMARK)
    return float(until) if isinstance(until, int | float) else 0.0


def _embedded(
    loop: LoopConfig, store: VectorStore, embedder: Embedder, space: str, answered: Sequence[Exchange], probe: list[QueryVector]
) -> tuple[list[Exchange], dict[str, str], list[QueryVector]]:
    """Those of the exchanges that had no vector and have one now; the ids of those that get none, with the reason; and the next probe.

    A `probe` is a query that had a vector before, if one is known: it is embedded once more with the new ones.

    Raises EmbedderError if the embedder gives a query another vector than it has.
    """
    points = store.find(loop.name, space, [e.id for e in answered])
    known, probe = {point.request_id for point in points}, points[-1:] or probe
    new = [e for e in answered if e.id not in known]
    if new:
        # an endpoint may serve another model under the same name: ask it for a vector we have
        texts = [query_of(e, loop.dataset.context) for e in new]
        vectors, failed = embedder.embed_each([*(point.text for point in probe), *texts])
        for point, vector in zip(probe, vectors, strict=False):
            _check_same(space, point, vector)
        refused = {new[place - len(probe)].id: reason for place, reason in failed.items() if place >= len(probe)}
        found = [one for one in zip(new, texts, vectors[len(probe) :], strict=True) if one[0].id not in refused]
        store.add(loop.name, space, [QueryVector(e.id, e.at, e.version, text, vector) for e, text, vector in found])
        return [e for e, _, _ in found], refused, probe
    return [], {}, probe


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
