"""Vectors of the queries users sent, one per answered request."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np

from ftassets.assets._shared.events import history, metadata_value, node
from ftassets.assets._shared.node import asset
from ftassets.backends.embedder.base import Embedder, EmbedderError, EmbedderOf
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import QueryVector, VectorStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import newest_generation, next_generation, vector_space
from ftassets.domain.drift.vector_sample import drawn, in_words, share_for
from ftassets.domain.traffic.exchange import Exchange, query_of
from ftassets.domain.traffic.retention import DAY
from ftassets.reporting.tables import table
from ftassets.wording import amount

OVERLAP = 600.0  # seconds that are read again: writers of a log have clocks of their own, and a row is stored a little after its time
PAGE = 2000  # exchanges read, embedded and stored at once: what a kill costs at most
WATERMARK = "read_until"  # metadata: arrival in the log up to which queries were read
SAME = 0.99  # cosine of two vectors of one text: servers round, another model is far below


class ModelChanged(EmbedderError):
    """Another model answers behind the name of the embedder."""


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
        there = vector_store.embedders(loop.name)
        space = newest_generation(vector_space(embedder.id, loop.dataset.context), there)
        began = time.time()
        oldest = began - kept_for(loop)
        made_at, last = next(history(context.instance, node(loop.name, "query_embeddings"), limit=1), (0.0, None))
        again = last is not None and metadata_value(last, "embedder_changed") and began - made_at < DAY
        new, shown, refused, changed, read_until = 0, list[Exchange](), dict[str, str](), "", 0.0
        for attempt in range(2):
            earlier = [each for each in there if each != space]
            if earlier and not changed:
                changed = _changed(earlier, space, traffic_log.count(loop.name, oldest, answered=True), _day(oldest, loop.timezone))
                context.log.info(changed)
            there_now = vector_store.count(loop.name, space)
            read_until, sample = _read_until(last, space, there_now), _Sample(loop, vector_store, space, there_now)
            sample.fit(0)
            try:
                for found in _new_vectors(loop, traffic_log, vector_store, embedder, space, read_until, oldest, sample):
                    sample.fit(len(found.added))
                    refused |= found.refused
                    new, shown = new + len(found.added), [*shown, *found.added][-10:]
                    read_until = max(read_until, min(found.stored_at, began))  # a clock that was ahead must hide nothing
                    if found.added:
                        up_to = f"{datetime.fromtimestamp(read_until, UTC):%F %T} UTC"
                        context.log.info(f"{amount(new, 'query', 'queries')} embedded, of those stored up to {up_to}")
                break
            except ModelChanged as error:
                if attempt or again:
                    raise  # it changes back and forth, and each time all is embedded again: once a day
                context.log.warning(str(error))
                space = next_generation(space)
        if refused:
            name, reason = next(iter(refused.items()))
            context.log.warning(
                f"{amount(len(refused), 'query has', 'queries have')} no vector, and are tried again next time; request {name}: {reason}"
            )
        for each in earlier:  # all that reports need is there
            vector_store.drop(loop.name, each)
        vector_store.expire(loop.name, space, oldest)
        total, share = vector_store.count(loop.name, space), vector_store.share(loop.name, space)
        context.log_event(
            dg.AssetMaterialization(
                node(loop.name, "traffic"),
                metadata={**({"new_requests": new} if share == 1 else {}), WATERMARK: dg.MetadataValue.timestamp(read_until)},
                tags={"dagster/data_version": f"{read_until:.3f}"},
            )
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{total}@{read_until:.3f}" + (f"@{space}" if earlier else "")),
            metadata={
                **({"embedder_changed": changed} if changed else {}),
                "new": new,
                "without_vector": len(refused),
                **({"why_without_vector": table(["request id", "reason"], list(refused.items())[:10])} if refused else {}),
                "total": total,
                **({"sample": in_words(share)} if share < 1 else {}),
                "embedder": space,
                WATERMARK: dg.MetadataValue.timestamp(read_until),
                "newest": table(["request id", "version"], [(e.id, e.version[:12]) for e in shown]),
            },
        )

    return query_embeddings


@dataclass(frozen=True)
class _Page:
    """What came of a page of the log: exchanges that have a vector now, ids of those that get none, with the reason, and the newest
    arrival."""

    added: list[Exchange]
    refused: dict[str, str]
    stored_at: float


class _Sample:
    """Which requests get vectors: all, or in a store that must not grow without limit as many as the loop allows."""

    def __init__(self, loop: LoopConfig, store: VectorStore, space: str, points: int) -> None:
        self._loop, self._store, self._space, self._points = loop, store, space, points
        self._share = store.share(loop.name, space)

    def drawn(self, request_id: str) -> bool:
        return self._share >= 1 or drawn(request_id, self._share)

    def fit(self, added: int) -> None:
        """Thin the vectors out if they are too many now."""
        self._points += added
        share = share_for(self._share, self._points, self._loop.traffic.vectors)
        if self._store.bounded and share < self._share:
            self._store.thin(self._loop.name, self._space, share)
            self._share, self._points = share, self._store.count(self._loop.name, self._space)


def _new_vectors(
    loop: LoopConfig, log: TrafficLog, store: VectorStore, embedder: Embedder, space: str, read_until: float, oldest: float, sample: _Sample
) -> Iterator[_Page]:
    """Embed what the log has that is in the sample and has no vector yet, page by page. Raises EmbedderError."""
    probe: list[QueryVector] = []
    arrivals = log.arrivals(loop.name, max(0.0, read_until - OVERLAP), oldest)
    while page := list(islice(arrivals, PAGE)):
        exchanges = [each.exchange for each in page if sample.drawn(each.exchange.id)]
        added, refused, probe = _embedded(loop, store, embedder, space, exchanges, probe)
        yield _Page(added, refused, page[-1].stored_at)


def _changed(earlier: Sequence[str], space: str, queries: int, day: str) -> str:
    return f"from {', '.join(earlier)} to {space}: {amount(queries, 'query', 'queries')} since {day} embedded again"


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

    Raises ModelChanged if the embedder gives a query another vector than it has.
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
        raise ModelChanged(
            f"the embedder {embedder} gives the query of request {point.request_id} another vector than before (cosine {cosine:.3f}): "
            "its model has changed under the same name, so new queries cannot be compared with earlier ones, which are embedded again, "
            "once a day at most. If it changes back and forth, name a fixed revision of the model in embedder.model"
        )


def _day(at: float, timezone: str) -> str:
    return f"{datetime.fromtimestamp(at, ZoneInfo(timezone)):%F}"
