"""Runs and versions in MLflow on SQLite, artefacts in a folder. Only MlflowClient is used: nothing global is set or left active."""

import logging
import os
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filelock import FileLock

from ftassets.backends.registry.base import RegisteredVersion, Registry, RegistryUnreachable, TrackedTraining, UnknownVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


import requests

from ftassets.config.server_url import server_url
from ftassets.domain.release.version import version_note
from ftassets.domain.rollout.registry_labels import Label
from ftassets.domain.training.points import Point
from ftassets.durable import sync_folder
from ftassets.errors import StateDamaged, in_one_line

ADAPTER = "adapter"  # artefact path of a run's files
_NOTE = "mlflow.note.content"  # tag that MLflow shows as a run's description
_PARENT = "mlflow.parentRunId"  # tag by which MLflow shows a run inside another one
_KEY = "training_key"  # tag of a training's run: what names the training among all
_SQLITE = "sqlite:///"
_BATCH = {"metrics": 1000, "params": 100}  # MLflow's limits of one call


class MlflowRegistry(Registry):
    """One experiment and one registered model for each loop, both under the loop's name.

    `tracking_uri` is `sqlite:///...`; its tables are made at first use, which takes a few seconds. The first call of a process raises
    StateDamaged when the database cannot be used.
    """

    def __init__(self, tracking_uri: str, artifacts: Path) -> None:
        self.tracking_uri = tracking_uri
        self._artifacts = artifacts
        self._database = Path(tracking_uri.removeprefix(_SQLITE))
        self._opened: MlflowClient | None = None

    def check(self) -> str:
        """Where the registry is, in words; fast, because MLflow is not imported. Raises StateDamaged."""
        if not self._has_tables():
            return f"MLflow in {self._database}, which is made at the first use"
        try:
            # not read-only: SQLite must be able to undo a write that a kill cut off
            with closing(sqlite3.connect(f"{self._database.resolve().as_uri()}?mode=rw", uri=True)) as connection:
                half = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '\\_alembic\\_tmp\\_%' ESCAPE '\\'").fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        if half:
            raise self._unusable(f"making its tables was interrupted at {half[0]}")
        return f"MLflow in {self._database}"

    def begin_training(
        self, loop: str, run_name: str, key: str, params: Mapping[str, object], tags: Mapping[str, str], goes_on: bool
    ) -> TrackedTraining:
        from mlflow.entities import Param, RunTag

        client = self._client()
        with self._lock():
            experiment = self.experiment(loop)
            run_id = self._unfinished(experiment, key, None if goes_on else tags.get("dagster_run_id"))
            recorded: dict[str, int] = {}
            if run_id is None:
                run_id = client.create_run(experiment, run_name=run_name, tags={_KEY: key}).info.run_id
            else:
                client.update_run(run_id, status="RUNNING")
                for name in client.get_run(run_id).data.metrics:
                    recorded[name] = max(metric.step for metric in client.get_metric_history(run_id, name))
            known = client.get_run(run_id).data.params
            settings = [Param(name, str(value)) for name, value in params.items() if name not in known]
            dagster_run = self._dagster_run(experiment, tags.get("dagster_run_id"))
            told = {**tags, _NOTE: version_note(tags), **({_PARENT: dagster_run} if dagster_run else {})}
            client.log_batch(run_id, tags=[RunTag(name, value) for name, value in told.items()])
            for start in range(0, len(settings), _BATCH["params"]):
                client.log_batch(run_id, params=settings[start : start + _BATCH["params"]])
        return TrackedTraining(run_id, recorded)

    def log_points(self, run_id: str, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(name, value, int(point.at * 1000), point.step) for point in points for name, value in point.values.items()]
        for start in range(0, len(metrics), _BATCH["metrics"]):
            self._client().log_batch(run_id, metrics=metrics[start : start + _BATCH["metrics"]])

    def finish_training(
        self, loop: str, run_id: str, run_name: str, metrics: Mapping[str, float], tags: Mapping[str, str], artifacts: Path | None
    ) -> None:
        from mlflow.entities import RunTag

        client = self._client()
        now = time.time()
        self.log_points(run_id, [Point(0, metrics, now)])
        told = {**tags, _NOTE: version_note({**client.get_run(run_id).data.tags, **tags})}
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in told.items()])
        if artifacts is not None:
            client.log_artifacts(run_id, str(artifacts), ADAPTER)
        client.update_run(run_id, name=run_name)
        client.set_terminated(run_id, "FINISHED")

    def end_training(self, run_id: str, status: Literal["FAILED", "KILLED"], why: str) -> None:
        self._client().set_tag(run_id, "ended_because", why)
        self._client().set_terminated(run_id, status)

    def training_of(self, loop: str, digest: str) -> str | None:
        finished = f"tags.digest = '{digest}' and attributes.status = 'FINISHED'"
        runs = self._client().search_runs([self.experiment(loop)], finished, max_results=1)
        return runs[0].info.run_id if runs else None

    def log_scores(self, loop: str, digest: str, scores: Mapping[str, float], tags: Mapping[str, str]) -> str | None:
        run_id = self.training_of(loop, digest)
        if run_id is not None:
            self.log_points(run_id, [Point(0, {_metric(name): value for name, value in scores.items()}, time.time())])
            for name, value in tags.items():
                self._client().set_tag(run_id, name, value)
        return run_id

    def _unfinished(self, experiment: str, key: str, dagster_run: str | None) -> str | None:
        """Run id of the newest training of this key that did not finish, of this Dagster run if one is named."""
        wanted = f"tags.{_KEY} = '{key}' and attributes.status != 'FINISHED'"
        wanted += f" and tags.dagster_run_id = '{dagster_run}'" if dagster_run else ""
        runs = self._client().search_runs([experiment], wanted, max_results=1)
        return runs[0].info.run_id if runs else None

    def _dagster_run(self, experiment: str, dagster_run: str | None) -> str | None:
        """Run id of what stands for a whole Dagster run, which dagster-mlflow made, if there is one."""
        if dagster_run is None:
            return None
        runs = self._client().search_runs([experiment], f"tags.dagster_run_id = '{dagster_run}'")
        return next((run.info.run_id for run in runs if _KEY not in run.data.tags), None)

    def register(self, loop: str, name: str, digest: str, run_id: str | None, tags: Mapping[str, str]) -> RegisteredVersion:
        client = self._client()
        with self._lock():
            try:
                return self._version(loop, digest)
            except UnknownVersion:
                pass
            if not client.search_registered_models(f"name = '{loop}'"):
                client.create_registered_model(loop, description=f"Versions of loop `{loop}` that were released or adopted.")
            run_id = run_id or self.training_of(loop, digest)
            known = {**tags, "name": name, "digest": digest}
            source = f"runs:/{run_id}/{ADAPTER}" if run_id else f"urn:/sha256/{digest}"  # a server takes no source without an absolute path
            client.create_model_version(loop, source, run_id=run_id, tags=known, description=version_note(known))
            return self._version(loop, digest)

    def link(self, loop: str, run_id: str) -> str | None:
        """None: a database has no pages."""
        return None

    def versions(self, loop: str) -> list[RegisteredVersion]:
        """All versions of a loop that carry a digest, newest first; a version made by hand has no digest and is left out."""
        found, aliases = self._registered(loop)
        return [
            RegisteredVersion(
                loop=loop,
                number=str(version.version),
                name=version.tags.get("name", ""),
                digest=version.tags["digest"],
                tags=dict(version.tags),
                aliases=tuple(sorted(alias for alias, number in aliases.items() if int(number) == int(version.version))),
            )
            for version in sorted(found, key=lambda version: int(version.version), reverse=True)
            if "digest" in version.tags
        ]

    def labels(self, loop: str) -> list[Label]:
        found, aliases = self._registered(loop)
        digests = {str(version.version): version.tags.get("digest") for version in found}
        stages = [(str(version.current_stage), str(version.version)) for version in found if version.current_stage not in (None, "None")]
        return [
            *(Label(alias, str(number), digests.get(str(number))) for alias, number in sorted(aliases.items())),
            *(Label(stage, number, digests[number], stage=True) for stage, number in sorted(stages)),
        ]

    def _registered(self, loop: str) -> "tuple[list[ModelVersion], dict[str, str]]":
        """All versions of a loop, also those made by hand, and the number of the version that has an alias."""
        client = self._client()
        if not client.search_registered_models(f"name = '{loop}'"):
            return [], {}
        aliases = client.get_registered_model(loop).aliases  # a search for versions leaves aliases out
        found, token = list["ModelVersion"](), None
        while True:
            page = client.search_model_versions(f"name = '{loop}'", page_token=token)
            found += page
            token = page.token
            if not token:
                return found, aliases

    def set_alias(self, loop: str, alias: str, digest: str) -> None:
        self._client().set_registered_model_alias(loop, alias, self._version(loop, digest).number)

    def remove_alias(self, loop: str, alias: str) -> None:
        self._client().delete_registered_model_alias(loop, alias)

    def tag(self, loop: str, digest: str, tags: Mapping[str, str | None]) -> None:
        client, version = self._client(), self._version(loop, digest)
        for name, value in tags.items():
            if value is not None:
                client.set_model_version_tag(loop, version.number, name, value)
            elif name in version.tags:
                client.delete_model_version_tag(loop, version.number, name)

    def end_runs(self, loop: str, dagster_run_id: str) -> None:
        experiment = self._client().get_experiment_by_name(loop)
        if experiment is None:
            return
        left = f"tags.dagster_run_id = '{dagster_run_id}' and attributes.status = 'RUNNING'"
        for run in self._client().search_runs([experiment.experiment_id], left):
            self._client().set_terminated(run.info.run_id, "KILLED")

    def _version(self, loop: str, digest: str) -> RegisteredVersion:
        for version in reversed(self.versions(loop)):
            if version.digest == digest:
                return version
        raise UnknownVersion(f"{loop} has no registered version {digest[:12]}")

    def experiment(self, loop: str) -> str:
        """Id of the loop's experiment, created with its artefacts below this home when it is new."""
        known = self._client().get_experiment_by_name(loop)
        if known is not None:
            return known.experiment_id
        return self._client().create_experiment(loop, artifact_location=(self._artifacts.resolve() / loop).as_uri())

    def _client(self) -> "MlflowClient":
        if self._opened is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at import: nothing leaves the machine unasked
            with self._lock():  # two processes must not make the tables at once
                self._opened = self._open()
        return self._opened

    def _open(self) -> "MlflowClient":
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if not self._has_tables():
                self._make_tables()
            self.check()  # MLflow tries for minutes to open what is no database
            self._follow_home()
            return self._connect()
        except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
            raise self._unusable(getattr(error, "orig", None) or error) from error

    def _connect(self) -> "MlflowClient":
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)
        client.search_experiments(max_results=1)
        return client

    def _follow_home(self) -> None:
        """MLflow stores where artefacts are as absolute paths: in a home that was moved or copied they lead to this home's again."""
        here = self._artifacts.resolve().as_uri()
        with closing(sqlite3.connect(self._database)) as connection, connection:
            (default,) = connection.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone() or (None,)
            before = (default or here).removesuffix("/0")
            if before != here:
                for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                    moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                    connection.execute(moved, (here, len(before) + 1, len(before) + 1, f"{before}/"))

    def _has_tables(self) -> bool:
        return self._database.exists() and self._database.stat().st_size > 0

    def _make_tables(self) -> None:
        """MLflow makes its tables in many steps and cannot resume: a file gets the database's name once it has all of them."""
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # two lines of it would stand before a command's result
        self._database.parent.mkdir(parents=True, exist_ok=True)
        new = self._database.with_name(f".{self._database.name}.new")
        for leftover in self._database.parent.glob(f"{new.name}*"):  # of a process that was killed, with its journal
            leftover.unlink()
        store = SqlAlchemyStore(f"{_SQLITE}{new}", self._artifacts.resolve().as_uri())
        store.engine.dispose()  # a connection would keep the file's old name
        new.replace(self._database)
        sync_folder(self._database.parent)

    def _unusable(self, why: object) -> StateDamaged:
        reason = in_one_line(why) if isinstance(why, BaseException) else why
        return StateDamaged(
            f"the registry {self._database} cannot be used ({reason}): check that this user may write it and no other program holds it; "
            "if it is damaged, restore a copy of it, or move it away to start with an empty registry"
        )

    def _lock(self) -> FileLock:
        self._artifacts.mkdir(parents=True, exist_ok=True)
        return FileLock(self._artifacts / "registry.lock")


def _metric(name: str) -> str:
    """The name with what MLflow does not take in names of metrics replaced: a slice may be called as people like."""
    return re.sub(r"[^\w.\-/ :]", "_", name)


CHECK_SECONDS = 5.0
RETRY_PAUSES = (0.5, 2.0, 8.0)  # seconds


class MlflowServerRegistry(MlflowRegistry):
    """As on one machine, but for the place of the artefacts; `locks` is a local folder where this machine's processes take turns.

    The first call of a process raises RegistryUnreachable when the server does not answer within some seconds.
    """

    def __init__(self, tracking_uri: str, locks: Path) -> None:
        super().__init__(server_url("MLFLOW_TRACKING_URI", tracking_uri), locks)

    def _client(self) -> "MlflowClient":
        if self._opened is None:  # MLflow's own client tries for minutes before it says so
            for pause in (*RETRY_PAUSES, None):
                try:
                    self.check()
                    break
                except RegistryUnreachable:
                    if pause is None:
                        raise
                    time.sleep(pause)
        return super()._client()

    def _open(self) -> "MlflowClient":
        return self._connect()  # the tables are the server's affair

    def check(self) -> str:
        """What answers, in words. Raises RegistryUnreachable."""
        try:
            answer = requests.get(f"{self.tracking_uri}/health", timeout=CHECK_SECONDS)
        except requests.RequestException as error:
            raise RegistryUnreachable(
                f"no answer from MLflow at {self.tracking_uri}: see that it runs and MLFLOW_TRACKING_URI is right"
            ) from error
        if answer.text != "OK":
            raise RegistryUnreachable(f"{self.tracking_uri}/health answers {answer.status_code}: is MLFLOW_TRACKING_URI an MLflow server?")
        return f"MLflow at {self.tracking_uri}"

    def link(self, loop: str, run_id: str) -> str | None:
        """The run's page on the server."""
        return f"{self.tracking_uri}/#/experiments/{self.experiment(loop)}/runs/{run_id}"

    def experiment(self, loop: str) -> str:
        """Id of the loop's experiment, created where the server keeps artefacts when it is new."""
        client = self._client()
        known = client.get_experiment_by_name(loop)
        return known.experiment_id if known is not None else client.create_experiment(loop)
