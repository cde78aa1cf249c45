"""Deletes days of traffic that are older than the loop keeps them, or more than it has room for; each is copied to Parquet before."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import dagster as dg

from ftassets.assets._shared import live
from ftassets.assets._shared.dataset_files import requests_named
from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import asset
from ftassets.assets.drift_report.reference import first_answers, wanted_answers
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.serving.base import Serving
from ftassets.backends.traffic_log.base import LogSize, TrafficLog
from ftassets.backends.traffic_log.day_files import DayFiles, Moved, without_stored
from ftassets.backends.vector_store.base import VectorStore
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.retention import GB, Cut, DayOfTraffic, cut
from ftassets.reporting.plots import bars
from ftassets.wording import amount

CHECK = "within_max_gb"
BATCH_ROWS = 20_000  # moved at once, and rows of a file
SHOWN_DAYS = 30
BATCH_CHARACTERS = 50_000_000  # of their texts: what is in memory, but for the last row


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset, with the check `within_max_gb`, which warns. A killed run is finished by the next one."""
    key = node(loop.name, "traffic_retention")
    spec = dg.AssetCheckSpec(CHECK, asset=key, description="The loop's requests in the log are not larger than traffic.max_gb.")

    @asset(loop, __doc__, {"parquet"}, deps=["traffic"], check_specs=[spec])
    def traffic_retention(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        artifacts: dg.ResourceParam[Artifacts],
        traffic_log: dg.ResourceParam[TrafficLog],
        vector_store: dg.ResourceParam[VectorStore],
        dataset_store: dg.ResourceParam[DatasetStore],
        serving: dg.ResourceParam[Serving],
    ) -> dg.MaterializeResult:
        files = day_files(loop, home)
        state = serving.state(loop.name)
        now, size, days = time.time(), traffic_log.size(), traffic_log.days(loop.name)
        most = loop.traffic.max_gb and loop.traffic.max_gb * GB
        first, since = _reference_answers(loop, traffic_log, artifacts, state, now)
        found = cut(days, now, min(since, _needed_since(loop, serving, state, now)), loop.traffic.keep, most)
        moved = 0
        if old := [day for day in days if day.begin < found.before]:
            kept = requests_named(dataset_store, "main", loop.name) | first | _baselines(loop, traffic_log, serving, state)
            for embedder in vector_store.embedders(loop.name):  # before their rows: whoever finds a vector must find its request
                vector_store.expire(loop.name, embedder, found.before)
            for day in old:
                gone = sum(_moved(loop.name, day, kept, traffic_log, files))
                moved += gone
                context.log.info(f"{_date(day)}: {gone} of {amount(day.rows, 'request')} copied to {files.folder} and deleted")
            traffic_log.reclaim()
        left = traffic_log.days(loop.name) if old else days
        return _materialize(loop, files, days, left, found, moved, (size, traffic_log.size()))

    return traffic_retention


def day_files(loop: LoopConfig, home: Home) -> DayFiles:
    """Where the loop's days are copied to."""
    return DayFiles(loop.traffic.export or home.traffic_export)


def _needed_since(loop: LoopConfig, serving: Serving, state: EndpointState, now: float) -> float:
    """From when on no request may be deleted: two drift windows, which live reports read too, and a running canary's answers."""
    windows = now - 2 * loop.retrain_on.drift.window
    if state.candidate is None:
        return windows
    return min(windows, state.since if state.in_shadow else live.first_served(serving, loop.name, state.candidate))


def _reference_answers(loop: LoopConfig, log: TrafficLog, artifacts: Artifacts, state: EndpointState, now: float) -> tuple[set[str], float]:
    """Ids of the answers that the drift references of versions that serve are made of, also once more by another embedder; and from when
    on (epoch seconds) nothing may be deleted for the sake of one that is not made yet.
    """
    policy = loop.retrain_on.drift
    found, since = set[str](), float("inf")
    for version in _serving(state):
        wanted = wanted_answers(policy, trained=_trained(artifacts, version))
        answers = first_answers(log, loop.name, version, wanted, policy.reference_span, now)
        if answers is not None:
            found |= {each.id for each in answers.answers}
            continue
        so_far = [*islice(log.stream(loop.name, version=version, answered=True), wanted)]
        found |= {each.id for each in so_far}
        if len(so_far) == wanted:  # the sample is drawn when the span is over
            since = min(since, so_far[0].at)
    return found, since


def _baselines(loop: LoopConfig, log: TrafficLog, serving: Serving, state: EndpointState) -> set[str]:
    """Ids of the answers that the behaviour report compares those of versions that serve with."""
    found: set[str] = set()
    for version in _serving(state):
        began = live.first_served(serving, loop.name, version)
        found |= {each.id for each in islice(log.stream(loop.name, began, version=version, answered=True), loop.monitors.sample)}
    return found


def _serving(state: EndpointState) -> list[str]:
    return sorted(filter(None, {state.production, state.candidate, state.standby}))


def _trained(artifacts: Artifacts, version: str) -> bool:
    """Whether the version's training queries are known, which count for its reference too."""
    try:
        return load_manifest(artifacts, version).dataset_commit is not None
    except VersionDamaged:
        return False


def _moved(loop: str, day: DayOfTraffic, kept: set[str], log: TrafficLog, files: DayFiles) -> Iterator[int]:
    """Copy a day's rows that are not kept to a file and delete them, batch by batch; yields the number of rows deleted of each.

    A run that was killed may have copied rows that are still in the log, and rows of old days may be imported again: what the day's files
    have already is deleted without another copy. A row that gets feedback meanwhile stays for the next run.
    """
    known, since = files.files(loop, day.day), day.begin
    while True:
        with files.held():  # what is read here nobody forgets before it is in a file
            batch = _batch(row for row in log.stream(loop, since, day.end) if row.id not in kept)
            if not batch:
                return
            said = log.feedback_events([row.id for row in batch])
            rows = [Moved(row, said.get(row.id, ())) for row in batch]
            files.add(loop, day.day, without_stored(rows, known))
            gone = log.remove(loop, {row.exchange.id: len(row.feedback) for row in rows})
        if not gone:
            return
        since = batch[-1].at
        yield gone


def _batch(rows: Iterable[Exchange]) -> list[Exchange]:
    batch, size = [], 0
    for row in rows:
        batch.append(row)
        size += len(row.prompt) + len(row.messages) + len(row.answer)
        if len(batch) == BATCH_ROWS or size > BATCH_CHARACTERS:
            break
    return batch


def _materialize(
    loop: LoopConfig,
    files: DayFiles,
    days: list[DayOfTraffic],
    left: list[DayOfTraffic],
    found: Cut,
    moved: int,
    sizes: tuple[LogSize, LogSize],
) -> dg.MaterializeResult:
    rows, size = sum(day.rows for day in left), sum(day.bytes for day in left)
    older = sum(day.rows for day in left if day.begin < found.before)
    oldest = next((_date(day) for day in left if day.begin >= found.before), "none")
    limit = loop.traffic.max_gb
    within = limit is None or size <= limit * GB
    text = f"{amount(rows, 'request')}, {size / GB:.3f} GB" + ("" if limit is None else f", the limit is {limit:g} GB")
    if not within:
        text += ". What is left is still read by reports, or named by a dataset: raise traffic.max_gb, or shorten the drift window"
    metadata: dict[str, Any] = {
        "deleted": moved,
        "reason": found.reason,
        "rows_before": sum(day.rows for day in days),
        "rows_after": rows,
        "bytes_before": round(sum(day.bytes for day in days)),
        "bytes_after": round(size),
        "log_bytes_before": sizes[0].bytes,
        "log_bytes_after": sizes[1].bytes,
        "oldest_day_kept": oldest,
        "kept_of_older_days": older,
        "copies": str(files.folder),
    }
    if sizes[1].free is not None:
        metadata["log_bytes_free"] = sizes[1].free
    if left:
        metadata["days"] = dg.MetadataValue.md(bars("requests per day", [(_date(day), day.rows) for day in left[-SHOWN_DAYS:]]))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"{rows}@{oldest}"),
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(check_name=CHECK, passed=within, severity=dg.AssetCheckSeverity.WARN, description=text),
        ],
    )


def _date(day: DayOfTraffic) -> str:
    try:
        return f"{datetime.fromtimestamp(day.end - 1, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError):  # an import may have any time
        return f"day {day.day}"
