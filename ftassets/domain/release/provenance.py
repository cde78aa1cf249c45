"""How a released version was made, as SLSA provenance: https://slsa.dev/spec/v1.1/provenance, in an in-toto statement.

It has the form of SLSA and claims no level: the build ran where the team runs it, and no third party vouches for that.
"""

from collections.abc import Mapping
from typing import Any

from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.statement import write_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.wording import iso

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:ftassets:retrain:v1"  # the run of Dagster that trained, evaluated and released
BUILDER = "urn:ftassets:dagster"


def provenance(manifest: VersionManifest, report: EvalReport, attested: Mapping[str, Any], attestation: str) -> bytes:
    """Bytes of the statement: which run of which code made the version's files, from which base, dataset and settings."""
    code = {"gitCommit": attested.get("code_commit"), "sha256": attested.get("code_digest")}
    needs = [
        _resource("base model", manifest.base_model, {"sha256": report.base}),
        _resource("dataset", f"{report.loop}/dataset", {"commit": report.dataset_commit}),
        _resource("golden set", f"{report.loop}/golden", {"commit": report.golden_commit}),
        _resource("code", "ftassets", {name: value for name, value in code.items() if value}),
        *([_resource("weights that training continued from", "version", {"sha256": manifest.parent})] if manifest.parent else []),
    ]
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"loop": report.loop, "training": manifest.training, "generation": manifest.generation},
            "internalParameters": {"policy_digest": report.policy_digest, "compared_with": report.production},
            "resolvedDependencies": needs,
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"ftassets": str(attested.get("code_version") or "not known")}},
            "metadata": {"invocationId": report.run_id, "finishedOn": iso(attested["issued_at"])},
            "byproducts": [
                _resource("eval report", f"reports/{report.loop}", {"sha256": attested["report_digest"]}),
                _resource("attestation", f"releases/{report.loop}", {"sha256": attestation}),
            ],
        },
    }
    return write_statement(PREDICATE_TYPE, manifest.files, predicate)


def _resource(what: str, name: str, digest: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "digest": dict(digest), "annotations": {"is": what}}
