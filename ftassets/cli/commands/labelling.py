"""Labelling batches: requests out to annotators, and their answers back."""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ftassets.assets._shared.dataset_files import (
    labels_folder,
    labels_path,
    read_labels,
    readable,
    reference_path,
    seed_path,
    to_parquet,
    unpack_arrays,
)
from ftassets.backends.dataset_store.base import DatasetStore, ObjectNotFound
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import VectorStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import Asked
from ftassets.domain.dataset import labelling
from ftassets.domain.dataset.curation import conflicts
from ftassets.domain.dataset.feedback import from_feedback
from ftassets.domain.dataset.labelling.fields import BATCH_NAME
from ftassets.domain.dataset.labelling.label import Label, to_examples
from ftassets.domain.dataset.labelling.merge import merge
from ftassets.domain.dataset.labelling.select import CONFLICT, SHARES, Item, candidates, contested, select, shortlist
from ftassets.domain.dataset.rows import Example, Quarantined, lines_of_text
from ftassets.domain.traffic.exchange import asked_of, hashed_user, keyed_user
from ftassets.domain.traffic.imports import AHEAD, EARLIEST
from ftassets.domain.traffic.imports.guess import guess
from ftassets.errors import InvalidInput
from ftassets.wording import amount

SEARCHED = 20_000  # requests among which a batch is chosen, so that a long window does not have to fit into memory


@dataclass(frozen=True)
class LabelBatch:
    """Requests for people to label, in the format of their tool.

    `left_out` are requests that would have had a place, but are near copies of these or are not of texts. `kinds` has the number of
    requests by why they were chosen, see `select.SHARES`.
    """

    id: str
    text: str
    requests: int
    left_out: int
    kinds: dict[str, int]


@dataclass(frozen=True)
class LabelReport:
    """Imported labels: their commit, how many rows were added, replaced one, or changed nothing, and what of the file was refused.

    `agree` and `disagree` are requests of the file that two annotators or more have answered, by whether they give the same answer.
    """

    commit: str
    added: int
    replaced: int
    unchanged: int
    agree: int
    disagree: int
    quarantined: list[Quarantined]


@dataclass(frozen=True)
class Novelty:
    """Cosine distance of requests, by id, to what production knows, and the distance from which one counts as novel."""

    distances: Mapping[str, float]
    novel_above: float


def novelty(vector_store: VectorStore, dataset_store: DatasetStore, loop: str, production: str, since: float) -> Novelty | None:
    """How far a random sample of the requests since then is from production's drift reference; None while there is no reference.

    Novel is what is farther away than 95 % of the reference is from itself. Queries that the reference's embedder did not embed have no
    distance.
    """
    from ftassets.domain.drift import Reference
    from ftassets.domain.drift.novelty import nearest_distances

    try:
        reference = Reference.from_arrays(unpack_arrays(dataset_store.read("main", reference_path(loop, production))))
    except ObjectNotFound:
        return None
    points = vector_store.window(loop, reference.embedder, since, float("inf"), limit=SEARCHED)
    if not points:
        return Novelty({}, reference.q95)
    vectors = np.array([point.vector for point in points])
    distances = nearest_distances(vectors, reference.vectors)
    return Novelty({point.request_id: float(distance) for point, distance in zip(points, distances, strict=True)}, reference.q95)


def label_export(
    traffic_log: TrafficLog,
    dataset_store: DatasetStore,
    loop: LoopConfig,
    format: str,
    limit: int,
    since: float,
    canaries: Collection[str] = (),
    novelty: Novelty | None = None,
    seed: int = 0,
) -> LabelBatch:
    """A batch of at most `limit` requests since then for people to label, in their tool's format.

    A mix by `select.SHARES`: what `canaries` (versions that were candidates) failed on, requests that people answer differently, novel
    requests, answers that were rated down, and a random sample. Requests with a label, a thumb up or an undisputed correction are left
    out. Raises InvalidInput for an unknown format.
    """
    labelled = {row.request_id for row in read_labels(dataset_store, "main", loop.name) if row.request_id}
    known = novelty or Novelty({}, 0.0)
    stream, found = traffic_log.stream(loop.name, since), []
    while page := list(islice(stream, SEARCHED)):
        feedback = traffic_log.feedback_on([exchange.id for exchange in page])
        found += candidates(page, feedback, labelled, canaries, known.distances, known.novel_above, loop.task.form)
        found = shortlist(found, SEARCHED // len(SHARES), seed)
    return _batch([*_contested(traffic_log, dataset_store, loop, since), *found], limit, loop, format, seed)


def conflict_export(
    traffic_log: TrafficLog, dataset_store: DatasetStore, loop: LoopConfig, format: str, limit: int, since: float
) -> LabelBatch:
    """A batch of at most `limit` requests that rows of the next dataset answer differently, for people to decide: a label outranks them.

    The rows are those of the seed, of labels and of feedback since then, as they are now. Raises InvalidInput for an unknown format.
    """
    return _batch(_contested(traffic_log, dataset_store, loop, since), limit, loop, format)


def _contested(traffic_log: TrafficLog, dataset_store: DatasetStore, loop: LoopConfig, since: float) -> list[Item]:
    """Requests that rows of the next dataset answer differently."""
    rows, _ = from_feedback(traffic_log.reviewed(loop.name, since), loop.task.form, loop.dataset.exclude_tags)
    rows += read_labels(dataset_store, "main", loop.name)
    with suppress(ObjectNotFound):  # before the first commit of the seed
        rows += readable(dataset_store.read("main", seed_path(loop.name)))[0]
    names = contested(conflicts(rows, loop), rows)
    said = traffic_log.feedback_on(names)
    comments = {name: feedback.note for name, feedback in said.items()}
    return [
        Item(e.id, e.messages, e.answer, e.version, e.at, CONFLICT, comment=comments.get(e.id)) for e in traffic_log.named(loop.name, names)
    ]


def _batch(items: Sequence[Item], limit: int, loop: LoopConfig, format: str, seed: int = 0) -> LabelBatch:
    chosen = select(items, limit, loop.dataset.jaccard, seed)
    left_out = len(items) - len(chosen) if len(chosen) < limit else 0
    kinds = Counter(item.why for item in chosen)
    return LabelBatch(labelling.batch_id(chosen), labelling.to_text(chosen, format), len(chosen), left_out, dict(kinds))


def label_import(
    traffic_log: TrafficLog,
    dataset_store: DatasetStore,
    loop: LoopConfig,
    text: str,
    format: str,
    batch: str | None,
    run_id: str,
    secret: str = "",
) -> LabelReport:
    """Commit what annotators answered as rows of source `label`, at `{loop}/labels/{batch}.parquet`; the same text makes no second commit.

    Each annotator of a request has a row. A row belongs to the batch whose id the export wrote into it; one without belongs to `batch`,
    else to a batch of the requests in the file. Rows of other requests stay as they are, see `merge`. A row has the whole conversation of
    its request as the log has it; what the file shows of it counts only if the log does not have the request. Labels of forgotten requests
    are dropped. `secret` is the home's: an annotator has the hash of a user of that name; labels of an earlier release, which lack it, get
    it. Raises InvalidInput for an unknown format, a batch name that cannot be a file name, or when no label is usable.
    """
    if batch is not None and not BATCH_NAME.fullmatch(batch):
        raise InvalidInput(f"{batch!r} is not a name for a batch: use letters, digits, - and _")
    answers, bad = labelling.parse(text, format)
    forgotten = traffic_log.forgotten()
    logged = _asked(traffic_log, loop.name, {label.request_id for label in answers} - forgotten)
    named = batch or f"file-{digest_of(sorted({label.request_id for label in answers}))[:12]}"
    by_batch: dict[str, list[Label]] = defaultdict(list)
    for label in answers:
        name = label.batch or named
        if label.at is not None and not EARLIEST <= label.at <= time.time() + AHEAD:
            bad.append(Quarantined(f"label:{name}:{label.request_id}", "its time cannot be right: it is before 2000 or in the future", ""))
        elif label.request_id in forgotten:
            bad.append(Quarantined(f"label:{name}:{label.request_id}", "this request was forgotten", ""))
        else:
            by_batch[name].append(label)
    new: dict[str, list[Example]] = {}
    apart: set[str] = set()
    for name, labels in by_batch.items():
        rows, more, split = to_examples(labels, name, loop.task.form, logged)
        new[name] = [_known_by(row, secret) for row in rows]
        apart |= split
        bad += more
    if not any(new.values()):
        found = guess(text[:4096].encode(errors="replace"), lines_of_text(text)) if not answers else None
        words = f"it is probably {found.words}. " if found and f"--format {format}" not in found.words else ""
        reasons = "; ".join(sorted({row.reason for row in bad})[:5]) or "the file is empty"
        raise InvalidInput(f"no usable label in the file: {words}{reasons}")
    commit = dataset_store.resolve("main")
    files = {
        path.removeprefix(labels_folder(loop.name)).removesuffix(".parquet"): dataset_store.read(commit, path)
        for path in dataset_store.list(commit, labels_folder(loop.name))
    }
    stored = {name: readable(content)[0] for name, content in files.items()}
    known = {name: [_known_by(row, secret) for row in rows] for name, rows in stored.items()}
    lifted = {name: rows for name, rows in known.items() if rows != stored[name]}
    merged = merge(known, new, loop.task.form, {label.batch for label in answers if label.batch})
    bad += merged.refused
    agree, disagree = len(merged.agree), len(merged.disagree | apart)
    counts = {"added": merged.added, "replaced": merged.replaced, "unchanged": merged.unchanged, "refused": len(bad)}
    counts |= {"agree": agree, "disagree": disagree}
    publication = dataset_store.publish(
        run_id,
        {labels_path(loop.name, name): to_parquet(rows, files.get(name)) for name, rows in {**lifted, **merged.batches}.items()},
        f"{loop.name}: {amount(merged.added, 'label')} added, {merged.replaced} replaced",
        {"loop": loop.name, "labels": str(merged.added + merged.replaced), **{name: str(count) for name, count in counts.items()}},
        since=commit,
    )
    return LabelReport(publication.commit, merged.added, merged.replaced, merged.unchanged, agree, disagree, bad)


def _known_by(row: Example, secret: str) -> Example:
    """The row with its annotator hashed as the gateway does it with users: whoever is both is one user."""
    bare = row.user and len(row.user) == len(hashed_user("any"))
    return row.model_copy(update={"user": keyed_user(row.user or "", secret)}) if bare else row


def _asked(traffic_log: TrafficLog, loop: str, names: Collection[str]) -> dict[str, Asked]:
    """The conversations of these requests that the log has, without those that are not of texts."""
    found = {}
    for exchange in traffic_log.named(loop, sorted(names)):
        with suppress(ValueError):
            found[exchange.id] = asked_of(exchange)
    return found
