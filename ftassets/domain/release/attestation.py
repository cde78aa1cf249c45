"""The release attestation: what a promoted version is, which verdicts it rests on, and until when they count."""

from collections.abc import Mapping
from typing import Any

from ftassets.domain.release.approval import PASS, Override, override_objections
from ftassets.domain.release.statement import read_statement, write_statement

PREDICATE_TYPE = "urn:ftassets:release:v1"


def statement(loop: str, version: str, files: Mapping[str, str], predicate: Mapping[str, Any]) -> bytes:
    """Bytes of the release statement, one subject per file of the version. `files` maps relative paths to SHA-256 hex digests."""
    return write_statement(PREDICATE_TYPE, files, {**predicate, "loop": loop, "version": version})


def objections(
    payload: bytes,
    loop: str,
    version: str,
    files: Mapping[str, str],
    generation: Mapping[str, float | int],
    raised_at: float | None,
    first: bool = False,
) -> list[str]:
    """Why a verified payload does not allow this version to serve this loop; empty means it does.

    `files` and `generation` are the current digests and generation settings on disk. `raised_at` is the time
    (epoch seconds) at which the version would gain traffic for the first time: then verdicts, overrides and expiry are checked.
    With None (a restart, a rollback, a former production version) only identity is checked, because expired evidence must not
    stop a serving version. `first`: the loop has no production version. Only then may a version be adopted, without
    measurements and on a person's responsibility.
    """
    try:
        kind, attested, predicate = read_statement(payload)
        verdicts = dict(predicate["verdicts"])
    except (ValueError, KeyError, TypeError) as error:
        return [f"the attestation is not a release statement ({error!r})"]
    why = []
    if kind != PREDICATE_TYPE:
        why.append("the attestation is not a release statement")
    if predicate.get("loop") != loop:
        why.append(f"the attestation is for loop {predicate.get('loop')!r}, not {loop!r}")
    if predicate.get("version") != version:
        why.append(f"the attestation is for version {str(predicate.get('version'))[:12]}, not {version[:12]}")
    if predicate.get("generation") != dict(generation):
        why.append("the generation settings are not the attested ones")
    for name in sorted(attested.keys() | files.keys()):
        if attested.get(name) != files.get(name):
            why.append(f"{name} is not the attested file")
    return why if raised_at is None else why + _not_raised(predicate, loop, version, verdicts, raised_at, first)


def override_of(predicate: Mapping[str, Any]) -> Override | None:
    """The override of a release, None without one. Raises ValueError when the block is invalid."""
    block = predicate.get("override")
    return None if block is None else Override.model_validate(block)


def _not_raised(predicate: Mapping[str, Any], loop: str, version: str, verdicts: Mapping[str, str], now: float, first: bool) -> list[str]:
    why = []
    if predicate.get("adopted") is True:
        if not first:
            why.append("it was adopted without a verdict and the loop has a production version: evaluate it as a candidate instead")
        if not predicate.get("by") or not predicate.get("reason"):
            why.append("who adopted it, and why, is missing")
    elif not verdicts:
        why.append("the attestation holds no verdict")
    if any(verdict != PASS for verdict in verdicts.values()):
        try:
            override = override_of(predicate)
        except ValueError as error:
            return [*why, f"the override in the attestation cannot be read ({error})"]
        if override is None:
            why.append("the attestation holds a verdict other than PASS")
        else:
            why += override_objections(override, loop, version, str(predicate.get("report_digest")), verdicts, now)
    expires = predicate.get("expires_at")
    if not isinstance(expires, int | float):
        why.append("the attestation does not say until when it counts")
    elif not now < expires:
        why.append("the attestation has expired: materialize eval_report and release again")
    return why
