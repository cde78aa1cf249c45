from typing import Any

import pytest

from ftassets.domain.release.adoption import adapter_objections, adopted_statement
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.testing.releases import loop_config

NAMES = ["adapter_config.json", "adapter_model.safetensors", "README.md"]
CONFIG = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "smol", "r": 8}


def test_an_adapter_of_the_loops_base_is_taken() -> None:
    assert adapter_objections(NAMES, CONFIG, "smol") == []


@pytest.mark.parametrize(
    ("names", "changes", "why"),
    [
        (NAMES[:1], {}, "adapter_model.safetensors not there"),
        (NAMES, {"peft_type": "PREFIX_TUNING"}, "only LoRA"),
        (NAMES, {"task_type": "SEQ_CLS"}, "not CAUSAL_LM"),
        (NAMES, {"base_model_name_or_path": None}, "trained on None"),
        (NAMES, {"base_model_name_or_path": "smol-2"}, "base_model is 'smol'"),
    ],
)
def test_another_adapter_is_refused_with_the_reason(names: list[str], changes: dict[str, Any], why: str) -> None:
    (found,) = adapter_objections(names, CONFIG | changes, "smol")
    assert why in found


def test_the_statement_says_who_answers_and_holds_no_verdict() -> None:
    loop = loop_config("support")
    manifest = VersionManifest(
        kind="adapter", base_model="tiny", files={"merged/a": "1" * 64}, tokenizer_digest="0" * 64, generation={"max_tokens": 8}
    )
    payload = adopted_statement(loop, manifest, "anna", "served for a year", 1000.5, {"code_commit": "c1"}, {"entries": 3})
    _, subjects, predicate = read_statement(payload)
    assert subjects == manifest.files
    assert (predicate["loop"], predicate["version"], predicate["generation"]) == ("support", manifest.digest, {"max_tokens": 8})
    assert (predicate["adopted"], predicate["verdicts"], predicate["by"], predicate["reason"]) == (True, {}, "anna", "served for a year")
    assert predicate["expires_at"] - predicate["issued_at"] == pytest.approx(loop.release.valid_for, abs=1)
