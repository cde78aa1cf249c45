"""The release statement and what makes it refuse a version."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.attestation import PREDICATE_TYPE, STATEMENT_TYPE, objections, statement

FILES = {"merged/model.safetensors": "1" * 64, "adapter/adapter_model.safetensors": "2" * 64}
VERSION = "a" * 64
PREDICATE: dict[str, Any] = {"verdicts": {"exact_match_better": "PASS", "latency_p95_no_worse": "PASS"}, "rows": 800, "share": 0.5}


def signed(**predicate: Any) -> bytes:
    return statement("voice", VERSION, FILES, {**PREDICATE, **predicate})


def test_a_statement_allows_what_it_names() -> None:
    assert objections(signed(), "voice", VERSION, FILES) == []


def test_the_bytes_are_an_in_toto_statement() -> None:
    content = json.loads(signed())
    assert (content["_type"], content["predicateType"]) == (STATEMENT_TYPE, PREDICATE_TYPE)
    assert content["subject"] == [
        {"name": "adapter/adapter_model.safetensors", "digest": {"sha256": "2" * 64}},
        {"name": "merged/model.safetensors", "digest": {"sha256": "1" * 64}},
    ]
    assert content["predicate"] == {**PREDICATE, "loop": "voice", "version": VERSION}


def test_numbers_keep_their_form() -> None:
    assert b'"rows":800,"share":0.5' in signed()


def test_bytes_do_not_depend_on_order() -> None:
    assert statement("voice", VERSION, dict(reversed(FILES.items())), dict(reversed(PREDICATE.items()))) == signed()


def test_a_predicate_cannot_name_another_loop_or_version() -> None:
    assert signed(loop="other", version="b" * 64) == signed()


def test_not_a_number_is_not_signed() -> None:
    with pytest.raises(ValueError, match="JSON"):
        signed(share=float("nan"))


@pytest.mark.parametrize(
    ("loop", "version", "files", "reason"),
    [
        ("triage", VERSION, FILES, "for loop 'voice', not 'triage'"),
        ("voice", "b" * 64, FILES, "for version aaaaaaaaaaaa, not bbbbbbbbbbbb"),
        ("voice", VERSION, {**FILES, "merged/model.safetensors": "3" * 64}, "merged/model.safetensors is not the attested file"),
        ("voice", VERSION, {**FILES, "merged/extra.safetensors": "3" * 64}, "merged/extra.safetensors is not the attested file"),
        ("voice", VERSION, {"merged/model.safetensors": "1" * 64}, "adapter/adapter_model.safetensors is not the attested file"),
        ("voice", VERSION, {}, "is not the attested file"),
    ],
)
def test_anything_else_is_refused_with_its_reason(loop: str, version: str, files: dict[str, str], reason: str) -> None:
    assert reason in "; ".join(objections(signed(), loop, version, files))


@pytest.mark.parametrize("verdict", ["FAIL", "NOT ENOUGH DATA", "", None, "pass"])
def test_one_verdict_that_is_not_pass_refuses(verdict: str | None) -> None:
    payload = signed(verdicts={"a": "PASS", "b": verdict})
    assert objections(payload, "voice", VERSION, FILES) == ["the attestation holds a verdict other than PASS"]


def test_no_verdict_is_no_pass() -> None:
    assert objections(signed(verdicts={}), "voice", VERSION, FILES) == ["the attestation holds no verdict"]
    without = statement("voice", VERSION, FILES, {"rows": 800})
    assert objections(without, "voice", VERSION, FILES) != []


def test_another_kind_of_statement_is_refused() -> None:
    for field in ("_type", "predicateType"):
        content = json.loads(signed())
        content[field] = "https://slsa.dev/provenance/v1"
        assert objections(json.dumps(content).encode(), "voice", VERSION, FILES) == ["the attestation is not a release statement"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"predicate": [], "subject": []}',
        b'{"predicate": {"verdicts": ["PASS"]}, "subject": []}',
        b'{"predicate": {"verdicts": {}}, "subject": [{"name": "x"}]}',
        b'{"predicate": null, "subject": null}',
        b'{"predicate": {"verdicts": 7}, "subject": []}',
    ],
)
def test_what_is_no_statement_is_refused_not_raised(payload: bytes) -> None:
    (reason,) = objections(payload, "voice", VERSION, {})
    assert "not a release statement" in reason


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.sampled_from(["1" * 64, "2" * 64]), max_size=3))
def test_only_the_attested_files_pass(files: dict[str, str]) -> None:
    payload = statement("voice", VERSION, {"a": "1" * 64}, PREDICATE)
    assert (objections(payload, "voice", VERSION, files) == []) == (files == {"a": "1" * 64})
