"""The drift reference of production, which drift reports compare with: built once per version and committed with the dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ftassets.assets._shared.dataset_files import pack_arrays, read_splits, reference_path, unpack_arrays
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.dataset_store.base import DatasetStore, ObjectNotFound
from ftassets.backends.embedder.base import Embedder
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import VectorStore
from ftassets.config.loop import Drift, LoopConfig
from ftassets.domain.chat import embedded_text, vector_space
from ftassets.domain.drift import Reference, build_reference, power, preset_false_alarm_rates, same_space, smallest_share
from ftassets.domain.drift.sensitivity import SEEN, SHARES
from ftassets.domain.traffic.exchange import query_of

UNSEEN = (0.10, 0.25)  # shares of new topics for which the reference reports the power of an alarm


@dataclass(frozen=True)
class Known:
    """A version's reference, the end of its traffic (epoch seconds), its commit, and sentences on which drift it can detect."""

    reference: Reference
    until: float
    commit: str
    sensitivity: tuple[str, ...]


def stored(store: DatasetStore, loop: str, production: str) -> Known | None:
    """The reference of a version, whichever embedder made it; None when it was not made yet."""
    path = reference_path(loop, production)
    try:
        arrays = unpack_arrays(store.read("main", path))
    except ObjectNotFound:
        return None
    reference = Reference.from_arrays(arrays)
    return Known(reference, float(arrays["until"]), store.last_change("main", path), tuple(map(str, arrays["sensitivity"])))


def usable(known: Known | None, embedder: str) -> tuple[Known | None, str | None]:
    """The reference if this embedder made it, else the id of the embedder that did: vectors of two models are never compared."""
    if known is None or same_space(known.reference, embedder):
        return known, None
    return None, known.reference.embedder


def made(
    run_id: str,
    loop: LoopConfig,
    production: str,
    artifacts: Artifacts,
    traffic_log: TrafficLog,
    store: DatasetStore,
    vector_store: VectorStore,
    embedder: Embedder,
    rate: float,
) -> Known | None:
    """The reference of training queries, widened by the version's first answers and committed; None while those have not come.

    That of a version whose training data is not known is made of its answers alone. One by another embedder is replaced; it stays in
    the history. Queries that were embedded as traffic are not embedded again.
    """
    policy = loop.retrain_on.drift
    commit = load_manifest(artifacts, production).dataset_commit
    wanted = wanted_answers(policy, trained=commit is not None)
    first = list(islice(traffic_log.stream(loop.name, version=production, answered=True), wanted))
    if len(first) < wanted:
        return None
    space = vector_space(embedder.id, loop.dataset.context)
    trained = training_queries(store, loop, commit)
    known = {point.request_id: point.vector for point in vector_store.find(loop.name, space, [e.id for e in first])}
    made, failed = embedder.embed_each([*trained, *(query_of(e, loop.dataset.context) for e in first if e.id not in known)])
    made_now = iter(made)
    vectors = np.array([*islice(made_now, len(trained)), *(known[e.id] if e.id in known else next(made_now) for e in first)])
    vectors = vectors[vectors.any(axis=1)] if failed else vectors  # a query that the embedder does not take has no place in it
    if len(vectors) < 2:
        return None
    reference = build_reference(vectors, space, rate=rate)
    until = max((e.at for e in first), default=0.0) + 1e-3
    sentences = sensitivity(reference, policy, rate)
    content = pack_arrays(**reference.to_arrays(), until=np.array(until), sensitivity=np.array(sentences, dtype=np.str_))
    metadata = {"loop": loop.name, "version": production, "trained": str(len(trained)), "traffic": str(len(first)), "embedder": space}
    publication = store.publish(
        f"{run_id}-reference", {reference_path(loop.name, production): content}, f"{loop.name}: drift reference", metadata
    )
    return Known(reference, until, publication.commit, tuple(sentences))


def wanted_answers(policy: Drift, trained: bool) -> int:
    """First answers that go into a version's reference; without its training queries they alone must be enough to compare with."""
    return policy.reference_requests if trained else max(policy.reference_requests, policy.reference_windows * policy.min_sample)


def waits_for(policy: Drift) -> str:
    """How many answers a reference needs, in words."""
    alone = wanted_answers(policy, trained=False)
    adopted = f", or {alone} for an adopted version" if alone != policy.reference_requests else ""
    return f"{policy.reference_requests}{adopted}"


def training_queries(store: DatasetStore, loop: LoopConfig, commit: str | None) -> list[str]:
    """Requests of all splits of a dataset as they are embedded, in an order that belongs to the commit."""
    if not commit:
        return []
    return [embedded_text(row, loop.dataset.context) for rows in read_splits(store, commit, loop.name, bad=[]).values() for row in rows]


def sensitivity(reference: Reference, policy: Drift, rate: float) -> list[str]:
    """Power of an alarm at false-alarm rate `rate`, and false-alarm rates of fixed rules, on the reference; empty if it is too small."""
    try:
        found = [power(reference, policy.sample, rate, share, policy.consecutive, draws=500).sentence for share in UNSEEN]
        smallest = smallest_share(reference, policy.sample, rate)
        rules = preset_false_alarm_rates(reference, policy.sample, draws=200)
    except ValueError:
        return []
    said = (
        f"the fixed rule {rule.rule} would alarm on {rule.own_mix:.0%} of windows like the reference, on {rule.other_mixes:.0%} of "
        "harmless other mixes"
        for rule in rules
    )
    least = f"{smallest:.1%} of new topics is" if smallest is not None else f"not even {max(SHARES):.0%} of new topics are"
    return [f"{least} seen in {SEEN:.0%} of windows of {policy.sample} queries", *found, *said]


def texts_by_cluster(reference: Reference, trained: Sequence[str]) -> Mapping[int, Sequence[str]]:
    """Training queries of each cluster, to name clusters that lost all their queries."""
    texts: dict[int, list[str]] = {}
    for row, cluster in zip(reference.rows.tolist(), reference.clusters.tolist(), strict=True):
        if row < len(trained):
            texts.setdefault(cluster, []).append(trained[row])
    return texts
