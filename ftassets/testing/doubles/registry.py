"""A model registry in memory, for tests that need one and not MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ftassets.backends.registry.base import RegisteredVersion, Registry, TrackedTraining, UnknownVersion
from ftassets.domain.rollout.registry_labels import Label
from ftassets.domain.training.points import Point


@dataclass
class _Run:
    """One training."""

    loop: str
    tags: dict[str, str]
    status: str = "RUNNING"
    recorded: dict[str, int] = field(default_factory=dict)


class MemoryRegistry(Registry):
    """Versions and runs of one process, gone with it."""

    def __init__(self) -> None:
        self._versions: dict[str, list[RegisteredVersion]] = {}
        self._runs: dict[str, _Run] = {}

    def begin_training(
        self, loop: str, run_name: str, key: str, params: Mapping[str, object], tags: Mapping[str, str], goes_on: bool
    ) -> TrackedTraining:
        mine = tags.get("dagster_run_id")
        unfinished = [
            run_id
            for run_id, run in self._runs.items()
            if run.loop == loop and run.tags["training_key"] == key and run.status != "FINISHED"
            if goes_on or run.tags.get("dagster_run_id") == mine
        ]
        run_id = unfinished[-1] if unfinished else f"run-{len(self._runs) + 1}"
        run = self._runs.setdefault(run_id, _Run(loop, {"training_key": key}))
        run.status = "RUNNING"
        run.tags |= tags
        return TrackedTraining(run_id, dict(run.recorded))

    def log_points(self, run_id: str, points: Sequence[Point]) -> None:
        for point in points:
            self._runs[run_id].recorded |= dict.fromkeys(point.values, point.step)

    def finish_training(
        self, loop: str, run_id: str, run_name: str, metrics: Mapping[str, float], tags: Mapping[str, str], artifacts: Path | None
    ) -> None:
        self._runs[run_id].tags |= tags
        self._runs[run_id].status = "FINISHED"

    def end_training(self, run_id: str, status: Literal["FAILED", "KILLED"], why: str) -> None:
        self._runs[run_id].status = status

    def training_of(self, loop: str, digest: str) -> str | None:
        made = (
            run_id
            for run_id, run in reversed(list(self._runs.items()))
            if run.loop == loop and run.status == "FINISHED" and run.tags.get("digest") == digest
        )
        return next(made, None)

    def log_scores(self, loop: str, digest: str, scores: Mapping[str, float], tags: Mapping[str, str]) -> str | None:
        return self.training_of(loop, digest)

    def register(self, loop: str, name: str, digest: str, run_id: str | None, tags: Mapping[str, str]) -> RegisteredVersion:
        known = self._versions.setdefault(loop, [])
        if digest not in {version.digest for version in known}:
            known.append(RegisteredVersion(loop, str(len(known) + 1), name, digest, dict(tags), ()))
        return self._find(loop, digest)

    def link(self, loop: str, run_id: str) -> str | None:
        return None

    def versions(self, loop: str) -> list[RegisteredVersion]:
        return self._versions.get(loop, [])[::-1]

    def labels(self, loop: str) -> list[Label]:
        return [Label(alias, version.number, version.digest) for version in self.versions(loop) for alias in version.aliases]

    def set_alias(self, loop: str, alias: str, digest: str) -> None:
        found = self._find(loop, digest)
        self.remove_alias(loop, alias)
        self._put(replace(found, aliases=tuple(sorted({*self._find(loop, digest).aliases, alias}))))

    def remove_alias(self, loop: str, alias: str) -> None:
        for version in self.versions(loop):
            self._put(replace(version, aliases=tuple(each for each in version.aliases if each != alias)))

    def tag(self, loop: str, digest: str, tags: Mapping[str, str | None]) -> None:
        found = self._find(loop, digest)
        self._put(replace(found, tags={name: value for name, value in {**found.tags, **tags}.items() if value is not None}))

    def end_runs(self, loop: str, dagster_run_id: str) -> None:
        """Nothing runs in memory."""

    def _find(self, loop: str, digest: str) -> RegisteredVersion:
        for version in self.versions(loop):
            if version.digest == digest:
                return version
        raise UnknownVersion(f"no version of {loop} has the digest {digest}")

    def _put(self, changed: RegisteredVersion) -> None:
        self._versions[changed.loop] = [changed if each.digest == changed.digest else each for each in self._versions[changed.loop]]
