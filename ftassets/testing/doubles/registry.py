"""A model registry in memory, for tests that need one and not MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ftassets.backends.registry.base import RegisteredVersion, Registry, UnknownVersion


class MemoryRegistry(Registry):
    """Versions and runs of one process, gone with it."""

    def __init__(self) -> None:
        self._versions: dict[str, list[RegisteredVersion]] = {}
        self._runs: dict[tuple[str, str], str] = {}  # (loop, digest) -> run id

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
        return self._runs.setdefault((loop, tags["digest"]), f"run-{len(self._runs) + 1}")

    def register(self, loop: str, name: str, digest: str, run_id: str | None, tags: Mapping[str, str]) -> RegisteredVersion:
        known = self._versions.setdefault(loop, [])
        if digest not in {version.digest for version in known}:
            known.append(RegisteredVersion(loop, str(len(known) + 1), name, digest, dict(tags), ()))
        return self._find(loop, digest)

    def link(self, loop: str, run_id: str) -> str | None:
        return None

    def versions(self, loop: str) -> list[RegisteredVersion]:
        return self._versions.get(loop, [])[::-1]

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
