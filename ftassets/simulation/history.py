"""What a loop's jobs leave behind in Dagster and the stores, without their work: runs, reports, datasets, versions, transitions."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, DagsterEventType
from dagster._core.test_utils import freeze_time  # no public way to set Dagster's clock
from dagster._core.utils import make_new_run_id

from ftassets.assets._shared.dataset_files import dataset_objects
from ftassets.assets._shared.events import DATA_VERSION, node
from ftassets.assets._shared.run_nodes import LOOP
from ftassets.automation.jobs import endpoint_job_name, retrain_job_name
from ftassets.automation.label_count import COMMIT, UNTIL
from ftassets.automation.ownership import EXECUTES, PID
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.serving.base import Serving
from ftassets.domain.dataset.rows import Example
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition


def at_time(now: float) -> AbstractContextManager[None]:
    """Dagster's clock stands at a time (epoch seconds)."""
    return freeze_time(datetime.fromtimestamp(now, UTC))


class History:
    """Events of one loop in an instance."""

    def __init__(self, instance: dg.DagsterInstance, loop: str, store: DatasetStore) -> None:
        self.instance, self.loop, self.store = instance, loop, store

    def materialized(self, name: str, version: str, **metadata: Any) -> None:
        """An asset of the loop."""
        event = dg.AssetMaterialization(node(self.loop, name), metadata=metadata, tags={DATA_VERSION: version})
        self.instance.report_runless_asset_event(event)

    def ran(self, job: str, status: dg.DagsterRunStatus, tags: Mapping[str, str] | None = None) -> dg.DagsterRun:
        """A run of a loop's job in a status, with the tags and the plan that Dagster gives it."""
        tags = {LOOP: self.loop, **(tags or {})}
        nodes = {retrain_job_name(tags[LOOP]): ("curated_dataset", "adapter"), endpoint_job_name(tags[LOOP]): ("endpoint",)}
        return self.ran_on(*nodes[job], status=status, tags=tags, job=job, loop=tags[LOOP])

    def ran_on(
        self,
        *nodes: str,
        status: dg.DagsterRunStatus,
        tags: Mapping[str, str] | None = None,
        job: str = "__ASSET_JOB",
        loop: str | None = None,
    ) -> dg.DagsterRun:
        """A run of selected assets, which has no tags of a job."""
        run_id, loop = make_new_run_id(), loop or self.loop
        tags = {**(tags or {}), **({EXECUTES: run_id} if tags and PID in tags else {})}
        run = self.instance.add_run(dg.DagsterRun(job_name=job, run_id=run_id, status=status, tags=tags))
        for name in nodes:
            plan = AssetMaterializationPlannedData(node(loop, name))
            event = DagsterEvent.build_asset_materialization_planned_event(job, f"{loop}__{name}", plan)
            self.instance.report_dagster_event(event, run.run_id)
        return run

    def refused(self, tags: Mapping[str, str] | None = None) -> dg.DagsterRun:
        """A retrain that a gate refused."""
        run = self.ran(retrain_job_name(self.loop), dg.DagsterRunStatus.FAILURE, tags)
        verdict = dg.AssetCheckEvaluation(node(self.loop, "eval_report"), "better", passed=False, blocking=True, description="FAIL")
        event = DagsterEvent(DagsterEventType.ASSET_CHECK_EVALUATION.value, run.job_name, event_specific_data=verdict)
        self.instance.report_dagster_event(event, run.run_id)
        return run

    def dataset(self, name: str, rows: Sequence[Example], until: float) -> str:
        """A dataset that read what there is until a time (epoch seconds), committed and reported as the asset does it; its commit."""
        read = self.store.resolve("main")
        files = dataset_objects(self.store, self.loop, {"train": rows}, [], {}, {"made for": name}, name)
        commit = self.store.publish(name, files, name, {"loop": self.loop, UNTIL: repr(until), COMMIT: read}).commit
        self.materialized("curated_dataset", commit, **{UNTIL: dg.MetadataValue.timestamp(until), COMMIT: read})
        return commit


class JournaledServing(Serving):
    """An endpoint without servers: it moves by the real transitions and remembers who asked."""

    def __init__(self, loop: str, clock: Callable[[], float] = time.time) -> None:
        self.loop, self.clock, self.now = loop, clock, EndpointState()
        self.transitions: list[Transition] = []

    def transition(
        self, state: EndpointState, action: str, by: str, reason: str, loop: str | None = None, at: float | None = None
    ) -> EndpointState:
        """Take on a state, with an entry in the journal."""
        self.now = state
        moved = Transition(len(self.transitions) + 1, at or self.clock(), loop or self.loop, action, by, reason, state)
        self.transitions.append(moved)
        return state

    def state(self, loop: str) -> EndpointState:
        return self.now

    def stage(self, loop: str, digest: str, seconds: float) -> str:
        raise NotImplementedError("nothing is served")

    def unstage(self, loop: str, digest: str) -> None:
        raise NotImplementedError("nothing is served")

    def start(self, loop: str, digest: str, weight: int, lease: float, by: str, reason: str) -> EndpointState:
        return self.transition(self.now.start(digest, weight, lease, self.clock()), "start" if weight else "shadow", by, reason)

    def ramp(self, loop: str, weight: int, lease: float, by: str, reason: str, candidate: str | None = None) -> EndpointState:
        action = "promote" if weight == 100 else "start" if self.now.in_shadow else "ramp"
        return self.transition(self.now.ramp(weight, lease, self.clock()), action, by, reason)

    def renew(self, loop: str, lease: float) -> EndpointState:
        return self.now

    def rollback(self, loop: str, by: str, reason: str) -> EndpointState:
        return self.transition(self.now.rollback(self.clock()), "rollback", by, reason)

    def journal(self, after: int = 0) -> list[Transition]:
        return [transition for transition in self.transitions if transition.number > after]

    def newest(self, loop: str, limit: int, before: int | None = None) -> list[Transition]:
        mine: Iterator[Transition] = (t for t in self.transitions[::-1] if t.loop == loop and (before is None or t.number < before))
        return list(mine)[:limit]

    def health(self, loop: str | None = None) -> dict[str, Any]:
        return {"status": "ok", "traffic_log": {"ready": True}, "versions": {}}
