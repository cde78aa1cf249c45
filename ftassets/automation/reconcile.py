"""Records what Dagster did not start: runs whose worker died, traffic moved from the command line or by a lease, and rollbacks.

It also brings the audit chain up to date, into which everything comes that people and sensors decide, and tells of labels in the
registry that somebody moved.
"""

import json
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import with_signature
from ftassets.assets._shared.run_nodes import BEYOND_THE_QUEUE, about
from ftassets.assets.endpoint import event, sync_registry
from ftassets.automation import ownership
from ftassets.automation.registry_watch import RegistryWatch
from ftassets.automation.table_history import read_once
from ftassets.backends.control.audit import Sealer
from ftassets.backends.control.base import Control, Locked
from ftassets.backends.control.incidents import note_uri, noted, write_note
from ftassets.backends.control.rollout_looks import read_looks
from ftassets.backends.notifier.base import Notifier
from ftassets.backends.registry.base import Registry
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.signer.base import Signer
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.rollout.incident import Incident, recent_incidents
from ftassets.domain.rollout.transition import Transition
from ftassets.domain.run_worker import Finding, Word
from ftassets.errors import FtassetsError, in_one_line
from ftassets.reporting.incident import incident_note, moved_in_short


def build(loop: LoopConfig) -> dg.SensorDefinition:
    """A sensor that ends dead runs, so that the next attempt may start, reports transitions no run recorded, and notes rollbacks.

    It runs whatever the loop's automation is set to: it only tells Dagster the truth.
    """
    watch, sealer, labels = Watch(loop.name), Sealer(), RegistryWatch(loop)

    @dg.sensor(
        name=f"{loop.name}__reconcile",
        minimum_interval_seconds=int(loop.sensor_interval),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs whose worker is gone, reports transitions of traffic that no run made, writes a note of each rollback, and "
        "adds new records to the audit chain.",
    )
    @with_signature
    def reconcile(
        context: dg.SensorEvaluationContext,
        serving: dg.ResourceParam[Serving],
        registry: dg.ResourceParam[Registry],
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
        signer: dg.ResourceParam[Signer],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.SensorResult:
        read_once()
        try:
            with suppress(Locked), sealer.sealing(control, signer, time.time(), timeout=0.0):
                pass  # who holds the lock adds the same records, or is a backup: then they come with the next tick
        except (FtassetsError, OSError) as error:
            context.log.warning(f"the audit chain is not up to date: {in_one_line(error)}")
        ended = watch.end_dead_runs(context.instance)
        for run_id in ended:
            try:
                registry.end_runs(loop.name, run_id)
            except (FtassetsError, OSError) as error:  # it only looks as if it were running there
                context.log.warning(f"run {run_id} is still shown as running in the registry: {error}")
        seen = int(json.loads(context.cursor or "0"))
        try:
            note_rollbacks(context.instance, loop.name, serving, control, traffic_log)
            since = serving.journal(seen)
            state = serving.state(loop.name)
            mine = [transition for transition in since if transition.loop == loop.name]
            new = [transition for transition in mine if not recorded_by_run(transition)]
            journal = serving.journal() if new else []
        except ServingError as error:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"{_ended(ended)}{error}"), cursor=str(seen))
        try:
            labels.look(context.instance, registry, control, notifier, state, time.time())
        except (FtassetsError, OSError) as error:
            context.log.warning(f"whether labels were moved in the registry is not known: {in_one_line(error)}")
        cursor = str(max([seen, *(transition.number for transition in mine)]))
        if not new:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"{_ended(ended)}nothing to report"), cursor=cursor)
        sync_registry(loop, registry, state, journal)
        newest = event(loop, state, journal, f"{new[-1].action} by {new[-1].by}: {new[-1].reason}", control)
        report = dg.AssetMaterialization(
            node(loop.name, "endpoint"),
            metadata=newest["metadata"],
            tags={"dagster/data_version": newest["data_version"].value},
        )
        return dg.SensorResult(asset_events=[report], cursor=cursor)

    return reconcile


def note_rollbacks(
    instance: dg.DagsterInstance, loop: str, serving: Serving, control: Control, traffic_log: TrafficLog, now: float | None = None
) -> None:
    """Write the note of each rollback once the traffic since then tells something, and report it. Raises ServingError, OSError."""
    now = time.time() if now is None else now
    for found in recent_incidents(serving.recent(loop), now, noted(control, loop)):
        looks = [look for look in read_looks(control, loop, found.version) if look.at <= found.transition.at]
        versions = [found.version, *found.transition.state.weights]
        answers = dict.fromkeys(versions, 0)
        for outcome in traffic_log.outcomes(loop, versions, found.transition.at):
            answers[outcome.version] += outcome.count
        incident = replace(found, look=looks[-1] if looks else None, answers=answers)
        if incident.due(now):
            note = incident_note(loop, incident)
            # reported first: a process that is killed in between reports it twice rather than never
            instance.report_runless_asset_event(_observation(loop, incident, note, note_uri(control, loop, incident.transition.number)))
            write_note(control, loop, incident.transition.number, note)


def _observation(loop: str, incident: Incident, note: str, file: str) -> dg.AssetObservation:
    metadata: dict[str, dg.MetadataValue | str] = {
        "incident": dg.MetadataValue.md(note),
        "version": incident.version[:12],
        "by": incident.transition.by,
        "traffic moved": moved_in_short(incident),
        "file": dg.MetadataValue.path(file),
    }
    return dg.AssetObservation(node(loop, "endpoint"), description=incident.transition.reason, metadata=metadata)


def recorded_by_run(transition: Transition) -> bool:
    """Whether a transition needs no record here: staging moves no traffic, and a run records its own."""
    return not transition.moves_traffic or transition.by.startswith("run:")


class Watch:
    """The runs of a loop as one process sees them from tick to tick."""

    def __init__(self, loop: str) -> None:
        self._loop = loop
        self._heard: dict[str, tuple[int, float]] = {}  # by run: its newest line, and when it was first seen here
        self._explained: set[str] = set()  # failed runs with a step that says why

    def end_dead_runs(self, instance: dg.DagsterInstance) -> list[str]:
        """End unfinished runs about the loop whose worker is gone, and what they left running; returns their ids."""
        ended = []
        waiting = self._unfinished(instance)
        for record in waiting:
            finding = ownership.find_worker(instance, record, self._loop, self._silent(instance, record))
            if finding.word is Word.GONE and _end(instance, record.dagster_run.run_id, finding):
                ended.append(record.dagster_run.run_id)
        self._heard = {record.dagster_run.run_id: self._heard[record.dagster_run.run_id] for record in waiting}
        recent = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.now(UTC) - timedelta(days=1))
        for record in instance.get_run_records(recent, limit=50):
            run = record.dagster_run
            if ownership.died(run) or run.run_id in self._explained or not about(instance, run, self._loop):
                continue
            # a code server or launcher that saw its worker die fails the run itself: no step of such a run says why
            if instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records:
                self._explained.add(run.run_id)
                continue
            instance.add_run_tags(run.run_id, {ownership.DIED: "true"})
            _free(instance, run.run_id)
            ended.append(run.run_id)
        return ended

    def _unfinished(self, instance: dg.DagsterInstance) -> list[dg.RunRecord]:
        """Runs about the loop that have left the queue."""
        records = instance.get_run_records(dg.RunsFilter(statuses=BEYOND_THE_QUEUE))
        return [record for record in records if about(instance, record.dagster_run, self._loop)]

    def _silent(self, instance: dg.DagsterInstance, record: dg.RunRecord) -> float:
        """Seconds for which this process has seen no new line in a run's log: clocks of two machines are not compared."""
        now, run_id = time.monotonic(), record.dagster_run.run_id
        number, _ = ownership.last_line(instance, record)
        known, since = self._heard.get(run_id, (-1, now))
        self._heard[run_id] = (number, since if known == number else now)
        return now - self._heard[run_id][1]


def _end(instance: dg.DagsterInstance, run_id: str, finding: Finding) -> bool:
    """End a run whose worker is gone, unless it finished in the meantime: a worker writes its last line before it ends."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, f"{finding.reason}: nothing is left to be cancelled")
    else:
        instance.add_run_tags(run_id, {ownership.DIED: "true"})
        instance.report_run_failed(run, f"{finding.reason}; a run that a sensor started is tried again by itself")
    _free(instance, run_id)
    return True


def _free(instance: dg.DagsterInstance, run_id: str) -> None:
    """End what a dead run left running on this machine, and give back its places in pools: Dagster does so only if set up to."""
    for process in ownership.children_left(run_id):
        process.kill()
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _ended(ended: list[str]) -> str:
    return f"ended dead runs {', '.join(run_id[:8] for run_id in ended)}; " if ended else ""
