"""The drift reference of production, which drift reports compare with: built for each version and committed with the dataset."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np

from ftassets.assets._shared.dataset_files import pack_arrays, read_splits, reference_path, unpack_arrays
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.dataset_store.base import DatasetStore, ObjectNotFound
from ftassets.backends.embedder.base import Embedder
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import VectorStore
from ftassets.config.loop import Drift, LoopConfig
from ftassets.domain.chat import embedded_text, newest_generation, vector_space
from ftassets.domain.drift import Reference, build_reference, preset_false_alarm_rates, same_space
from ftassets.domain.drift.concentration import nearest_similarities
from ftassets.domain.drift.planning import plan_drift
from ftassets.domain.drift.reference import CAP
from ftassets.domain.drift.widening import Widening, widening
from ftassets.domain.traffic.exchange import ANSWERED, Exchange, query_of
from ftassets.domain.traffic.retention import DAY
from ftassets.wording import amount

SAME = 0.9999  # cosine of two vectors of one text: servers round
SLICES = 168  # parts of a span that are read in proportion to their traffic: hours of a week
STRAY = 0.01  # share of the wanted answers below which a span before the others is no beginning


@dataclass(frozen=True)
class Known:
    """A version's reference, the end of its traffic (epoch seconds), its commit, and sentences on what it is made of and can detect.

    A `provisional` one lacks the version's own first answers: it has its training queries and what the version before it knew.
    """

    reference: Reference
    until: float
    commit: str
    sentences: tuple[str, ...]
    provisional: bool = False


def stored(store: DatasetStore, loop: str, production: str) -> Known | None:
    """The reference of a version, whichever embedder made it; None when it was not made yet."""
    path = reference_path(loop, production)
    try:
        arrays = unpack_arrays(store.read("main", path))
    except ObjectNotFound:
        return None
    reference = Reference.from_arrays(arrays)
    sentences, provisional = tuple(map(str, arrays["sensitivity"])), bool(arrays.get("provisional", False))
    return Known(reference, float(arrays["until"]), store.last_change("main", path), sentences, provisional)


def before(store: DatasetStore, loop: str, versions: Iterable[str | None], embedder: str) -> Known | None:
    """The reference of the first of these versions, which served before, that has one of this embedder; None without one."""
    for version in dict.fromkeys(filter(None, versions)):
        known, _ = usable(stored(store, loop, version), embedder)
        if known is not None:
            return known
    return None


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
    first: "FirstAnswers | None",
    store: DatasetStore,
    vector_store: VectorStore,
    embedder: Embedder,
    rate: float,
    earlier: Known | None = None,
) -> Known | None:
    """The reference of training queries and what an `earlier` version knew, widened by the version's first answers, and committed.

    Until the `first` answers have come, it is provisional; without an `earlier` one it is not made before that. Answers of topics that
    neither the training queries nor the earlier reference know do not widen it, see `widening`: they stay an alarm.

    The reference of a version whose training data is not known is made of its answers alone. One by another embedder is replaced; it
    stays in the history. Queries that were embedded as traffic are not embedded again.
    """
    policy = loop.retrain_on.drift
    commit = load_manifest(artifacts, production).dataset_commit
    if first is None and earlier is None:
        return None
    space = newest_generation(vector_space(embedder.id, loop.dataset.context), vector_store.embedders(loop.name))
    answers = first.answers if first else []
    trained = training_queries(store, loop, commit)
    known = {point.request_id: point.vector for point in vector_store.find(loop.name, space, [e.id for e in answers])}
    vectors, failed = embedder.embed_each([*trained, *(query_of(e, loop.dataset.context) for e in answers if e.id not in known)])
    made_now = iter(vectors)
    own = _usable([*islice(made_now, len(trained))], failed)
    said = _usable([known[e.id] if e.id in known else next(made_now) for e in answers], failed)
    parts = [part for part in (own, _known_before(earlier, own)) if part.size]
    sentences = []
    if first is not None and said.size:
        widened = _widening(parts, said, space, rate, policy)
        if widened.left_out:
            sentences.append(
                f"{widened.left_out:.1%} of the {len(said)} first answers do not widen this reference: they are of topics that neither the "
                "training queries nor the version before know, and stay an alarm"
            )
        sentences.append(
            f"of the version's traffic it has {amount(int(widened.keep.sum()), 'query', 'queries')} from {first.days:.1f} days"
        )
        parts.append(said[widened.keep])
    elif earlier is not None:
        due = f"{amount(wanted_answers(policy, commit is not None), 'answer')} of its own, over {policy.reference_span / DAY:.3g} days,"
        sentences.append(f"provisional: training queries and what the version before knew, until {due} have come")
    whole = np.concatenate(parts) if parts else np.empty((0, 0))
    if len(whole) < 2:
        return None
    reference = build_reference(whole, space, rate=rate)
    until = first.until if first else earlier.until if earlier else 0.0
    sentences += sensitivity(reference, policy, rate)
    content = pack_arrays(
        **reference.to_arrays(),
        until=np.array(until),
        sensitivity=np.array(sentences, dtype=np.str_),
        provisional=np.array(first is None),
    )
    metadata = {"loop": loop.name, "version": production, "trained": str(len(trained)), "traffic": str(len(answers)), "embedder": space}
    publication = store.publish(
        f"{run_id}-reference", {reference_path(loop.name, production): content}, f"{loop.name}: drift reference", metadata
    )
    return Known(reference, until, publication.commit, tuple(sentences), provisional=first is None)


def answers_of(loop: LoopConfig, version: str, artifacts: Artifacts, traffic_log: TrafficLog, now: float) -> "FirstAnswers | None":
    """The first answers of a version that make its reference whole; None while they have not come."""
    policy = loop.retrain_on.drift
    wanted = wanted_answers(policy, trained=load_manifest(artifacts, version).dataset_commit is not None)
    return first_answers(traffic_log, loop.name, version, wanted, policy.reference_span, now)


def answers_due(log: TrafficLog, loop: LoopConfig, version: str, trained: bool, now: float) -> tuple[float, float] | None:
    """When a version's first answers began, and when those of its reference will have come at the rate so far (epoch seconds).

    None before there are any; `trained` says whether its training queries are known.
    """
    policy = loop.retrain_on.drift
    wanted = wanted_answers(policy, trained)
    begin = _begin(log, loop.name, version, policy.reference_span, 1)
    if begin is None or begin >= now:
        return None
    so_far = _answered(log, loop.name, version, begin, now)
    spans = math.floor(wanted / max(so_far, 1) * (now - begin) / policy.reference_span) + 1
    return begin, begin + policy.reference_span * spans


@dataclass(frozen=True)
class FirstAnswers:
    """A version's first answers, a sample over whole spans, oldest first; their end (epoch seconds) and the days they cover."""

    answers: list[Exchange]
    until: float
    days: float


def first_answers(log: TrafficLog, loop: str, version: str, wanted: int, span: float, now: float) -> FirstAnswers | None:
    """So many of a version's answers from its first whole spans (seconds), spread as its traffic is; None while those have not come.

    A span is long enough to have all hours and days of the week in it: the first 2,000 answers may be those of one night. All answers of
    a span are counted and only the wanted ones read, from `SLICES` equal parts of it. Spans before them with hardly any answers are passed
    over: a row that is dated years back is not when the version began.
    """
    if wanted == 0:
        return FirstAnswers([], 0.0, 0.0)
    begin = _begin(log, loop, version, span, wanted * STRAY)
    if begin is None:
        return None
    enough = next(islice(log.stream(loop, begin, version=version, answered=True), wanted - 1, None), None)
    if enough is None:
        return None
    end = begin + span * (math.floor((enough.at - begin) / span) + 1)
    if end > now:
        return None
    edges = np.linspace(begin, end, SLICES + 1)
    edges[-1] = end
    counts = [_answered(log, loop, version, since, until) for since, until in pairwise(edges.tolist())]
    total, found, due = sum(counts), list[Exchange](), 0.0
    for (since, until), count in zip(pairwise(edges.tolist()), counts, strict=True):
        due += wanted * count / total
        take = round(due) - len(found)
        found += islice(log.stream(loop, since, until, version, answered=True), take)
    return FirstAnswers(found, found[-1].at + 1e-3, (end - begin) / DAY)


def _begin(log: TrafficLog, loop: str, version: str, span: float, few: float) -> float | None:
    """When the first span with at least that many answers of a version begins; None without one."""
    since = 0.0
    while (begin := next((e.at for e in log.stream(loop, since, version=version, answered=True)), None)) is not None:
        if _answered(log, loop, version, begin, begin + span) >= few:
            return begin
        since = begin + span
    return None


def _answered(log: TrafficLog, loop: str, version: str, since: float, until: float) -> int:
    return sum(each.count for each in log.outcomes(loop, [version], since, until) if each.status == ANSWERED)


def _usable(vectors: Sequence[np.ndarray], failed: Mapping[int, str]) -> np.ndarray:
    """The vectors (n, d) without those of zeros, if some `failed`: a query that the embedder does not take has no place in a reference."""
    if not vectors:
        return np.empty((0, 0))
    found = np.array(vectors)
    return found[found.any(axis=1)] if failed else found


def _known_before(earlier: Known | None, own: np.ndarray) -> np.ndarray:
    """Vectors of an earlier reference, without those of the version's training queries: twice in it, a query would be its own neighbour.

    At most half of what a reference is a sample of, so that they do not crowd the version's own queries out.
    """
    if earlier is None:
        return np.empty((0, 0))
    vectors = earlier.reference.vectors
    if own.size:
        vectors = vectors[nearest_similarities(vectors, own.astype(np.float32))[:, 0] < SAME]
    return vectors[np.sort(np.random.default_rng(0).permutation(len(vectors))[: CAP // 2])]


def _widening(parts: Sequence[np.ndarray], said: np.ndarray, space: str, rate: float, policy: Drift) -> Widening:
    """Which answers may widen a reference of these parts; all of them where there is too little to compare with."""
    if sum(map(len, parts)) < policy.reference_windows * policy.min_sample or len(said) < policy.min_sample:
        return Widening(np.ones(len(said), dtype=bool), 0.0)
    return widening(build_reference(np.concatenate(parts), space, rate=rate), said, rate, policy.min_sample)


def wanted_answers(policy: Drift, trained: bool) -> int:
    """First answers that go into a version's reference; without its training queries they alone must be enough to compare with."""
    return policy.reference_requests if trained else max(policy.reference_requests, policy.reference_windows * policy.min_sample)


def waits_for(policy: Drift) -> str:
    """How many answers a reference needs, in words."""
    alone = wanted_answers(policy, trained=False)
    adopted = f", or {alone} for an adopted version" if alone != policy.reference_requests else ""
    return f"{policy.reference_requests}{adopted}, over {policy.reference_span / DAY:.3g} days"


def training_queries(store: DatasetStore, loop: LoopConfig, commit: str | None) -> list[str]:
    """Requests of all splits of a dataset as they are embedded, in an order that belongs to the commit."""
    if not commit:
        return []
    return [embedded_text(row, loop.dataset.context) for rows in read_splits(store, commit, loop.name, bad=[]).values() for row in rows]


def sensitivity(reference: Reference, policy: Drift, rate: float) -> list[str]:
    """Power of an alarm at false-alarm rate `rate`, and false-alarm rates of fixed rules, on the reference; empty if it is too small."""
    found = plan_drift(reference, policy, rate)
    if not found.powers:
        return []
    try:
        rules = preset_false_alarm_rates(reference, policy.sample, draws=200)
    except ValueError:
        return []
    said = (
        f"the fixed rule {rule.rule} would alarm on {rule.own_mix:.0%} of windows like the reference, on {rule.other_mixes:.0%} of "
        "harmless other mixes"
        for rule in rules
    )
    return [*found.sentences, *said]


def texts_by_cluster(reference: Reference, trained: Sequence[str]) -> Mapping[int, Sequence[str]]:
    """Training queries of each cluster, to name clusters that lost all their queries."""
    texts: dict[int, list[str]] = {}
    for row, cluster in zip(reference.rows.tolist(), reference.clusters.tolist(), strict=True):
        if row < len(trained):
            texts.setdefault(cluster, []).append(trained[row])
    return texts
