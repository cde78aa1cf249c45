"""A candidate that passed every gate, signed and registered: only what is attested here may take traffic."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath

import dagster as dg

from ftassets.assets._shared.accepted import accepted_candidate, adapter_refusals
from ftassets.assets._shared.events import SIGNED, history, made_by, node, refused_gates, required
from ftassets.assets._shared.failures import REFUSED, failing
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.release_pack import make_pack
from ftassets.assets._shared.stored_reports import place, same_policy
from ftassets.assets.eval_report.page import gate_table, verdict_of
from ftassets.assets.eval_report.rows import as_pooled, read_rows
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import read_eval_report
from ftassets.backends.artifacts.reports import report_key as report_file
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import verify
from ftassets.backends.control.audit import Head, sealing
from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import Releases, StatementMissing, signed_objections
from ftassets.backends.control.reviews import read_review
from ftassets.backends.dataset_store.base import AlreadyExists, DatasetStore
from ftassets.backends.registry.base import Registry
from ftassets.backends.serving.base import Serving
from ftassets.backends.signer.base import CannotSign, SignatureInvalid, Signer
from ftassets.code_identity import code_identity
from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.gates.error_budget import counted
from ftassets.domain.gates.policy import POOLED, evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.release.approval import Override, entitled, override_objections, still_blocked
from ftassets.domain.release.attestation import statement
from ftassets.domain.release.claims import claims
from ftassets.domain.release.pack import SOFTWARE_BILL
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest, score_tags, version_tags
from ftassets.errors import in_one_line
from ftassets.reporting.tables import shortened

FAILED = "failed"  # what `refused_gates` says of a gate that was evaluated for the newest report and did not pass


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset; its data version is the released version's digest."""
    report_key = node(loop.name, "eval_report")

    @asset(loop, __doc__, {"mlflow"}, deps=["eval_report"])
    def release(
        context: dg.AssetExecutionContext,
        artifacts: dg.ResourceParam[Artifacts],
        control: dg.ResourceParam[Control],
        dataset_store: dg.ResourceParam[DatasetStore],
        serving: dg.ResourceParam[Serving],
        signer: dg.ResourceParam[Signer],
        registry: dg.ResourceParam[Registry],
    ) -> dg.MaterializeResult:
        releases = Releases(control, signer)
        digest = required(context.instance, report_key)
        with failing():
            report = read_eval_report(artifacts, loop.name, digest)
            review = read_review(control, loop.name, digest)
        if made_by(context.instance, report_key) != report.run_id:  # an event by hand may name an older report, which passed
            raise _refused("the newest eval_report does not come from the run that made it", {"next": "materialize eval_report again"})
        results = evaluate_gates(loop.gates, report, review)
        refused = refused_gates(context.instance, report_key, [gate.name for gate in loop.gates])
        failed = {r.name: r.verdict.value for r in results if r.verdict is not Verdict.PASS}
        override = _override(releases, loop, report, digest, results) if refused or failed else None
        evaluated = [gate for gate, reason in refused.items() if reason == FAILED]
        if why := still_blocked(refused, evaluated, override):
            raise _refused("gates have not passed for the newest report", why)
        if failed and override is None:
            raise _refused("the report does not pass the gates", {r.name: f"{r.verdict.value}: {r.sentence}" for r in results})
        if not same_policy(loop, report):
            raise _refused("the gates of the loop were changed after the report", {"next": "materialize eval_report again"})
        if not counted(report, loop.release.bad_promotions_a_year):
            raise _refused("the loop's error budget was set or lowered after the report", {"next": "materialize eval_report again"})
        if _not_pooled(dataset_store, loop, report):
            text = f"each row of a conversation counted when the report was made, by gate rule {report.gate_rule}"
            raise _refused(text, {"next": "materialize eval_report again"})
        if why := adapter_refusals(artifacts, dataset_store, report.candidate, loop.name):  # again, from what is stored
            raise _refused(f"the version in the report, {report.candidate[:12]}, is not accepted", why)
        if accepted_candidate(context.instance, artifacts, dataset_store, loop).id != report.candidate:
            raise _refused("a newer adapter exists than the one in the report", {"next": "materialize eval_report again"})
        now_serving = serving.state(loop.name).production
        if now_serving != (None if report.production_is_base else report.production) and now_serving != report.candidate:
            raise _refused("production is no longer the version the report compared with", {"next": "materialize eval_report again"})
        try:
            manifest = verify(artifacts, report.candidate)
        except VersionDamaged as error:
            raise _refused(str(error), {}) from error

        if manifest.dataset_commit != report.dataset_commit:
            raise _refused("the report names another dataset than the version was trained on", {"next": "materialize eval_report again"})
        if manifest.generation != report.generation:
            raise _refused("the report was made with other generation settings than the version has", {"next": "materialize adapter again"})
        try:
            if _why_sign(releases, loop.name, manifest, digest):  # repeating a release that counts changes nothing
                measured = next(at for at, _ in history(context.instance, report_key, limit=1))
                with sealing(control, signer, time.time()) as head:
                    predicate = _predicate(loop, report, digest, manifest, results, review, override, measured, head)
                    said = statement(loop.name, report.candidate, manifest.files, predicate)
                    releases.write(loop.name, report.candidate, "release", said)
        except CannotSign as error:
            raise _refused(str(error), {}) from error
        if why_not := _why_sign(releases, loop.name, manifest, digest):
            raise _refused("the attestation does not allow this version", dict(enumerate(why_not)))
        if override:
            context.log_event(dg.AssetObservation(context.asset_key, description=override.sentence, metadata=_overridden(override)))
        with suppress(AlreadyExists):
            dataset_store.tag(f"release/{loop.name}/{report.candidate[:12]}", report.dataset_commit)
        name = version_name(loop, report)
        signed = releases.read(loop.name, report.candidate)
        registered = registry.register(
            loop.name,
            name,
            report.candidate,
            None,
            {
                **version_tags(manifest),
                **score_tags(report.scores["candidate"]),
                "golden_commit": report.golden_commit,
                "report": digest,
                "dagster_run_id": context.run_id,
            },
        )
        registry.set_alias(loop.name, "candidate", report.candidate)
        try:
            key = make_pack(artifacts, control, dataset_store, signer, loop, manifest, report, signed.payload)
            pack = place(key, PurePosixPath(key).name)
            if not artifacts.exists(f"{key}/{SOFTWARE_BILL}"):
                pack += f", without {SOFTWARE_BILL}: made later by other code, and what was installed at the release is not known"
                context.log.warning(f"the pack is {pack}")
        except Exception as error:  # whatever is wrong with the pack: the release counts without it
            fault = f"{type(error).__name__}: {in_one_line(error)}"
            context.log.warning(f"the release counts, but its pack was not made: {fault}")
            pack = f"not made: {fault}; materialize release again"
        return dg.MaterializeResult(
            data_version=dg.DataVersion(report.candidate),
            metadata={
                "verdict": verdict_of(results),
                **({"override": override.sentence} if override else {}),
                "gates": gate_table(results),
                "version": registered.name,
                "registry_version": registered.number,
                "digest": report.candidate[:12],
                "lineage": shortened(manifest.lineage or ""),
                "signed_by": signed.key_id[:12],
                "report": place(report_file(loop.name, "eval", digest), digest),
                "attestation": place(releases.file(loop.name, report.candidate), report.candidate),
                "pack": pack,
                SIGNED: dg.MetadataValue.json(read_statement(signed.payload)[2]),
            },
        )

    return release


def _not_pooled(store: DatasetStore, loop: LoopConfig, report: EvalReport) -> bool:
    """Whether a report by an earlier rule counts rows as independent that this release counts as one."""
    if report.gate_rule >= POOLED:
        return False
    with failing():
        return as_pooled(report, read_rows(store, loop, report.golden_commit, report.dataset_commit)) != report


def version_name(loop: LoopConfig, report: EvalReport) -> str:
    """`{base_model}-{dataset_version}-{date}-{digest}`, short enough to read aloud."""
    base = loop.base_model.rstrip("/").rsplit("/", 1)[-1].removeprefix("package:")
    return f"{base}-{report.dataset_commit[:8]}-{datetime.now(UTC):%Y%m%d}-{report.candidate[:8]}"


def _override(releases: Releases, loop: LoopConfig, report: EvalReport, digest: str, results: list[GateResult]) -> Override | None:
    """The override of exactly this report, None without one. Raises dg.Failure when the override is not valid."""
    try:
        override = releases.override(loop.name, report.candidate)
    except (SignatureInvalid, ValueError) as error:
        raise _refused(f"the override of this version does not count: {error}", {}) from error
    if override is None or override.report_digest != digest:
        return None
    verdicts = {result.name: result.verdict.value for result in results}
    why = entitled(override, loop.release) + override_objections(override, loop.name, report.candidate, digest, verdicts, time.time())
    if why:
        raise _refused("the override does not cover this report", dict(enumerate(why)))
    return override


def _why_sign(releases: Releases, loop: str, manifest: VersionManifest, report_digest: str) -> list[str]:
    """Why what is signed so far does not let this version gain traffic on this report; empty means it does."""
    try:
        signed = releases.read(loop, manifest.digest)
    except StatementMissing:
        return ["there is no attestation yet"]
    except SignatureInvalid as error:
        return [str(error)]
    if why := signed_objections(signed, loop, manifest.digest, manifest.files, manifest.generation, time.time()):
        return why
    _, _, predicate = read_statement(signed.payload)
    return [] if predicate["report_digest"] == report_digest else ["it rests on an older report"]


def _predicate(
    loop: LoopConfig,
    report: EvalReport,
    digest: str,
    manifest: VersionManifest,
    results: list[GateResult],
    review: Review | None,
    override: Override | None,
    measured: float,
    head: Head,
) -> dict:
    return {
        **claims(report, digest, review, results),
        "base_model": loop.base_model,
        "tokenizer_digest": manifest.tokenizer_digest,
        "override": override and override.model_dump(),
        "needs_approval": loop.mode == "propose",
        "audit": head.document(),  # who has this attestation can tell that the chain was cut
        **code_identity(),
        "issued_at": int(time.time()),
        "expires_at": int(measured + loop.release.valid_for),  # it is the evidence that grows old: signing again adds nothing
    }


def _overridden(override: Override) -> dict:
    return {
        "gates": dg.MetadataValue.json(override.gates),
        "name": override.name,
        "role": override.role,
        "reason": override.reason,
        "expires_at": dg.MetadataValue.timestamp(float(override.expires_at)),
        "version": override.version,
        "report_digest": override.report_digest,
    }


def _refused(reason: str, details: dict) -> dg.Failure:
    return dg.Failure(f"{REFUSED}: {reason}", metadata={"reasons": {str(k): v for k, v in details.items()}}, allow_retries=False)
