"""A small release for tests of its pack."""

from typing import Any

from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.attestation import statement
from ftassets.domain.release.bills import Package
from ftassets.domain.release.version import VersionManifest
from ftassets.testing.releases import loop_config

LOOP: LoopConfig = loop_config(description="Lamps | and\nparcels")
MANIFEST = VersionManifest(
    kind="adapter", base_model="someone/Small-1B", base_digest="b" * 64, files={"adapter/adapter_model.safetensors": "1" * 64},
    tokenizer_digest="0" * 64, generation={"temperature": 0.0, "max_tokens": 48}, dataset_commit="c" * 40, loop="support",
    lineage="starts from the untuned base", recipe={"lora_r": 8, "system_prompt": "Answer."},
)  # fmt: skip
PACKAGES = [
    Package("torch", "2.13.0+cpu", "Apache-2.0 AND MIT", "", ("numpy", "not-here")),
    Package("numpy", "2.0", "", "BSD License", ()),
    Package("bare", "1", "", "", ()),
]


def scores(right: int, rows: int = 20) -> list[Score]:
    """Rows of two slices, of which so many golden ones are right."""
    golden = [Score(id=f"g{n}", slice="golden", exact=n < right, fields=n / rows, valid=n != 0) for n in range(rows)]
    return [*golden, *(Score(id=f"h{n}", slice="held_out", exact=True, fields=1.0, valid=True) for n in range(3))]


REPORT = EvalReport(
    loop="support", run_id="run-1", candidate=MANIFEST.digest, production="f" * 64, production_is_base=False, base="b" * 64,
    dataset_commit="c" * 40, golden_commit="d" * 40, policy_digest="e" * 64, generation=MANIFEST.generation,
    scores={"candidate": scores(17), "production": scores(11), "base": scores(0)},
    latency_ms={"candidate": [10.0, 20.0, 30.0], "production": [9.0, 9.0, 9.0]}, answers={},
    metrics={"rouge": {role: {"golden": {"rougeL": value}} for role, value in (("candidate", 0.8), ("production", 0.5), ("base", 0.1))}},
)  # fmt: skip
ATTESTED: dict[str, Any] = {
    "report_digest": "a" * 64, "verdicts": {"exact_match_better": "PASS", "a|b": "FAIL"}, "issued_at": 1_700_000_000,
    "expires_at": 1_707_776_000, "code_version": "0.1.0", "code_digest": "9" * 64, "code_commit": "8" * 40, "loop": "support",
}  # fmt: skip
ATTESTATION = "7" * 64


def payload(**changes: Any) -> bytes:
    """The bytes of the attestation."""
    return statement("support", MANIFEST.digest, MANIFEST.files, {**ATTESTED, **changes})
