"""How many labels a retrain could use: what people corrected and labelled that no training has seen, counted as curation would."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

import dagster as dg

from ftassets.assets._shared.dataset_files import (
    DECODED_ROWS,
    golden_path,
    labels_folder,
    read_index,
    read_labels,
    read_written,
    readable,
    rows_of_splits,
    seed_path,
)
from ftassets.assets._shared.events import data_version, history, metadata_value, node
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.dataset_store.base import DatasetStore, ObjectNotFound, RefNotFound
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.feedback import from_feedback
from ftassets.domain.dataset.new_labels import Usable, fact, usable
from ftassets.domain.dataset.rows import Example
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Reviewed
from ftassets.domain.traffic.retention import DAY

UNTIL, COMMIT = "labels_until", "labels_commit"  # facts of a dataset's commit and event: up to where feedback and labels were read
NEWEST = 5000  # corrections that are read at most, unless the loop asks for a tenth of that: a tick must not take minutes


@dataclass(frozen=True)
class Read:
    """Up to when a dataset read feedback (epoch seconds), and the commit whose labelled batches it read; None: it read none."""

    until: float
    commit: str | None


NOTHING = Read(0.0, None)


@dataclass(frozen=True)
class Count:
    """Usable labels: those that production has not learnt, and those of them that no training has tried; corrections a day.

    `unusable` says what else people sent, by the reason why it does not count.
    """

    new: int
    untried: int
    per_day: float
    unusable: str


def read_by_production(artifacts: Artifacts, store: DatasetStore, version: str) -> Read:
    """What the dataset of a version had read. Of a version that was adopted it is not known: to it every label is new.

    Raises VersionDamaged, DatasetError.
    """
    commit = load_manifest(artifacts, version).dataset_commit
    return read_by(store, commit) if commit else NOTHING


def read_by(store: DatasetStore, commit: str) -> Read:
    """What the dataset at a commit had read; one of an earlier release, all that was there when it was made."""
    try:
        found = store.get_commit(commit)
    except RefNotFound:
        return NOTHING
    if UNTIL in found.metadata:
        return Read(float(found.metadata[UNTIL]), found.metadata[COMMIT])
    return Read(found.created_at, found.parents[0] if found.parents else found.id)


def read_by_newest(instance: dg.DagsterInstance, store: DatasetStore, loop: str, until: float) -> Read | None:
    """What the newest dataset that was made up to a time (epoch seconds) had read; None without one. Raises DatasetError."""
    for at, event in history(instance, node(loop, "curated_dataset")):
        if at <= until:
            when, commit = metadata_value(event, UNTIL), metadata_value(event, COMMIT)
            return Read(float(when), str(commit)) if isinstance(when, int | float) else read_by(store, data_version(event))
    return None


class LabelCounter:
    """Counts the labels of one loop. What was counted last is kept, so that a tick before which nothing came reads no text."""

    def __init__(self, loop: LoopConfig) -> None:
        self._loop = loop
        self._last: tuple[object, Usable, frozenset[str | None]] | None = None
        self._learnt: tuple[str | None, frozenset[bytes]] | None = None

    def count(
        self,
        artifacts: Artifacts,
        traffic_log: TrafficLog,
        store: DatasetStore,
        production: str,
        tried: Read | None,
        now: float,
        shadow: Read | None = None,
    ) -> Count:
        """The labels at a time (epoch seconds). `tried` is what the newest training had read; None if there was no other than production's.
        Labels that a `shadow` retrain of a loop in mode observe would have had count as learnt.

        Raises VersionDamaged, DatasetError and what the traffic log raises.
        """
        learnt = read_by_production(artifacts, store, production)
        if shadow is not None and shadow.until > learnt.until:
            learnt = tried = shadow
        tried = tried or learnt
        asked_since = now - self._loop.dataset.production_window
        # no answer since then was corrected before: the log need not look at older corrections either
        corrected = traffic_log.corrected(self._loop.name, max(learnt.until, asked_since), asked_since)
        main = store.resolve("main")
        asked = (production, learnt, tried, main, corrected)
        if self._last is None or self._last[0] != asked:
            usable_now = self._usable(artifacts, traffic_log, store, production, learnt, main, corrected)
            batches = _labels_since(store, self._loop.name, tried.commit, main) if tried != learnt else []
            self._last = asked, usable_now, frozenset(row.request_id for row in batches)
        _, found, labelled = self._last
        rows = found.rows
        untried = list(rows)
        if tried != learnt:
            newest = {name for name, stored_at in corrected.items() if stored_at >= tried.until}
            untried = [row for row in rows if row.request_id in (labelled if _labelled(row) else newest)]
        times = [row.at for row in rows if row.at is not None and not _labelled(row)]
        days = max((now - min(times)) / DAY, 1.0) if times else 1.0  # since the first one, which therefore counts for none of them
        return Count(len(rows), len(untried), (len(times) - 1 if days > 1 else len(times)) / days, found.in_words())

    def _usable(
        self,
        artifacts: Artifacts,
        traffic_log: TrafficLog,
        store: DatasetStore,
        production: str,
        learnt: Read,
        main: str,
        corrected: Mapping[str, float],
    ) -> Usable:
        loop = self._loop
        policy = loop.retrain_on
        most = max(NEWEST, 10 * max(policy.min_new_labels, policy.feedback or 0))
        names = sorted(corrected, key=lambda name: (-corrected[name], name))[:most]
        asked = traffic_log.named(loop.name, names)
        said = traffic_log.feedback_on([exchange.id for exchange in asked])
        reviewed = (Reviewed(each, said[each.id]) for each in asked if each.id in said)
        rows, bad = from_feedback(reviewed, loop.task.form, loop.dataset.exclude_tags)
        labels = _labels_since(store, loop.name, learnt.commit, main)
        if not rows and not labels:
            return Usable(dropped={"not readable": len(bad)} if bad else {})
        answers = {each.id: each.answer for each in chain(asked, _of(traffic_log, loop.name, labels))}
        found = usable([*labels, *rows], answers, loop, _trusted(store, loop, main), self._facts(artifacts, store, production))
        return Usable(found.rows, {**found.dropped, "not readable": len(bad)}) if bad else found

    def _facts(self, artifacts: Artifacts, store: DatasetStore, production: str) -> frozenset[bytes]:
        """Of the rows of production's dataset; none of a dataset that is too large to be read at a tick."""
        commit = load_manifest(artifacts, production).dataset_commit
        if self._learnt is None or self._learnt[0] != commit:
            facts: frozenset[bytes] = frozenset()
            if commit is not None:
                with suppress(ObjectNotFound, RefNotFound):
                    index = read_index(store, commit, self._loop.name)
                    if sum(shard.rows for shards in index.shards.values() for shard in shards) <= DECODED_ROWS:
                        form = self._loop.task.form
                        facts = frozenset(fact(row, form) for _, row in rows_of_splits(store, commit, self._loop.name))
            self._learnt = commit, facts
        return self._learnt[1]


def _of(traffic_log: TrafficLog, loop: str, labels: Sequence[Example]) -> list[Exchange]:
    return traffic_log.named(loop, sorted({row.request_id for row in labels if row.request_id}))


def _trusted(store: DatasetStore, loop: LoopConfig, main: str) -> list[Example]:
    """Rows that say which labels exist; none where the loop file or the task's form says it."""
    if loop.task.type != "classification" or loop.task.labels:
        return []
    return read_written(store, main, (seed_path(loop.name), golden_path(loop.name)))[0]


def _labels_since(store: DatasetStore, loop: str, since: str | None, main: str) -> list[Example]:
    """Rows of labelled batches at a commit of main that are not among those of an earlier commit; only batches that changed are read."""
    folder = labels_folder(loop)
    try:
        changed = store.diff(since, main) if since is not None else None
    except RefNotFound:
        changed = None
    if changed is None:
        return read_labels(store, main, loop)
    known: set[tuple[str | None, str]] = set()
    rows: list[Example] = []
    for change in changed:
        if not change.path.startswith(folder):
            continue
        if change.kind != "added" and since is not None:
            known |= {_answer(row) for row in readable(store.read(since, change.path))[0]}
        if change.kind != "removed":
            rows += readable(store.read(main, change.path))[0]
    return [row for row in rows if _answer(row) not in known]


def _answer(row: Example) -> tuple[str | None, str]:
    return row.request_id, row.completion


def _labelled(row: Example) -> bool:
    return row.source == "label"
