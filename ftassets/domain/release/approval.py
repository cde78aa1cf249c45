"""Approvals of a release, and overrides that let a version out for a limited time despite named failed gates."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ftassets.config.loop import Release
from ftassets.domain.release.statement import read_statement, write_statement
from ftassets.errors import FtassetsError, InvalidInput

APPROVAL_TYPE = "urn:ftassets:approval:v1"
OVERRIDE_TYPE = "urn:ftassets:override:v1"
PASS = "PASS"


class NotAllowed(FtassetsError):
    """The person's role does not permit this approval or override; the message says what to change in the loop file."""


class Approval(BaseModel):
    """Approval of one version on the evidence of one report. Times are epoch seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loop: str
    version: str = Field(min_length=1)
    report_digest: str = Field(min_length=1)
    name: str
    role: str
    reason: str = Field(min_length=1, max_length=500)
    issued_at: int

    @property
    def sentence(self) -> str:
        """Name, role and reason, for journals."""
        return f"approved by {self.name} ({self.role}): {self.reason}"


class Override(Approval):
    """A release in spite of gates, each with the verdict that is overridden, until `expires_at`."""

    gates: dict[str, str] = Field(min_length=1)
    expires_at: int

    @property
    def sentence(self) -> str:
        """Name, role, overridden gates and reason, for journals."""
        return f"{', '.join(self.gates)} overridden by {self.name} ({self.role}): {self.reason}"


def role_of(name: str, rules: Release, what: Literal["approve", "override"]) -> str:
    """The role with which a person may approve or override. Raises NotAllowed."""
    allowed = rules.approve if what == "approve" else rules.override
    role = rules.people.get(name)
    if role is None:
        raise NotAllowed(f"{name} is not among release.people of the loop file: add a line such as `{name}: ROLE`, ROLE one of {allowed}")
    if role not in allowed:
        raise NotAllowed(f"{name} is {role}, and release.{what} of the loop file holds {allowed}: add {role} to it, or ask one of those")
    return role


def approval_statement(approval: Approval) -> bytes:
    """The bytes to sign."""
    return _statement(APPROVAL_TYPE, approval)


def override_statement(override: Override) -> bytes:
    """The bytes to sign."""
    return _statement(OVERRIDE_TYPE, override)


def read_approval(payload: bytes) -> Approval:
    """The approval in a verified payload. Raises InvalidInput."""
    return Approval.model_validate(_predicate(APPROVAL_TYPE, payload))


def read_override(payload: bytes) -> Override:
    """The override in a verified payload. Raises InvalidInput."""
    return Override.model_validate(_predicate(OVERRIDE_TYPE, payload))


def consent_objections(approval: Approval, loop: str, version: str, report_digest: str) -> list[str]:
    """Why an approval is not of this version and report, whoever gave it; empty means it is."""
    return _objections(approval, loop, version, report_digest)


def approval_objections(approval: Approval, loop: str, version: str, report_digest: str, rules: Release) -> list[str]:
    """Why an approval does not count for this version and report; empty means it does. `rules` are those of the loop file now."""
    return _objections(approval, loop, version, report_digest) + _not_entitled(approval, rules, "approve")


def override_objections(
    override: Override, loop: str, version: str, report_digest: str, verdicts: Mapping[str, str], now: float
) -> list[str]:
    """Why verdicts other than PASS are not all forgiven; empty means they are.

    A gate is forgiven only by its name and with the verdict the person saw: one that got worse since blocks again.
    """
    why = _objections(override, loop, version, report_digest)
    if now >= override.expires_at:
        why.append("the override has expired")
    for gate, verdict in sorted(verdicts.items()):
        if verdict != PASS and override.gates.get(gate) != verdict:
            why.append(f"the override does not name {gate} with its verdict {verdict}")
    return why


def entitled(override: Override, rules: Release) -> list[str]:
    """Why the person may not override by the rules of the loop file as they are now; empty means they may."""
    return _not_entitled(override, rules, "override")


def still_blocked(refused: Mapping[str, str], evaluated: Sequence[str], override: Override | None) -> dict[str, str]:
    """Gates that block a release, with the reason: all failed gates except those that an override names.

    `evaluated` are the failed gates that were evaluated for the newest report. Only these can be overridden: the others
    have no verdict yet.
    """
    forgiven = set(evaluated) & (override.gates.keys() if override else set())
    return {gate: reason for gate, reason in refused.items() if gate not in forgiven}


def _objections(said: Approval, loop: str, version: str, report_digest: str) -> list[str]:
    kind = type(said).__name__.lower()
    why = []
    if said.loop != loop:
        why.append(f"the {kind} is for loop {said.loop!r}, not {loop!r}")
    if said.version != version:
        why.append(f"the {kind} is for version {said.version[:12]}, not {version[:12]}")
    if said.report_digest != report_digest:
        why.append(f"the {kind} is for report {said.report_digest[:12]}, not {report_digest[:12]}")
    return why


def _not_entitled(said: Approval, rules: Release, what: Literal["approve", "override"]) -> list[str]:
    try:
        role = role_of(said.name, rules, what)
    except NotAllowed as error:
        return [str(error)]
    return [] if role == said.role else [f"{said.name} signed as {said.role} and is {role} in the loop file"]


def _statement(kind: str, said: Approval) -> bytes:
    return write_statement(kind, {"version": said.version, "report": said.report_digest}, said.model_dump())


def _predicate(kind: str, payload: bytes) -> dict:
    found, _, predicate = read_statement(payload)
    if found != kind:
        raise InvalidInput(f"the statement is a {found}, not a {kind}")
    return predicate
