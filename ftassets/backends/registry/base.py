"""Versions by name, with aliases; and the metrics of the runs that made them."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ftassets.domain.rollout.registry_labels import Label
from ftassets.domain.training.points import LOSS, Point
from ftassets.errors import FtassetsError, ServerUnreachable


class UnknownVersion(FtassetsError):
    """The registry has no version with this digest."""


class RegistryUnreachable(ServerUnreachable):
    """The registry's server does not answer; the message has its address and what to check."""


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a loop in the registry."""

    loop: str
    number: str
    name: str  # {base_model}-{dataset_version}-{date}-{digest}
    digest: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class TrackedTraining:
    """A training in the tracker: its run, and the last step that is recorded of each metric."""

    run_id: str
    recorded: Mapping[str, int]


class Registry(ABC):
    """Model registry. An alias is a label for people; what may take traffic is decided by attestations, never by an alias."""

    @abstractmethod
    def begin_training(
        self, loop: str, run_name: str, key: str, params: Mapping[str, object], tags: Mapping[str, str], goes_on: bool
    ) -> TrackedTraining:
        """Record that a training runs, from its start on. `key` names it among all: dataset, base and recipe.

        The run of the same key and Dagster run (`tags["dagster_run_id"]`), or with `goes_on` the newest of the same key, is taken up
        again unless it finished.
        """

    @abstractmethod
    def log_points(self, run_id: str, points: Sequence[Point]) -> None:
        """Add numbers of a running training; None of them may be recorded already."""

    @abstractmethod
    def finish_training(
        self, loop: str, run_id: str, run_name: str, metrics: Mapping[str, float], tags: Mapping[str, str], artifacts: Path | None
    ) -> None:
        """Record what a training made: `tags["digest"]` names the version, `artifacts` is its adapter's folder."""

    @abstractmethod
    def end_training(self, run_id: str, status: Literal["FAILED", "KILLED"], why: str) -> None:
        """Record that a training ended without a version."""

    @abstractmethod
    def training_of(self, loop: str, digest: str) -> str | None:
        """Run id of the newest finished training that made a version."""

    @abstractmethod
    def log_scores(self, loop: str, digest: str, scores: Mapping[str, float], tags: Mapping[str, str]) -> str | None:
        """Add an evaluation to the run of the training that made the version; its run id, None without such a run."""

    def log_training(
        self,
        loop: str,
        run_name: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        curve: Sequence[tuple[int, float]],
        tags: Mapping[str, str],
        artifacts: Path | None,
    ) -> str:
        """Record a training that is over, once per `tags["digest"]`: returns the tracker's run id. `curve` is (step, loss)."""
        digest, now = tags["digest"], time.time()
        if known := self.training_of(loop, digest):
            return known
        training = self.begin_training(loop, run_name, digest, params, tags, goes_on=True)
        new = [Point(step, {LOSS: loss}, now) for step, loss in curve if step > training.recorded.get(LOSS, -1)]
        self.log_points(training.run_id, new)
        self.finish_training(loop, training.run_id, run_name, metrics, tags, artifacts)
        return training.run_id

    @abstractmethod
    def register(self, loop: str, name: str, digest: str, run_id: str | None, tags: Mapping[str, str]) -> RegisteredVersion:
        """Register a version once per digest: a second call returns the first's version.

        Its artefacts are those of `run_id`, without one those of the training recorded under the digest.
        """

    @abstractmethod
    def link(self, loop: str, run_id: str) -> str | None:
        """Address of a recorded training's page; None where no page can be opened."""

    @abstractmethod
    def versions(self, loop: str) -> list[RegisteredVersion]:
        """All versions of a loop, newest first."""

    @abstractmethod
    def labels(self, loop: str) -> list[Label]:
        """All aliases and stages of a loop's versions, whoever set them; none without a registered version."""

    @abstractmethod
    def set_alias(self, loop: str, alias: str, digest: str) -> None:
        """Move an alias (candidate, staging, production). Raises UnknownVersion for an unknown digest."""

    @abstractmethod
    def remove_alias(self, loop: str, alias: str) -> None:
        """Take an alias away; nothing happens when no version has it."""

    @abstractmethod
    def tag(self, loop: str, digest: str, tags: Mapping[str, str | None]) -> None:
        """Set tags of a version; None takes a tag away. Raises UnknownVersion for an unknown digest."""

    @abstractmethod
    def end_runs(self, loop: str, dagster_run_id: str) -> None:
        """Mark as killed what the tracker still shows as running for a Dagster run that died; nothing happens if there is nothing."""
