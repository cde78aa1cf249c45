"""Bills of materials of a release in CycloneDX 1.7: of the model (ML-BOM), and of the software that evaluated and released it (SBOM).

https://cyclonedx.org/docs/1.7/json. Made of the attestation, the manifest, the report and the list of installed packages: the same
release has the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.results import CANDIDATE, results
from ftassets.domain.release.version import VersionManifest
from ftassets.wording import iso

SCHEMA = "http://cyclonedx.org/schema/bom-1.7.schema.json"
_MODEL, _BASE, _DATASET, _GOLDEN = "model", "base-model", "dataset", "golden-set"


class Package(NamedTuple):
    """An installed Python package; `requires` are names of packages that it needs here.

    `expression` is its licence in SPDX's terms, `licence` what else it states of it; both are empty if it states nothing.
    """

    name: str
    version: str
    expression: str
    licence: str
    requires: tuple[str, ...]


def model_bill(
    manifest: VersionManifest, report: EvalReport, attested: Mapping[str, Any], attestation: str, dataset: str | None
) -> dict[str, Any]:
    """The ML-BOM of a version; `dataset` is the SHA-256 of the dataset's description in Croissant, None without one."""
    metrics = []
    for each in results(report):
        if each.role == CANDIDATE:
            found: dict[str, Any] = {"type": each.metric, "value": str(each.value), "slice": each.slice}
            if each.low is not None and each.high is not None:
                found["confidenceInterval"] = {"lowerBound": str(each.low), "upperBound": str(each.high)}
            metrics.append(found)
    model = {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": report.loop,
        "version": report.candidate,
        "description": f"{manifest.kind} of {manifest.base_model}",
        "components": [
            {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": _hash(digest)}
            for name, digest in sorted(manifest.files.items())
        ],
        "modelCard": {
            "modelParameters": {"approach": {"type": "supervised"}, "task": "text-generation", "datasets": [{"ref": _DATASET}]},
            "quantitativeAnalysis": {"performanceMetrics": metrics},
        },
        "properties": _properties(
            {
                "attestation": attestation,
                "report": attested["report_digest"],
                "policy": report.policy_digest,
                "run": report.run_id,
                **{f"generation:{name}": value for name, value in manifest.generation.items()},
                **{f"verdict:{gate}": verdict for gate, verdict in attested["verdicts"].items()},
            }
        ),
    }
    base: dict[str, Any] = {"type": "machine-learning-model", "bom-ref": _BASE, "name": manifest.base_model, "version": report.base}
    data: list[dict[str, Any]] = [
        {
            "type": "data",
            "bom-ref": ref,
            "name": f"{report.loop} {name}",
            "version": commit,
            "data": [{"type": "dataset", "name": name}],
            **({"hashes": _hash(digest)} if digest else {}),
        }
        for ref, name, commit, digest in (
            (_DATASET, "dataset", report.dataset_commit, dataset),
            (_GOLDEN, "golden set", report.golden_commit, None),
        )
    ]
    needs: list[dict[str, Any]] = [{"ref": ref} for ref in (_BASE, _DATASET, _GOLDEN)]
    needs.append({"ref": _MODEL, "dependsOn": [_BASE, _DATASET]})
    return _bill("model", model, [base, *data], needs, attested, attestation)


def software_bill(packages: Iterable[Package], python: str, attested: Mapping[str, Any], attestation: str) -> dict[str, Any]:
    """The SBOM of the environment that evaluated and released a version; `python` is the interpreter's version."""
    listed = sorted(packages)
    refs = {package.name: f"pkg:pypi/{package.name}@{quote(package.version, safe='')}" for package in listed}
    components = [
        {
            "type": "library",
            "bom-ref": refs[package.name],
            "name": package.name,
            "version": package.version,
            "purl": refs[package.name],
            **_licences(package),
        }
        for package in listed
    ]
    needs = [
        {"ref": refs[package.name], "dependsOn": sorted({refs[name] for name in package.requires if name in refs})} for package in listed
    ]
    subject = {"type": "platform", "bom-ref": "environment", "name": "CPython", "version": python}
    return _bill(
        "environment", subject, components, [{"ref": "environment", "dependsOn": sorted(refs.values())}, *needs], attested, attestation
    )


def shares_of(bill: Mapping[str, Any], metric: str) -> dict[str, tuple[float, float, float]]:
    """A metric of a model's bill by slice, each as share and 95 % interval. Raises ValueError if the bill is not one of ours."""
    try:
        metrics = bill["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
        return {
            each["slice"]: (
                float(each["value"]),
                float(each["confidenceInterval"]["lowerBound"]),
                float(each["confidenceInterval"]["upperBound"]),
            )
            for each in metrics
            if each["type"] == metric
        }
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"no performance metrics in the form of CycloneDX ({type(error).__name__})") from error


def bill_objections(bill: Mapping[str, Any], report: EvalReport) -> list[str]:
    """Each number of a model's bill that is not that of the report; empty means all are."""
    try:
        metrics = bill["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
        said = {(each["slice"], each["type"]): (each["value"], *each.get("confidenceInterval", {}).values()) for each in metrics}
    except (LookupError, TypeError, AttributeError) as error:
        return [f"the bill of the model has no performance metrics in the form of CycloneDX ({type(error).__name__})"]
    found = {}
    for each in results(report):
        if each.role == CANDIDATE:
            interval = () if each.low is None else (str(each.low), str(each.high))
            found[each.slice, each.metric] = (str(each.value), *interval)
    return [
        f"the bill of the model: {metric} on {name} is {' '.join(said.get((name, metric), ('missing',)))}, "
        f"in the report {' '.join(found.get((name, metric), ('missing',)))}"
        for name, metric in [*found, *(key for key in said if key not in found)]
        if said.get((name, metric)) != found.get((name, metric))
    ]


def _bill(
    what: str,
    subject: Mapping[str, Any],
    components: Sequence[Mapping[str, Any]],
    needs: Sequence[Mapping[str, Any]],
    attested: Mapping[str, Any],
    attestation: str,
) -> dict[str, Any]:
    tool = {"type": "application", "name": "ftassets", "version": str(attested.get("code_version") or "not known")}
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'urn:ftassets:pack:{attestation}:{what}')}",
        "version": 1,
        "metadata": {"timestamp": iso(attested["issued_at"]), "tools": {"components": [tool]}, "component": dict(subject)},
        "components": list(components),
        "dependencies": list(needs),
    }


def _licences(package: Package) -> dict[str, Any]:
    if package.expression:
        return {"licenses": [{"expression": package.expression}]}
    return {"licenses": [{"license": {"name": package.licence}}]} if package.licence else {}


def _hash(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]


def _properties(values: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"name": f"ftassets:{name}", "value": str(value)} for name, value in sorted(values.items())]
