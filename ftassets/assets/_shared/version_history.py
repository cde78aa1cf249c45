"""Reading what is stored of all versions of a loop: releases, scores, moves of traffic, answers, costs, newest live reports."""

import json

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.backends.artifacts.packs import pack_key
from ftassets.backends.artifacts.reports import ReportDamaged, read_eval_report
from ftassets.backends.control.base import Control
from ftassets.backends.control.incidents import noted
from ftassets.backends.control.journal import read_transitions
from ftassets.backends.control.latest import newest_reports
from ftassets.backends.control.releases import Releases, StatementMissing
from ftassets.backends.control.spending import spending
from ftassets.backends.signer.base import SignatureInvalid, Signer
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.release.bills import shares_of
from ftassets.domain.release.pack import MODEL_BILL
from ftassets.domain.release.released_versions import Estimate, Released, VersionHistory, history
from ftassets.domain.release.results import CANDIDATE, results
from ftassets.domain.release.statement import read_statement

EXACT_MATCH = "exact_match"


def version_history(
    artifacts: Artifacts, control: Control, signer: Signer, log: TrafficLog, loop: LoopConfig, now: float
) -> list[VersionHistory]:
    """All released versions of a loop at `now` (epoch seconds). Raises StateDamaged, OSError, and what the log raises.

    Answers are counted as `ftassets cost` counts them, each once. Scores come from the packs of the releases, which are small; an eval
    report is read only of a release without a pack.
    """
    releases = Releases(control, signer)
    released = [_released(artifacts, releases, loop.name, version) for version in releases.versions(loop.name)]
    costs = spending(control, log, loop, now).versions
    return history(
        released,
        read_transitions(control, loop.name),
        noted(control, loop.name),
        costs,
        newest_reports(control, loop.name),
        now,
    )


def _released(artifacts: Artifacts, releases: Releases, loop: str, version: str) -> Released:
    try:
        signed = releases.read(loop, version)
        _, _, said = read_statement(signed.payload)
    except (StatementMissing, SignatureInvalid, ValueError) as error:
        return Released(version=version, at=0.0, problem=f"its release does not count: {error}")
    known = Released(version=version, at=float(said.get("issued_at", 0.0)), report=said.get("report_digest"), verdicts=said["verdicts"])
    if known.report is None:
        return known
    try:
        bill = json.loads(artifacts.get(f"{pack_key(loop, signed.payload)}/{MODEL_BILL}"))
        scores = {name: Estimate(value=value, low=low, high=high) for name, (value, low, high) in shares_of(bill, EXACT_MATCH).items()}
        return known.model_copy(update={"scores": scores})
    except (ArtifactMissing, ValueError):
        pass  # the release of an earlier version of ftassets
    try:
        report = read_eval_report(artifacts, loop, known.report)
    except ReportDamaged as error:
        return known.model_copy(update={"problem": f"its scores are not known: {error}"})
    mine = (each for each in results(report) if each.role == CANDIDATE and each.metric == EXACT_MATCH)
    scores = {each.slice: Estimate(value=each.value, low=each.low or 0.0, high=each.high or 0.0) for each in mine}
    return known.model_copy(update={"scores": scores})
