"""The release attestation: what a promoted version is and which verdicts it rests on, as an in-toto Statement."""

import json
from collections.abc import Mapping
from typing import Any

from ftassets.domain.canonical import canonical_json

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:ftassets:release:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def statement(loop: str, version: str, files: Mapping[str, str], predicate: Mapping[str, Any]) -> bytes:
    """JSON bytes of the Statement (https://github.com/in-toto/attestation, v1); one subject per file of the version.

    `files` maps relative paths to SHA-256 hex digests. The bytes are signed and kept as they are: a second
    serialisation could write 800 as 800.0.
    """
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(files.items())],
            "predicateType": PREDICATE_TYPE,
            "predicate": {**predicate, "loop": loop, "version": version},
        }
    )


def objections(payload: bytes, loop: str, version: str, files: Mapping[str, str]) -> list[str]:
    """Why a verified payload does not allow this version to serve this loop; empty means it does.

    `files` are the digests of what lies on disk now.
    """
    try:
        content = json.loads(payload)
        predicate = dict(content["predicate"])
        verdicts = dict(predicate["verdicts"])
        attested = {s["name"]: s["digest"]["sha256"] for s in content["subject"]}
    except (ValueError, KeyError, TypeError) as error:
        return [f"the attestation is not a release statement ({error!r})"]
    why = []
    if content.get("_type") != STATEMENT_TYPE or content.get("predicateType") != PREDICATE_TYPE:
        why.append("the attestation is not a release statement")
    if predicate.get("loop") != loop:
        why.append(f"the attestation is for loop {predicate.get('loop')!r}, not {loop!r}")
    if predicate.get("version") != version:
        why.append(f"the attestation is for version {str(predicate.get('version'))[:12]}, not {version[:12]}")
    if not verdicts:
        why.append("the attestation holds no verdict")
    if any(verdict != "PASS" for verdict in verdicts.values()):
        why.append("the attestation holds a verdict other than PASS")
    for name in sorted(attested.keys() | files.keys()):
        if attested.get(name) != files.get(name):
            why.append(f"{name} is not the attested file")
    return why
