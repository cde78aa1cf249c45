"""Signed statements on disk: for each version of a loop its release, the yes of a person, and an override."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ftassets.backends.signer.base import SignatureInvalid, Signed, Signer
from ftassets.config.loop import LoopConfig
from ftassets.domain.release.approval import Approval, Override, approval_objections, read_approval, read_override
from ftassets.domain.release.attestation import PREDICATE_TYPE
from ftassets.domain.release.statement import read_statement
from ftassets.durable import write_durably

Kind = Literal["release", "approval", "override"]
SUFFIXES: dict[Kind, str] = {"release": ".dsse.json", "approval": ".approval.dsse.json", "override": ".override.dsse.json"}
REPLACED = "replaced"


class NotApproved(Exception):
    """Nobody who may has said yes to this version on this report; the message says how."""


class Releases:
    """Envelopes below one folder, `LOOP/VERSION` with a suffix for each kind; one that is replaced is kept in `LOOP/replaced`."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self._folder = folder
        self._signer = signer

    def path(self, loop: str, version: str, kind: Kind = "release") -> Path:
        """Where an envelope is, or would be."""
        return self._folder / loop / f"{version}{SUFFIXES[kind]}"

    def versions(self, loop: str, kind: Kind = "release") -> list[str]:
        """Versions that have an envelope of a kind."""
        names = [path.name.split(".", 1) for path in (self._folder / loop).glob("*.dsse.json")]
        return sorted(stem for stem, rest in names if f".{rest}" == SUFFIXES[kind])

    def read(self, loop: str, version: str, kind: Kind = "release") -> Signed:
        """An envelope with a right signature, whether or not its key was revoked. Raises FileNotFoundError, SignatureInvalid."""
        return self._signer.open(self.path(loop, version, kind).read_bytes())

    def write(self, loop: str, version: str, kind: Kind, payload: bytes) -> Path:
        """Sign and store a statement; the one it replaces is kept. Raises CannotSign, OSError."""
        path = self.path(loop, version, kind)
        envelope = self._signer.sign(payload)
        if path.exists():
            write_durably(path.parent / REPLACED / f"{time.time_ns()}-{path.name}", path.read_bytes())
        write_durably(path, envelope)
        return path

    def newest(self, loop: str) -> str | None:
        """The version whose release was signed last, by what the statements say; those that do not verify do not count."""
        issued = {}
        for version in self.versions(loop):
            try:
                kind, _, predicate = read_statement(self._signer.verify(self.path(loop, version).read_bytes()))
            except (SignatureInvalid, ValueError):
                continue
            if kind == PREDICATE_TYPE:
                issued[version] = predicate.get("issued_at", 0)
        return max(issued, key=lambda version: issued[version], default=None)

    def approval(self, loop: LoopConfig, version: str, report_digest: str) -> Approval:
        """The valid yes to a version on a report. Raises NotApproved."""
        how = f"ftassets approve {loop.name} {version[:12]} --name NAME --reason TEXT"
        try:
            approval = read_approval(self._signer.verify(self.path(loop.name, version, "approval").read_bytes()))
        except FileNotFoundError as error:
            raise NotApproved(f"version {version[:12]} waits for a yes: {how}") from error
        except (SignatureInvalid, ValueError) as error:
            raise NotApproved(f"the approval of version {version[:12]} does not count: {error}; {how}") from error
        if why := approval_objections(approval, loop.name, version, report_digest, loop.release):
            raise NotApproved(f"the approval of version {version[:12]} does not count: {'; '.join(why)}; {how}")
        return approval

    def override(self, loop: str, version: str) -> Override | None:
        """The signed override of a version, None when there is none. Raises SignatureInvalid, ValueError."""
        try:
            return read_override(self._signer.verify(self.path(loop, version, "override").read_bytes()))
        except FileNotFoundError:
            return None

    def approvals(self, loop: str) -> Iterator[Approval]:
        """All approvals of a loop that verify."""
        for version in self.versions(loop, "approval"):
            try:
                yield read_approval(self._signer.verify(self.path(loop, version, "approval").read_bytes()))
            except (SignatureInvalid, ValueError):
                continue

    def overrides(self, loop: str) -> Iterator[Override]:
        """All overrides of a loop that verify, expired ones too."""
        for version in self.versions(loop, "override"):
            try:
                found = self.override(loop, version)
            except (SignatureInvalid, ValueError):
                continue
            if found is not None:
                yield found
