"""The provenance has SLSA's form and names what the version was made from."""

from ftassets.domain.release.provenance import PREDICATE_TYPE, provenance
from ftassets.domain.release.statement import read_statement
from ftassets_tests.domain.release.packs import ATTESTATION, ATTESTED, MANIFEST, REPORT


def test_run_commit_code_and_data_are_named() -> None:
    kind, subjects, predicate = read_statement(provenance(MANIFEST, REPORT, ATTESTED, ATTESTATION))
    assert (kind, subjects) == (PREDICATE_TYPE, MANIFEST.files)
    built, ran = predicate["buildDefinition"], predicate["runDetails"]
    assert built["buildType"]
    assert built["externalParameters"] == {"loop": "support", "training": {"lora_r": 8}, "generation": MANIFEST.generation}
    digests = {each["annotations"]["is"]: each["digest"] for each in [*built["resolvedDependencies"], *ran["byproducts"]]}
    assert digests == {
        "base model": {"sha256": REPORT.base},
        "dataset": {"commit": REPORT.dataset_commit},
        "golden set": {"commit": REPORT.golden_commit},
        "code": {"gitCommit": "8" * 40, "sha256": "9" * 64},
        "eval report": {"sha256": "a" * 64},
        "attestation": {"sha256": ATTESTATION},
    }
    assert ran["metadata"] == {"invocationId": "run-1", "finishedOn": "2023-11-14T22:13:20Z"}


def test_weights_that_training_continued_from_are_named() -> None:
    continued = MANIFEST.model_copy(update={"recipe": {"start_from": "4" * 64}})
    _, _, predicate = read_statement(provenance(continued, REPORT, {**ATTESTED, "code_commit": None}, ATTESTATION))
    needs = {each["annotations"]["is"]: each["digest"] for each in predicate["buildDefinition"]["resolvedDependencies"]}
    assert needs["weights that training continued from"] == {"sha256": "4" * 64}
    assert needs["code"] == {"sha256": "9" * 64}
