"""Versions by name, with aliases; and the metrics of the runs that made them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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


class Registry(ABC):
    """Model registry. An alias is a label for people; what may take traffic is decided by attestations, never by an alias."""

    @abstractmethod
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
        """Record one training: returns the tracker's run id. `curve` is (step, loss). `tags["digest"]` makes it idempotent."""

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
        """Mark as failed what the tracker still shows as running for a Dagster run that died; nothing happens if there is nothing."""
