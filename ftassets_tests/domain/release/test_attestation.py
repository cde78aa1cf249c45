"""The release statement and what makes it refuse a version."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.release.approval import Override
from ftassets.domain.release.attestation import PREDICATE_TYPE, objections, statement
from ftassets.domain.release.statement import STATEMENT_TYPE

FILES = {"merged/model.safetensors": "1" * 64, "adapter/adapter_model.safetensors": "2" * 64}
VERSION = "a" * 64
GENERATION = {"temperature": 0.0, "max_tokens": 48}
EXPIRES = 2000
PREDICATE: dict[str, Any] = {
    "verdicts": {"exact_match_better": "PASS", "latency_p95_no_worse": "PASS"},
    "rows": 800, "share": 0.5, "generation": GENERATION, "report_digest": "e" * 64, "expires_at": EXPIRES,
}  # fmt: skip
OVERRIDE = Override(
    loop="voice", version=VERSION, report_digest="e" * 64, name="anna", role="lead", reason="a fix that cannot wait", issued_at=900,
    expires_at=1500, gates={"b": "FAIL"},
)  # fmt: skip


def signed(**predicate: Any) -> bytes:
    return statement("voice", VERSION, FILES, {**PREDICATE, **predicate})


def why(
    payload: bytes,
    at: float | None = 1000.0,
    loop: str = "voice",
    version: str = VERSION,
    files: Mapping[str, str] = FILES,
    generation: Mapping[str, float | int] = GENERATION,
    first: bool = False,
) -> list[str]:
    return objections(payload, loop, version, files, generation, at, first)


@pytest.mark.parametrize("at", [1000.0, None])
def test_a_statement_allows_what_it_names(at: float | None) -> None:
    assert why(signed(), at) == []


@given(st.floats(min_value=0, max_value=4000))
def test_an_expired_statement_raises_nothing_and_keeps_everything(at: float) -> None:
    assert (why(signed(), at) == []) == (at < EXPIRES)
    assert why(signed(), None) == []


@pytest.mark.parametrize("expires", [None, "tomorrow", [2000]])
def test_a_statement_without_an_end_raises_nothing(expires: Any) -> None:
    assert why(signed(expires_at=expires)) == ["the attestation does not say until when it counts"]


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["PASS", "FAIL", "NOT ENOUGH DATA"]), min_size=1),
    st.floats(min_value=0, max_value=4000),
)
def test_an_override_forgives_its_gates_for_its_time_and_no_other(verdicts: dict[str, str], at: float) -> None:
    payload = signed(verdicts=verdicts, override=OVERRIDE.model_dump())
    failing = {gate: verdict for gate, verdict in verdicts.items() if verdict != "PASS"}
    allowed = at < EXPIRES and (not failing or (failing == {"b": "FAIL"} and at < OVERRIDE.expires_at))
    assert (why(payload, at) == []) == allowed
    assert why(payload, None) == []


@pytest.mark.parametrize(
    ("field", "value"), [("version", "b" * 64), ("report_digest", "f" * 64), ("loop", "triage"), ("gates", {}), ("expires_at", None)]
)
def test_an_override_of_something_else_forgives_nothing(field: str, value: Any) -> None:
    block = {**OVERRIDE.model_dump(), field: value}
    assert len(why(signed(verdicts={"b": "FAIL"}, override=block))) == 1


def test_other_generation_settings_are_another_version() -> None:
    for settings in ({}, {**GENERATION, "temperature": 2.0}):
        assert why(signed(), None, generation=settings) == ["the generation settings are not the attested ones"]


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
    assert reason in "; ".join(why(signed(), None, loop, version, files))


@pytest.mark.parametrize("verdict", ["FAIL", "NOT ENOUGH DATA", "", None, "pass"])
def test_one_verdict_that_is_not_pass_refuses(verdict: str | None) -> None:
    payload = signed(verdicts={"a": "PASS", "b": verdict})
    assert why(payload) == ["the attestation holds a verdict other than PASS"]


def test_no_verdict_is_no_pass() -> None:
    assert why(signed(verdicts={})) == ["the attestation holds no verdict"]
    without = statement("voice", VERSION, FILES, {key: value for key, value in PREDICATE.items() if key != "verdicts"})
    assert why(without, None) != []


ADOPTED: dict[str, Any] = {"adopted": True, "verdicts": {}, "by": "anna", "reason": "served for a year"}


def test_an_adoption_counts_for_the_first_version_of_a_loop_alone() -> None:
    assert why(signed(**ADOPTED), first=True) == []
    [reason] = why(signed(**ADOPTED))
    assert "the loop has a production version" in reason
    assert why(signed(**ADOPTED), None) == [], "what serves already goes on"


@pytest.mark.parametrize("missing", ["by", "reason"])
def test_an_adoption_counts_only_when_somebody_answers_for_it(missing: str) -> None:
    for nothing in ("", None):
        [reason] = why(signed(**{**ADOPTED, missing: nothing}), first=True)
        assert "who adopted it" in reason


@pytest.mark.parametrize("claim", ["yes", 1, "True", None, False])
def test_only_true_is_an_adoption(claim: Any) -> None:
    assert why(signed(**{**ADOPTED, "adopted": claim}), first=True) == ["the attestation holds no verdict"]


@pytest.mark.parametrize("field", ["_type", "predicateType"])
def test_another_kind_of_statement_is_refused(field: str) -> None:
    content = json.loads(signed())
    content[field] = "https://slsa.dev/provenance/v1"
    [reason] = why(json.dumps(content).encode(), None)
    assert reason.startswith("the attestation is not a release statement")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        statement("voice", VERSION, {}, {"verdicts": ["PASS"]}),
        statement("voice", VERSION, {}, {"verdicts": 7}),
        statement("voice", VERSION, {}, PREDICATE).replace(b'"subject":[]', b'"subject":[{"name":"x"}]'),
        statement("voice", VERSION, {}, PREDICATE).replace(b'"subject":[]', b'"subject":null'),
    ],
)
def test_what_is_no_statement_is_refused_not_raised(payload: bytes) -> None:
    (reason,) = why(payload, None, files={})
    assert "not a release statement" in reason


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.sampled_from(["1" * 64, "2" * 64]), max_size=3))
def test_only_the_attested_files_pass(files: dict[str, str]) -> None:
    payload = statement("voice", VERSION, {"a": "1" * 64}, PREDICATE)
    assert (why(payload, None, files=files) == []) == (files == {"a": "1" * 64})
