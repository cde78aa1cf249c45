"""The bills of materials are valid by CycloneDX's own schema, and an edited number is named."""

import json
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from ftassets.domain.release.bills import bill_objections, model_bill, shares_of, software_bill
from ftassets_tests.domain.release.packs import ATTESTATION, ATTESTED, MANIFEST, PACKAGES, REPORT

MODEL = model_bill(MANIFEST, REPORT, ATTESTED, ATTESTATION, "5" * 64)
SOFTWARE = software_bill(PACKAGES, "3.11.9", ATTESTED, ATTESTATION)


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    """That of CycloneDX 1.7, as its own library ships it, in which no unknown field is allowed."""
    folder = files("cyclonedx.schema") / "_res"
    names = {each.name.replace(".SNAPSHOT", ""): each for each in folder.iterdir() if each.name.endswith(".json")}
    found: Any = {name: json.loads(each.read_text()) for name, each in names.items()}
    known = [
        (f"http://cyclonedx.org/schema/{name}", Resource.from_contents(document, default_specification=DRAFT7))
        for name, document in found.items()
    ]
    return Draft7Validator(found["bom-1.7.schema.json"], registry=Registry().with_resources(known))


@pytest.mark.parametrize("bill", [MODEL, SOFTWARE], ids=["model", "software"])
def test_a_bill_is_valid(schema: Draft7Validator, bill: dict[str, Any]) -> None:
    assert [error.message for error in schema.iter_errors(bill)] == []
    assert [error.message for error in schema.iter_errors({**bill, "specVersions": "1.7"})], "the schema finds mistakes"
    refs = [bill["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in bill["components"])]
    assert len(refs) == len(set(refs))
    assert {name for need in bill["dependencies"] for name in [need["ref"], *need.get("dependsOn", [])]} <= set(refs)


def test_the_model_has_its_files_data_and_numbers() -> None:
    model = MODEL["metadata"]["component"]
    assert model["version"] == MANIFEST.digest
    assert [(each["name"], each["hashes"][0]["content"]) for each in model["components"]] == list(MANIFEST.files.items())
    dataset = next(each for each in MODEL["components"] if each["bom-ref"] == "dataset")
    assert (dataset["version"], dataset["hashes"]) == (REPORT.dataset_commit, [{"alg": "SHA-256", "content": "5" * 64}])
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert {"type": "exact_match", "slice": "golden", "value": "0.85"}.items() <= metrics[0].items()
    assert shares_of(MODEL, "exact_match") == {"golden": (0.85, 0.621073, 0.967929), "held_out": (1.0, 0.292402, 1.0)}
    with pytest.raises(ValueError, match="no performance metrics"):
        shares_of({}, "exact_match")
    assert bill_objections(MODEL, REPORT) == []
    metrics = [{**metrics[0], "value": "0.95"}, *metrics[1:]]
    edited = json.loads(json.dumps(MODEL))
    edited["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] = metrics
    [why] = bill_objections(edited, REPORT)
    assert "exact_match on golden is 0.95 0.621073 0.967929, in the report 0.85 0.621073 0.967929" in why
    assert "no performance metrics" in bill_objections({}, REPORT)[0]


def test_packages_have_their_licence_and_what_they_need() -> None:
    torch = "pkg:pypi/torch@2.13.0%2Bcpu"
    licences = {each["name"]: each.get("licenses") for each in SOFTWARE["components"]}
    assert licences == {
        "torch": [{"expression": "Apache-2.0 AND MIT"}],
        "numpy": [{"license": {"name": "BSD License"}}],
        "bare": None,
    }
    assert {"ref": torch, "dependsOn": ["pkg:pypi/numpy@2.0"]} in SOFTWARE["dependencies"]


def test_the_same_release_has_the_same_bill_and_another_one_another_number() -> None:
    assert software_bill(reversed(PACKAGES), "3.11.9", ATTESTED, ATTESTATION) == SOFTWARE
    assert software_bill(PACKAGES, "3.11.9", ATTESTED, "6" * 64)["serialNumber"] != SOFTWARE["serialNumber"] != MODEL["serialNumber"]
