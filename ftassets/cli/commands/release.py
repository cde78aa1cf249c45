"""What people sign about releases, and what a signed file says: approve, override, verify."""

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ftassets.assets._shared.stored_reports import is_policy_of, verdicts
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_eval_report, report_digests
from ftassets.backends.artifacts.version_folder import MANIFEST, VersionDamaged, file_digests
from ftassets.backends.artifacts.versions import load_manifest, version_folder
from ftassets.backends.control.audit import Head, head_of
from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import Releases, StatementMissing, signed_objections
from ftassets.backends.signer.base import SignatureInvalid, Signed, Signer
from ftassets.config.loop import LoopConfig
from ftassets.domain.beginnings import the_one
from ftassets.domain.gates.result import Verdict
from ftassets.domain.release.approval import (
    APPROVAL_TYPE,
    OVERRIDE_TYPE,
    Approval,
    Override,
    approval_objections,
    approval_statement,
    entitled,
    override_statement,
    read_approval,
    read_override,
    role_of,
)
from ftassets.domain.release.attestation import PREDICATE_TYPE, objections
from ftassets.domain.release.pack import ATTESTATION, PACK_TYPE, pack_objections
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.errors import InvalidInput

LONGEST_OVERRIDE = 365 * 86400.0  # seconds
KINDS = {PREDICATE_TYPE: "release", APPROVAL_TYPE: "approval", OVERRIDE_TYPE: "override", PACK_TYPE: "pack"}


def approve(
    artifacts: Artifacts, control: Control, signer: Signer, loop: LoopConfig, version: str | None, name: str, reason: str
) -> Approval:
    """Sign and store an approval of a released version (a unique beginning of its digest; default: the newest).

    Raises NotAllowed when the person's role may not approve, InvalidInput when there is no such release or it cannot start.
    """
    role = role_of(name, loop.release, "approve")
    releases = Releases(control, signer)
    digest = releases.newest(loop.name) if version is None else the_one(version, releases.versions(loop.name), f"release of {loop.name}")
    if digest is None:
        raise InvalidInput(f"nothing of {loop.name} was released yet")
    try:
        manifest = load_manifest(artifacts, digest)
        payload = releases.payload(loop.name, digest)
    except (VersionDamaged, StatementMissing, SignatureInvalid) as error:
        raise InvalidInput(str(error)) from error
    if read_statement(payload)[2].get("adopted"):
        raise InvalidInput(f"version {digest[:12]} was adopted: that needs no approval")
    if why := objections(payload, loop.name, digest, manifest.files, manifest.generation, time.time()):
        raise InvalidInput(f"version {digest[:12]} could not start whoever approves it: {'; '.join(why)}")
    predicate = read_statement(payload)[2]
    if (policy := predicate.get("policy_digest")) is not None and not is_policy_of(loop, str(policy)):
        again = f"materialize {loop.name}/eval_report and {loop.name}/release again"
        raise InvalidInput(f"the gates of the loop file are not those that {digest[:12]} passed: {again}")
    report = str(predicate["report_digest"])
    if any(gate.metric == "human_review" for gate in loop.gates) and predicate["verdicts"] != {
        result.name: result.verdict.value for result in verdicts(control, loop, read_eval_report(artifacts, loop.name, report), report)
    }:  # a second reviewer may have said no since
        raise InvalidInput(f"the gates say something else now than when {digest[:12]} was released: run the job {loop.name}__promote again")
    approval = Approval(
        loop=loop.name, version=digest, report_digest=report, name=name, role=role, reason=_said(reason), issued_at=int(time.time())
    )
    releases.write(loop.name, digest, "approval", approval_statement(approval))
    return approval


def override(
    artifacts: Artifacts,
    control: Control,
    signer: Signer,
    loop: LoopConfig,
    version: str,
    gates: Collection[str],
    name: str,
    reason: str,
    seconds: float,
) -> Override:
    """Sign and store that a version may be released for a while in spite of these gates; no gates means all that do not pass.

    Raises NotAllowed when the person may not, InvalidInput when there is nothing to override or `seconds` is not in 0 to LONGEST_OVERRIDE,
    ReportDamaged.
    """
    if not 0 < seconds <= LONGEST_OVERRIDE:
        raise InvalidInput(f"an override counts for some time, at most {LONGEST_OVERRIDE / 86400:.0f} days: for example --expires 24h")
    role = role_of(name, loop.release, "override")
    report_digest = _newest_report(artifacts, loop, version)
    report = read_eval_report(artifacts, loop.name, report_digest)
    results = verdicts(control, loop, report, report_digest)
    failing = {result.name: result.verdict.value for result in results if result.verdict is not Verdict.PASS}
    if not failing:
        raise InvalidInput(f"every gate passes for version {report.candidate[:12]}: there is nothing to override")
    if unknown := sorted(set(gates) - failing.keys()):
        raise InvalidInput(f"{', '.join(unknown)} is not among the gates that do not pass: {', '.join(failing)}")
    now = time.time()
    said = Override(
        loop=loop.name, version=report.candidate, report_digest=report_digest, name=name, role=role, reason=_said(reason),
        issued_at=int(now), expires_at=int(now + seconds), gates={gate: failing[gate] for gate in gates or failing},
    )  # fmt: skip
    Releases(control, signer).write(loop.name, report.candidate, "override", override_statement(said))
    return said


def verify(
    artifacts: Artifacts, signer: Signer, loops: Mapping[str, LoopConfig], path: Path, files: Path | None = None, loop: str | None = None
) -> dict[str, Any]:
    """What a signed file says and whether it holds now: `{"holds", "objections", "kind", "key", "revoked", "attested"}`.

    `files` is the version's folder, by default the stored one; `loop` the loop it must be for. Raises OSError.
    """
    found: dict[str, Any] = {"file": str(path), "holds": False, "kind": None, "key": None, "revoked": None, "attested": {}}
    try:
        signed = signer.open(path.read_bytes())
        kind, subjects, predicate = read_statement(signed.payload)
    except (SignatureInvalid, ValueError) as error:
        return {**found, "objections": [str(error)]}
    why = []
    name = str(predicate.get("loop"))
    if loop is not None and loop != name:
        why.append(f"it is for loop {name!r}, not {loop!r}")
    if kind == PREDICATE_TYPE:
        why += _release_objections(artifacts, signed, name, str(predicate.get("version")), files)
    elif kind == PACK_TYPE:
        why += [] if signed.revoked is None else [f"its key {signed.key_id[:12]} was revoked: {signed.revoked}"]
        why += _pack_objections(artifacts, signer, path.parent, name, subjects, predicate)
    elif kind in KINDS:
        why += [] if signed.revoked is None else [f"its key {signed.key_id[:12]} was revoked: {signed.revoked}"]
        why += _said_objections(kind, signed.payload, loops.get(name))
    else:
        why.append(f"{kind} is nothing this project signs")
    return {
        **found,
        "holds": not why,
        "objections": why,
        "kind": KINDS.get(kind, kind),
        "key": signed.key_id,
        "revoked": signed.revoked,
        "attested": {**predicate, "files": subjects} if kind in (PREDICATE_TYPE, PACK_TYPE) else predicate,
    }


def audit_head(signer: Signer, path: Path) -> Head:
    """The end of the audit chain that a signed release names. Raises SignatureInvalid, InvalidInput if it names none, OSError."""
    if (head := head_of(read_statement(signer.open(path.read_bytes()).payload)[2])) is None:
        raise InvalidInput(f"{path} does not name the end of the audit chain: give a release that this ftassets signed, or a later one")
    return head


def _release_objections(artifacts: Artifacts, signed: Signed, loop: str, version: str, files: Path | None) -> list[str]:
    try:
        folder = files or version_folder(artifacts, version)
        manifest = VersionManifest.parse((folder / MANIFEST).read_bytes())
        found = file_digests(folder)
    except (OSError, ValueError, VersionDamaged) as error:
        return [f"the files of the version cannot be compared ({error}): name their folder with --files"]
    # whether the loop had a production version when it was adopted is not in the file
    return signed_objections(signed, loop, version, found, manifest.generation, time.time(), first=True)


def _pack_objections(
    artifacts: Artifacts, signer: Signer, folder: Path, loop: str, subjects: Mapping[str, str], predicate: Mapping[str, Any]
) -> list[str]:
    """Why the files in a folder are not those of a pack, or their numbers not those of the report."""
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file() and path.name in subjects}
    try:
        signed = signer.open(files[ATTESTATION])
    except KeyError:
        return [f"{ATTESTATION} is not in the folder of the manifest: it says what the pack is of"]
    except SignatureInvalid as error:
        return [f"{ATTESTATION}: {error}"]
    why = [] if signed.revoked is None else [f"{ATTESTATION}: its key {signed.key_id[:12]} was revoked: {signed.revoked}"]
    report = None
    try:
        report = read_eval_report(artifacts, loop, str(predicate.get("report_digest")))
    except ReportDamaged as error:
        why.append(f"the numbers cannot be compared: {error}")
    return why + pack_objections(subjects, predicate, files, signed.payload, report)


def _said_objections(kind: str, payload: bytes, loop: LoopConfig | None) -> list[str]:
    try:
        said = read_approval(payload) if kind == APPROVAL_TYPE else read_override(payload)
    except ValueError as error:
        return [str(error)]
    if loop is None:
        return [f"there is no loop {said.loop!r} here whose file would say who may sign this"]
    if isinstance(said, Override):
        return entitled(said, loop.release) + (["it has expired"] if time.time() >= said.expires_at else [])
    return approval_objections(said, loop.name, said.version, said.report_digest, loop.release)


def _newest_report(artifacts: Artifacts, loop: LoopConfig, version: str) -> str:
    """Digest of the report made last of a version, named by the beginning of its digest."""
    candidates: dict[str, str] = {}
    for digest in report_digests(artifacts, loop.name, "eval"):
        with suppress(ReportDamaged):  # a damaged report overrides nothing, and hinders no other
            candidates[digest] = read_eval_report(artifacts, loop.name, digest).candidate
    wanted = the_one(version, candidates.values(), f"evaluated version of {loop.name}")
    return next(digest for digest, candidate in candidates.items() if candidate == wanted)


def _said(reason: str) -> str:
    """The reason in one line. Raises InvalidInput when it says nothing or too much."""
    text = " ".join(reason.split())
    if not 1 <= len(text) <= 500:
        raise InvalidInput("the reason is one sentence of at most 500 characters, kept with the release")
    return text
