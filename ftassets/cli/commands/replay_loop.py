"""Every stored decision of a loop, made again from what is stored with it: retrains, gates, releases, rollouts, drift."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ftassets.assets._shared.stored_reports import is_policy_of
from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_eval_report, read_report, report_digests, report_key
from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import Releases
from ftassets.backends.control.reviews import ReviewDamaged, read_review
from ftassets.backends.control.rollout_looks import candidates, read_looks
from ftassets.backends.signer.base import SignatureInvalid, Signer
from ftassets.cli.commands.replay import replay
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import canonical_json
from ftassets.domain.drift.verdict_again import stored_verdict, verdict_again
from ftassets.domain.formats import NewerFormat
from ftassets.domain.gates.decision import GateDecision, comparable, decided_again, equal_results, of_then
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.claims import claims
from ftassets.domain.release.statement import read_statement
from ftassets.domain.rollout.look import RolloutLook
from ftassets.domain.rollout.look import decided_again as moved_again
from ftassets.errors import InvalidInput, StateDamaged, in_one_line
from ftassets.wording import amount

Kind = Literal["retrain", "gates", "release", "rollout", "drift"]
KINDS: tuple[Kind, ...] = ("retrain", "gates", "release", "rollout", "drift")


@dataclass(frozen=True)
class Decided:
    """One stored decision: as it is stored, and as it comes out now; `why` it cannot be made again if `now` is None.

    `damaged`: what is stored was changed or cannot be read, unlike what is not there or was never measured.
    """

    kind: Kind
    file: str
    at: float
    stored: Mapping[str, Any]
    now: Mapping[str, Any] | None
    why: str = ""
    damaged: bool = False

    @property
    def same(self) -> bool:
        """Whether it comes out the same, byte for byte."""
        return self.now is not None and canonical_json(self.stored) == canonical_json(self.now)

    @property
    def differing(self) -> dict[str, tuple[Any, Any]]:
        """What differs, by name, as it is stored and as it is now."""
        now = self.now or {}
        return {
            name: (self.stored.get(name), now.get(name)) for name in sorted({*self.stored, *now}) if self.stored.get(name) != now.get(name)
        }


def decisions(artifacts: Artifacts, control: Control, signer: Signer, loop: LoopConfig, since: float = 0.0) -> Iterator[Decided]:
    """The decisions of a loop after `since` (epoch seconds), one after the other. One that is damaged has a `why`. Raises OSError."""
    verdicts: dict[str, list[GateDecision]] = {}
    found: Iterator[Decided]
    for found in (
        _retrains(artifacts, loop.name),
        _gates(artifacts, control, loop.name, verdicts),
        _releases(artifacts, control, signer, loop, verdicts),
        _rollouts(control, loop.name),
        _drift(artifacts, loop.name),
    ):
        yield from (each for each in found if each.at >= since)


def without_verdicts(artifacts: Artifacts, loop: str, found: list[Decided]) -> int:
    """Eval reports of which no verdicts are stored: by a release before these were, or with checks left out."""
    have = {each.stored["report"] for each in found if each.kind == "gates" and "report" in each.stored}
    return len(set(report_digests(artifacts, loop, "eval")) - have)


def summary(found: list[Decided]) -> list[tuple[str, str, str, str, str, str]]:
    """A line a kind: decisions, the same, differing, not known, damaged."""
    lines: list[tuple[str, str, str, str, str, str]] = []
    for kind in KINDS:
        of = [each for each in found if each.kind == kind]
        same, damaged = sum(each.same for each in of), sum(each.damaged for each in of)
        unknown = sum(each.now is None and not each.damaged for each in of)
        lines.append((kind, str(len(of)), str(same), str(len(of) - same - unknown - damaged), str(unknown), str(damaged)))
    return lines


def sentences(found: list[Decided], without: int) -> list[str]:
    """Each decision that differs, is damaged or is not known, and how many eval reports have no verdicts."""
    lines = []
    for each in found:
        if each.now is None:
            what = "rests on damaged evidence" if each.damaged else "cannot be made again"
            lines.append(f"{each.kind}: {each.file} {what}: {each.why}")
        elif not each.same:
            what = "; ".join(f"{name}: stored {was!r}, now {now!r}" for name, (was, now) in each.differing.items())
            lines.append(f"{each.kind}: {each.file} comes out differently: {what}")
    if without:
        lines.append(f"{amount(without, 'eval report')} without stored verdicts: made before they were stored, or without checks")
    return lines


def document(loop: str, found: list[Decided], without: int) -> dict[str, Any]:
    """The same as plain JSON."""
    names = ("decisions", "same", "differ", "unknown", "damaged")
    kinds = {kind: dict(zip(names, map(int, counts), strict=True)) for kind, *counts in summary(found)}
    others = [
        {"kind": each.kind, "file": each.file, "stored": each.stored, "now": each.now, "why": each.why, "damaged": each.damaged}
        for each in found
        if not each.same
    ]
    return {"loop": loop, "kinds": kinds, "reports_without_verdicts": without, "not_same": others}


def _unmade(kind: Kind, file: str, at: float, stored: Mapping[str, Any], error: Exception) -> Decided:
    """A decision that an error kept from being made again. What is not there, or of a newer release, is not known but not damaged."""
    damaged = isinstance(error, StateDamaged | SignatureInvalid) and not isinstance(error.__cause__, ArtifactMissing | NewerFormat)
    return Decided(kind, file, at, stored, None, in_one_line(error), damaged)


def _retrains(artifacts: Artifacts, loop: str) -> Iterator[Decided]:
    for digest in report_digests(artifacts, loop, "decision"):
        where = artifacts.uri(report_key(loop, "decision", digest))
        try:
            at = float(read_report(artifacts, loop, "decision", digest)["situation"]["now"])
            made = replay(artifacts, [loop], digest)
        except (ValueError, KeyError, TypeError, StateDamaged) as error:
            yield _unmade("retrain", where, float("inf"), {}, error)
            continue
        # a decision of an earlier format said the same in other words
        yield Decided("retrain", where, at, made.stored, made.stored if made.same else made.now)


def _gates(artifacts: Artifacts, control: Control, loop: str, verdicts: dict[str, list[GateDecision]]) -> Iterator[Decided]:
    for digest in report_digests(artifacts, loop, "gates"):
        where = artifacts.uri(report_key(loop, "gates", digest))
        try:
            decision = GateDecision.parse(read_report(artifacts, loop, "gates", digest))
        except (ValueError, ReportDamaged) as error:
            yield _unmade("gates", where, float("inf"), {}, error)
            continue
        verdicts.setdefault(decision.report, []).append(decision)
        stored = {"report": decision.report, "results": comparable(decision.results)}
        try:
            report = read_eval_report(artifacts, loop, decision.report)
            results = decided_again(decision, report, read_review(control, loop, decision.report))
        except (ValueError, ReportDamaged, ReviewDamaged) as error:
            yield _unmade("gates", where, decision.at, stored, error)
            continue
        made = {"report": decision.report, "results": comparable(results)}
        yield Decided("gates", where, decision.at, stored, stored if equal_results(stored["results"], made["results"]) else made)


def _releases(
    artifacts: Artifacts, control: Control, signer: Signer, loop: LoopConfig, verdicts: Mapping[str, list[GateDecision]]
) -> Iterator[Decided]:
    releases = Releases(control, signer)
    for version in releases.versions(loop.name):
        where = releases.uri(loop.name, version)
        try:
            _, _, said = read_statement(releases.read(loop.name, version).payload)
        except (SignatureInvalid, ValueError) as error:
            yield _unmade("release", where, float("inf"), {}, error)
            continue
        at = float(said.get("issued_at", 0))
        if said.get("adopted"):
            why = "the version was adopted: nothing was measured, a person answers for it"
            yield Decided("release", where, at, {"adopted": True}, None, why)
            continue
        try:
            now = _claimed_again(artifacts, control, loop, said, verdicts)
        except (ValueError, KeyError, ReportDamaged, ReviewDamaged) as error:
            yield _unmade("release", where, at, dict(said), error)
            continue
        yield Decided("release", where, at, {name: said.get(name) for name in now}, now)


def _claimed_again(
    artifacts: Artifacts, control: Control, loop: LoopConfig, said: Mapping[str, Any], verdicts: Mapping[str, list[GateDecision]]
) -> dict[str, Any]:
    """What the attestation would say of its report now. Raises ValueError, ReportDamaged, ReviewDamaged."""
    digest = str(said["report_digest"])
    report, review = read_eval_report(artifacts, loop.name, digest), read_review(control, loop.name, digest)
    for decision in sorted(verdicts.get(digest, []), key=lambda each: each.at, reverse=True):
        made = claims(report, digest, of_then(review, decision.reviews), decided_again(decision, report, review))
        if made["review_digest"] == said.get("review_digest"):
            return made
    if not is_policy_of(loop, report.policy_digest):
        raise InvalidInput("the policy of its gates is not stored, and the loop file has another one now")
    return _by_loop_file(loop, report, digest, review, said)


def _by_loop_file(loop: LoopConfig, report: EvalReport, digest: str, review: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """The claims by the gates of the loop file, which has the policy of the report; with the review as it was when it was signed."""
    for entries in range(len(review.given) if review else 0, -1, -1):
        then = of_then(review, entries)
        made = claims(report, digest, then, ())
        if made["review_digest"] == said.get("review_digest"):
            return claims(report, digest, then, evaluate_gates(loop.gates, report, then))
    text = "the human review that it names is not there: restore it from a backup"
    raise InvalidInput(text) if review is None else ReviewDamaged(text)


def _rollouts(control: Control, loop: str) -> Iterator[Decided]:
    for candidate in candidates(control, loop):
        for look in read_looks(control, loop, candidate):
            if look.basis is None:
                continue
            where = f"the {look.move.value} of version {candidate[:12]} at {look.at:.0f}"
            stored = {"action": look.move, "weight": look.next_weight, "reason": look.reason}
            yield Decided("rollout", where, look.at, stored, *_moved(look))


def _moved(look: RolloutLook) -> tuple[dict[str, Any] | None, str]:
    try:
        now = moved_again(look)
    except ValueError as error:
        return None, in_one_line(error)
    return {"action": now.move, "weight": now.weight, "reason": now.reason}, ""


def _drift(artifacts: Artifacts, loop: str) -> Iterator[Decided]:
    for digest in report_digests(artifacts, loop, "drift"):
        where = artifacts.uri(report_key(loop, "drift", digest))
        try:
            report = read_report(artifacts, loop, "drift", digest)
            stored, at = stored_verdict(report), float(report["window_end"])
        except (ValueError, KeyError, TypeError, ReportDamaged) as error:
            yield _unmade("drift", where, float("inf"), {}, error)
            continue
        try:
            yield Decided("drift", where, at, stored, verdict_again(report))
        except (ValueError, KeyError, TypeError) as error:
            yield _unmade("drift", where, at, stored, error)
