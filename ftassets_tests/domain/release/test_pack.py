"""A pack is bound to its attestation, and what was changed in it is named."""

from collections.abc import Mapping

import pytest

from ftassets.domain.canonical import digest_of_bytes
from ftassets.domain.release.pack import (
    ATTESTATION,
    CARD,
    DATASET,
    MODEL_BILL,
    MODEL_SIGNATURE,
    PROVENANCE,
    SOFTWARE_BILL,
    pack_files,
    pack_objections,
    pack_statement,
)
from ftassets.domain.release.statement import read_statement
from ftassets_tests.domain.release.packs import LOOP, MANIFEST, PACKAGES, REPORT, payload


def files(croissant: bytes | None = b"{}") -> dict[str, bytes]:
    return pack_files(LOOP, MANIFEST, REPORT, payload(), b"an envelope", croissant, PACKAGES, "3.11.9", b"a bundle")


def why(
    there: Mapping[str, bytes], signed: Mapping[str, bytes] | None = None, of: bytes | None = None, report: object = REPORT
) -> list[str]:
    """Objections to files after others were signed."""
    _, subjects, predicate = read_statement(pack_statement("support", MANIFEST.digest, payload(), signed or files()))
    return pack_objections(subjects, predicate, there, of or payload(), report)


def test_the_manifest_names_the_attestation_and_every_file() -> None:
    made = files()
    assert sorted(made) == sorted([CARD, MODEL_BILL, SOFTWARE_BILL, PROVENANCE, ATTESTATION, DATASET, MODEL_SIGNATURE])
    assert DATASET not in files(None)
    assert made == files(), "the same release has the same bytes"
    _, subjects, predicate = read_statement(pack_statement("support", MANIFEST.digest, payload(), made))
    assert subjects == {name: digest_of_bytes(content) for name, content in made.items()}
    assert predicate["attestation"] == digest_of_bytes(payload())
    assert why(made) == []


def test_a_changed_a_missing_and_an_unsigned_file() -> None:
    made = files()
    assert why({**made, PROVENANCE: b"{}"}) == [f"{PROVENANCE} is not the file that was signed"]
    assert why({name: content for name, content in made.items() if name != DATASET}) == [f"{DATASET} is missing"]
    assert why({**made, "weights.bin": b""}) == ["weights.bin is not the file that was signed"]


@pytest.mark.parametrize("name", [CARD, MODEL_BILL])
def test_a_number_is_compared_with_the_report_though_the_file_was_signed(name: str) -> None:
    made = files()
    edited = {**made, name: made[name].replace(b"0.85", b"0.95")}
    assert edited != made
    found = why(edited, signed=edited)
    assert found
    assert all("exact_match" in each for each in found)
    assert why(edited, signed=edited, report=None) == [], "without the report nothing can be compared"


def test_a_pack_of_another_attestation() -> None:
    other = payload(report_digest="3" * 64)
    found = why(files(), of=other)
    assert any("is of the attestation" in each for each in found)
    assert any("says report_digest aaaaaaaaaaaa, the attestation 333333333333" in each for each in found)
    assert any("is not a release statement" in each for each in why(files(), of=b"{}"))


def test_a_bill_that_is_not_json() -> None:
    made = {**files(), MODEL_BILL: b"<bom>"}
    assert why(made, signed=made) == [f"{MODEL_BILL} is not JSON"]
