"""Signed statements: for each version of a loop its release, a person's approval, and an override."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal

from ftassets.backends.control.base import Control
from ftassets.backends.signer.base import SignatureInvalid, Signed, Signer
from ftassets.config.loop import LoopConfig
from ftassets.domain.release.approval import Approval, Override, approval_objections, read_approval, read_override
from ftassets.domain.release.attestation import PREDICATE_TYPE, objections
from ftassets.domain.release.statement import payload_of, read_statement
from ftassets.errors import FtassetsError, InvalidInput

Kind = Literal["release", "approval", "override"]
SUFFIXES: dict[Kind, str] = {"release": ".dsse.json", "approval": ".approval.dsse.json", "override": ".override.dsse.json"}
FOLDER, REPLACED = "releases", "replaced"


class NotApproved(FtassetsError):
    """The version has no valid approval for this report; the message says how to give one."""


class StatementMissing(FtassetsError):
    """A version has no signed statement of a kind."""


def reports_of_releases(control: Control, loop: str) -> Iterator[tuple[str, str]]:
    """Versions, and digests of the reports they were released on, by what their envelopes say, whoever signed them. Raises OSError.

    Versions that were adopted have none, and envelopes that cannot be read are left out.
    """
    return ((version, str(said["report_digest"])) for version, said in _said(control, loop) if "report_digest" in said)


def adopted_versions(control: Control, loop: str) -> Iterator[str]:
    """Versions that were taken into the loop as they were, by what their envelopes say, whoever signed them. Raises OSError."""
    return (version for version, said in _said(control, loop) if said.get("adopted"))


def _said(control: Control, loop: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Versions with the predicates of their releases; those that cannot be read are left out."""
    for version in _versions(control, loop, "release"):
        with suppress(InvalidInput):
            yield version, read_statement(payload_of(control.read(_key(loop, version, "release")) or b""))[2]


def signed_objections(
    signed: Signed, loop: str, version: str, files: Mapping[str, str], generation: Mapping[str, float | int], at: float, first: bool = False
) -> list[str]:
    """Why what was signed does not let a version gain traffic at a time (epoch seconds); empty means it does. See `objections`."""
    revoked = [] if signed.revoked is None else [f"its key {signed.key_id[:12]} was revoked: {signed.revoked}"]
    return revoked + objections(signed.payload, loop, version, files, generation, at, first)


class Releases:
    """Envelopes `releases/LOOP/VERSION` with a suffix for each kind; one that is replaced is kept in `releases/LOOP/replaced`."""

    def __init__(self, control: Control, signer: Signer) -> None:
        self._control = control
        self._signer = signer

    def uri(self, loop: str, version: str, kind: Kind = "release") -> str:
        """Where an envelope is, or would be."""
        return self._control.uri(_key(loop, version, kind))

    def file(self, loop: str, version: str, kind: Kind = "release") -> str:
        """Its path below the home, or below the place that takes the home's part."""
        return _key(loop, version, kind)

    def versions(self, loop: str, kind: Kind = "release") -> list[str]:
        """Versions that have an envelope of a kind."""
        return _versions(self._control, loop, kind)

    def read(self, loop: str, version: str, kind: Kind = "release") -> Signed:
        """An envelope with a right signature, whether or not its key was revoked. Raises StatementMissing, SignatureInvalid, OSError."""
        return self._signer.open(self.envelope(loop, version, kind))

    def payload(self, loop: str, version: str, kind: Kind = "release") -> bytes:
        """What a trusted key signed. Raises StatementMissing, SignatureInvalid (also when the key was revoked), OSError."""
        return self._signer.verify(self.envelope(loop, version, kind))

    def statements(self, loop: str, version: str, kind: Kind = "release") -> Iterator[Signed]:
        """All envelopes of a version of a kind with a right signature, also those that were replaced, in any order. Raises OSError."""
        folder, end = f"{FOLDER}/{loop}/{REPLACED}", f"-{version}{SUFFIXES[kind]}"
        replaced = (f"{folder}/{name}" for name in self._control.names(folder) if name.endswith(end))
        for content in map(self._control.read, (_key(loop, version, kind), *replaced)):
            if content is not None:
                with suppress(SignatureInvalid):
                    yield self._signer.open(content)

    def write(self, loop: str, version: str, kind: Kind, payload: bytes) -> str:
        """Sign and store a statement; the one it replaces is kept. Returns where it is. Raises CannotSign, OSError."""
        key = _key(loop, version, kind)
        envelope = self._signer.sign(payload)
        if (before := self._control.read(key)) is not None:
            self._control.write(f"{FOLDER}/{loop}/{REPLACED}/{time.time_ns()}-{version}{SUFFIXES[kind]}", before)
        self._control.write(key, envelope)
        return self._control.uri(key)

    def newest(self, loop: str) -> str | None:
        """The version whose release was signed last, by what the statements say; those that do not verify do not count."""
        issued = {}
        for version in self.versions(loop):
            try:
                kind, _, predicate = read_statement(self.payload(loop, version))
            except (StatementMissing, SignatureInvalid, ValueError):
                continue
            if kind == PREDICATE_TYPE:
                issued[version] = predicate.get("issued_at", 0)
        return max(issued, key=lambda version: issued[version], default=None)

    def approval(self, loop: LoopConfig, version: str, report_digest: str) -> Approval:
        """The valid yes to a version on a report. Raises NotApproved."""
        how = f"ftassets approve {loop.name} {version[:12]} --name NAME --reason TEXT"
        try:
            approval = read_approval(self.payload(loop.name, version, "approval"))
        except StatementMissing as error:
            raise NotApproved(f"version {version[:12]} waits for approval: {how}") from error
        except (SignatureInvalid, ValueError) as error:
            raise NotApproved(f"the approval of version {version[:12]} does not count: {error}; {how}") from error
        if why := approval_objections(approval, loop.name, version, report_digest, loop.release):
            raise NotApproved(f"the approval of version {version[:12]} does not count: {'; '.join(why)}; {how}")
        return approval

    def override(self, loop: str, version: str) -> Override | None:
        """The signed override of a version, None without one. Raises SignatureInvalid, ValueError."""
        try:
            return read_override(self.payload(loop, version, "override"))
        except StatementMissing:
            return None

    def approvals(self, loop: str) -> Iterator[Approval]:
        """All approvals of a loop that verify."""
        for version in self.versions(loop, "approval"):
            try:
                yield read_approval(self.payload(loop, version, "approval"))
            except (StatementMissing, SignatureInvalid, ValueError):
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

    def envelope(self, loop: str, version: str, kind: Kind = "release") -> bytes:
        """An envelope as it is stored, whoever signed it. Raises StatementMissing, OSError."""
        content = self._control.read(_key(loop, version, kind))
        if content is None:
            raise StatementMissing(f"there is no {kind} of version {version[:12]} of {loop}: {self.uri(loop, version, kind)} is not there")
        return content


def _versions(control: Control, loop: str, kind: Kind) -> list[str]:
    names = [name.partition(".") for name in control.names(f"{FOLDER}/{loop}")]
    return sorted(version for version, dot, rest in names if dot + rest == SUFFIXES[kind])


def _key(loop: str, version: str, kind: Kind) -> str:
    return f"{FOLDER}/{loop}/{version}{SUFFIXES[kind]}"
