"""Reports and retrain decisions among the artifacts: stored under the digest of their content, read only while they have it."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.domain import formats
from ftassets.domain.beginnings import the_one
from ftassets.domain.canonical import canonical_json, digest_of
from ftassets.domain.formats import NewerFormat
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.report_kinds import REPORT_KINDS, Name
from ftassets.errors import InvalidInput, StateDamaged, in_one_line

FOLDER = "reports"


class ReportDamaged(StateDamaged):
    """A report is not there, cannot be read, or is not what was written."""


def report_key(loop: str, kind: Name, digest: str) -> str:
    """Name of a report."""
    return f"{FOLDER}/{loop}/{kind}-{digest}.json"


class Addressed(NamedTuple):
    """A report as it is stored: its name among the artifacts, its digest, and its bytes."""

    key: str
    digest: str
    content: bytes


def addressed(loop: str, kind: Name, report: Mapping[str, Any]) -> Addressed:
    """What `store_report` would store of a report, plain JSON. The digest covers the number of the format too."""
    content = canonical_json(formats.stamp(REPORT_KINDS[kind].format, report))
    digest = digest_of(json.loads(content))
    return Addressed(report_key(loop, kind, digest), digest, content)


def store_report(artifacts: Artifacts, loop: str, kind: Name, report: Mapping[str, Any]) -> str:
    """Store a report, plain JSON, with the number of its format under its digest, which is returned. Raises ArtifactConflict."""
    key, digest, content = addressed(loop, kind, report)
    artifacts.put(key, content)
    return digest


def read_report(artifacts: Artifacts, loop: str, kind: Name, digest: str) -> dict[str, Any]:
    """A stored report whose content still has the digest, as the current format has it. Raises ReportDamaged."""
    content = _stored(artifacts, loop, kind, digest)
    try:
        return formats.read(REPORT_KINDS[kind].format, content)
    except InvalidInput as error:
        raise ReportDamaged(f"the report {digest[:12]} cannot be read: {error}") from error


def _stored(artifacts: Artifacts, loop: str, kind: Name, digest: str) -> dict[str, Any]:
    """A report as it was stored; the digest is that of these words, in whatever format they are."""
    asset = REPORT_KINDS[kind].asset
    again = f"materialize {asset} again" if asset else "it is history"
    try:
        content = json.loads(artifacts.get(report_key(loop, kind, digest)))
    except (ArtifactMissing, OSError, ValueError) as error:
        raise ReportDamaged(f"the report {digest[:12]} cannot be read: {error}; {again}") from error
    if digest_of(content) != digest:
        raise ReportDamaged(f"the report {digest[:12]} was changed after it was written; {again}")
    return content


def store_eval_report(artifacts: Artifacts, report: EvalReport) -> str:
    """Store an eval report; returns its digest. Raises ArtifactConflict."""
    return store_report(artifacts, report.loop, "eval", report.document())


def read_eval_report(artifacts: Artifacts, loop: str, digest: str) -> EvalReport:
    """A stored eval report whose content still has the digest. Raises ReportDamaged."""
    content = _stored(artifacts, loop, "eval", digest)
    try:
        return EvalReport.parse(content)
    except NewerFormat as error:
        raise ReportDamaged(f"the report {digest[:12]} cannot be read: {error}") from error
    except ValueError as error:
        raise ReportDamaged(f"report {digest[:12]} is not an eval report: {in_one_line(error)}; materialize eval_report again") from error


def report_digests(artifacts: Artifacts, loop: str, kind: Name) -> list[str]:
    """Digests of a loop's reports of a kind, those stored last first."""
    names = [name.removesuffix(".json") for name in artifacts.names(f"{FOLDER}/{loop}") if name.endswith(".json")]
    return [name.removeprefix(f"{kind}-") for name in names if name.startswith(f"{kind}-")]


def find_report(artifacts: Artifacts, loop: str, kind: Name, beginning: str = "") -> str:
    """Digest of the one stored report that begins so; with nothing given, of the newest. Raises InvalidInput naming what there is."""
    digests = report_digests(artifacts, loop, kind)
    if digests and not beginning:
        return digests[0]
    return the_one(beginning, digests, f"{kind} report of {loop}", "" if digests else f"materialize {REPORT_KINDS[kind].asset} first")
