"""What goes with a release to people outside of the team: card, bills of materials, provenance, and the dataset's description.

The pack's manifest is a signed statement over the digests of its files that names the digest of the attestation. What may take traffic
follows from the attestation alone: a release without a pack is as valid as one with it.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import digest_of_bytes
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.bills import Package, bill_objections, model_bill, software_bill
from ftassets.domain.release.model_card import NAME as CARD
from ftassets.domain.release.model_card import card_objections, model_card
from ftassets.domain.release.model_signature import NAME as MODEL_SIGNATURE
from ftassets.domain.release.provenance import provenance
from ftassets.domain.release.statement import read_statement, write_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.errors import InvalidInput

PACK_TYPE = "urn:ftassets:pack:v1"
MANIFEST = "pack.dsse.json"
ATTESTATION = "attestation.dsse.json"  # the envelope as it is stored with the releases
MODEL_BILL = "model.cdx.json"
SOFTWARE_BILL = "environment.cdx.json"
PROVENANCE = "provenance.json"
DATASET = "dataset.croissant.json"


def pack_files(
    loop: LoopConfig,
    manifest: VersionManifest,
    report: EvalReport,
    payload: bytes,
    envelope: bytes,
    croissant: bytes | None,
    packages: Iterable[Package] | None,
    python: str,
    signature: bytes | None,
) -> dict[str, bytes]:
    """The files of a release's pack but for its manifest, by name. `payload` is the attestation, `envelope` holds it.

    `croissant` is the description that the dataset's commit has, None if it has none. `packages` are those of the environment that
    released, None if it is not known any more. `signature` is the OpenSSF model signature, None if the release key cannot make one.
    """
    attestation, (_, _, attested) = digest_of_bytes(payload), read_statement(payload)
    described = {DATASET: croissant} if croissant is not None else {}
    signed = {MODEL_SIGNATURE: signature} if signature is not None else {}
    environment = {} if packages is None else {SOFTWARE_BILL: _json(software_bill(packages, python, attested, attestation))}
    return {
        CARD: model_card(loop, manifest, report, attested, attestation).encode(),
        MODEL_BILL: _json(model_bill(manifest, report, attested, attestation, digest_of_bytes(croissant) if croissant else None)),
        **environment,
        PROVENANCE: provenance(manifest, report, attested, attestation),
        ATTESTATION: envelope,
        **described,
        **signed,
    }


def pack_statement(loop: str, version: str, payload: bytes, files: Mapping[str, bytes]) -> bytes:
    """The bytes to sign: the digest of each file, and the attestation that they are about."""
    _, _, attested = read_statement(payload)
    named = {"loop": loop, "version": version, "attestation": digest_of_bytes(payload), "report_digest": attested["report_digest"]}
    return write_statement(PACK_TYPE, {name: digest_of_bytes(content) for name, content in files.items()}, named)


def pack_objections(
    subjects: Mapping[str, str], predicate: Mapping[str, Any], files: Mapping[str, bytes], payload: bytes, report: EvalReport | None
) -> list[str]:
    """Why a pack is not of the attestation with these bytes and of its report; empty means it is.

    `subjects` and `predicate` are those of its manifest, `files` those in its folder. Each number that differs is named;
    without the report no number is compared.
    """
    why = [f"{name} is missing" for name in subjects if name not in files]
    why += [f"{name} is not the file that was signed" for name, content in files.items() if digest_of_bytes(content) != subjects.get(name)]
    if predicate.get("attestation") != digest_of_bytes(payload):
        why.append(
            f"{MANIFEST} is of the attestation {str(predicate.get('attestation'))[:12]}, in its folder is {digest_of_bytes(payload)[:12]}"
        )
    try:
        _, _, attested = read_statement(payload)
        verdicts = dict(attested["verdicts"])
    except (InvalidInput, KeyError, TypeError, ValueError) as error:
        return [*why, f"{ATTESTATION} is not a release statement ({error!r})"]
    why += [
        f"{MANIFEST} says {name} {str(predicate.get(name))[:12]}, the attestation {str(attested.get(name))[:12]}"
        for name in ("loop", "version", "report_digest")
        if predicate.get(name) != attested.get(name)
    ]
    if report is None:
        return why
    if CARD in files:
        why += card_objections(files[CARD].decode(errors="replace"), report, verdicts)
    if MODEL_BILL in files:
        try:
            why += bill_objections(json.loads(files[MODEL_BILL]), report)
        except ValueError:
            why.append(f"{MODEL_BILL} is not JSON")
    return why


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
