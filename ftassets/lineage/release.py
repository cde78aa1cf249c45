"""A candidate that passed every gate, signed and registered: only what is attested here may take traffic."""

import importlib.metadata
import time
from contextlib import suppress
from datetime import UTC, datetime

import dagster as dg

from ftassets.domain.attestation import objections, statement
from ftassets.domain.gates.policy import judge, passed
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult
from ftassets.domain.loop import LoopConfig
from ftassets.home import Home
from ftassets.lineage.eval_report import gate_table, policy_digest, read_report
from ftassets.lineage.events import node, refused_gates, required
from ftassets.lineage.node import describe
from ftassets.resources.dataset_store.base import AlreadyExists, DatasetStore
from ftassets.resources.files import write_durably
from ftassets.resources.registry.base import Registry
from ftassets.resources.serving.base import Serving
from ftassets.resources.signer.base import Signer
from ftassets.resources.versions import VersionDamaged, verify

REFUSED = "release refused"


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset; its data version is the released version's digest."""
    report_key = node(loop.name, "eval_report")

    @dg.asset(
        key=node(loop.name, "release"),
        deps=[report_key],
        **describe(loop, __doc__, {"mlflow"}),
    )
    def release(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        dataset_store: dg.ResourceParam[DatasetStore],
        serving: dg.ResourceParam[Serving],
        signer: dg.ResourceParam[Signer],
        registry: dg.ResourceParam[Registry],
    ) -> dg.MaterializeResult:
        if why := refused_gates(context.instance, report_key, [gate.name for gate in loop.gates]):
            raise _refused("gates have not passed for the newest report", why)
        digest = required(context.instance, report_key)
        report = read_report(home, loop, digest)
        results = judge(loop.gates, report)
        if not passed(results):
            raise _refused("the report does not pass the gates", {r.name: f"{r.verdict.value}: {r.sentence}" for r in results})
        if report.policy_digest != policy_digest(loop):
            raise _refused("the gates of the loop were changed after the report", {"next": "materialize eval_report again"})
        if required(context.instance, node(loop.name, "adapter")) != report.candidate:
            raise _refused("a newer adapter exists than the one in the report", {"next": "materialize eval_report again"})
        now_serving = serving.state(loop.name).production
        if now_serving != (None if report.production_is_base else report.production) and now_serving != report.candidate:
            raise _refused("production is no longer the version the report compared with", {"next": "materialize eval_report again"})
        try:
            manifest = verify(home.versions, report.candidate)
        except VersionDamaged as error:
            raise _refused(str(error), {}) from error

        path = home.releases / loop.name / f"{report.candidate}.dsse.json"
        if not path.exists():  # one attestation per version: repeating the release changes nothing
            payload = statement(
                loop.name, report.candidate, manifest.files, _predicate(loop, report, digest, manifest.tokenizer_digest, results)
            )
            write_durably(path, signer.sign(payload))
        if why_not := objections(signer.verify(path.read_bytes()), loop.name, report.candidate, manifest.files):
            raise _refused("the attestation on disk is not this version's", dict(enumerate(why_not)))
        with suppress(AlreadyExists):
            dataset_store.tag(f"release/{loop.name}/{report.candidate[:12]}", report.dataset_commit)
        name = version_name(loop, report)
        registered = registry.register(
            loop.name,
            name,
            report.candidate,
            None,
            {
                "base_model": loop.base_model,
                "dataset_commit": report.dataset_commit,
                "golden_commit": report.golden_commit,
                "report": digest,
                "dagster_run_id": context.run_id,
            },
        )
        registry.set_alias(loop.name, "candidate", report.candidate)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(report.candidate),
            metadata={
                "version": registered.name,
                "registry_version": registered.number,
                "digest": report.candidate,
                "report_digest": digest,
                "signed_by": signer.key_id,
                "attestation": dg.MetadataValue.path(path),
                "gates": dg.MetadataValue.md(gate_table(results)),
            },
        )

    return release


def version_name(loop: LoopConfig, report: EvalReport) -> str:
    """`{base_model}-{dataset_version}-{date}-{digest}`, short enough to read aloud."""
    base = loop.base_model.rstrip("/").rsplit("/", 1)[-1].removeprefix("package:")
    return f"{base}-{report.dataset_commit[:8]}-{datetime.now(UTC):%Y%m%d}-{report.candidate[:8]}"


def _predicate(loop: LoopConfig, report: EvalReport, digest: str, tokenizer: str, results: list[GateResult]) -> dict:
    return {
        "base_model": loop.base_model,
        "base_digest": report.base,
        "tokenizer_digest": tokenizer,
        "dataset_commit": report.dataset_commit,
        "golden_commit": report.golden_commit,
        "policy_digest": report.policy_digest,
        "generation": report.generation,
        "compared_with": report.production,
        "report_digest": digest,
        "verdicts": {result.name: result.verdict.value for result in results},
        "run_id": report.run_id,
        "code_version": importlib.metadata.version("ftassets"),
        "issued_at": int(time.time()),
    }


def _refused(reason: str, details: dict) -> dg.Failure:
    return dg.Failure(f"{REFUSED}: {reason}", metadata={"reasons": {str(k): v for k, v in details.items()}}, allow_retries=False)
