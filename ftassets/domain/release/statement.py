"""The form of everything that is signed here: an in-toto Statement as canonical JSON."""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from ftassets.domain.canonical import canonical_json
from ftassets.errors import InvalidInput

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def write_statement(kind: str, subjects: Mapping[str, str], predicate: Mapping[str, Any]) -> bytes:
    """JSON bytes of a Statement (https://github.com/in-toto/attestation, v1) of a predicate type.

    `subjects` maps names to SHA-256 hex digests. The bytes are signed and kept as they are: a second serialisation
    could write 800 as 800.0. Raises ValueError on NaN and infinity.
    """
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
            "predicateType": kind,
            "predicate": predicate,
        }
    )


def payload_of(envelope: bytes) -> bytes:
    """The bytes that a DSSE envelope says were signed, whoever signed it. Raises InvalidInput unless it is an envelope."""
    try:
        return b64decode(json.loads(envelope)["payload"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(f"not a signed envelope ({error!r})") from error


def read_statement(payload: bytes) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Predicate type, subjects and predicate of a Statement. Raises InvalidInput unless the bytes are one."""
    try:
        content = json.loads(payload)
        if content["_type"] != STATEMENT_TYPE:
            raise ValueError(f"of type {content['_type']!r}")
        subjects = {subject["name"]: subject["digest"]["sha256"] for subject in content["subject"]}
        return content["predicateType"], subjects, dict(content["predicate"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"not an in-toto statement ({error!r})") from error
