from typing import Any

import pytest
from pydantic import ValidationError

from ftassets.config.version_engine import serving_of, without_room
from ftassets.domain.release.version import VersionManifest
from ftassets.testing.releases import loop_config


def version(**stated: Any) -> VersionManifest:
    return VersionManifest.model_validate(
        {"kind": "adapter", "base_model": "tiny", "files": {}, "tokenizer_digest": None, "generation": {}, **stated}
    )


def test_a_version_has_the_engine_of_its_loop_and_a_base_that_of_a_loop_on_it() -> None:
    loops = {"a": loop_config("a"), "b": loop_config("b", base_model="large", serving={"engine": "vllm"})}
    assert serving_of(version(loop="a"), loops).engine == "transformers"
    assert serving_of(version(loop="b"), loops).engine == "vllm"
    assert serving_of(version(kind="base", base_model="large"), loops).engine == "vllm"
    assert serving_of(version(loop="gone", base_model="other"), loops).engine == "transformers"


def test_loops_share_a_server_only_with_the_same_base_and_settings() -> None:
    vllm = {"engine": "vllm"}
    assert set(without_room({name: loop_config(name, serving=vllm) for name in "ab"})) == {"a", "b"}
    assert without_room({"a": loop_config("a", serving=vllm), "b": loop_config("b", serving=vllm, base_model="other")}) == {}
    own = {"engine": "vllm", "vllm": {"max_model_len": 512}}
    assert without_room({"a": loop_config("a", serving=vllm), "b": loop_config("b", serving=own)}) == {}
    merged = {"engine": "vllm", "vllm": {"merged": True}}
    assert without_room({name: loop_config(name, serving=merged) for name in "abc"}) == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"serving": {"engine": "url"}}, "engine url needs url"),
        ({"serving": {"url": "https://a.example/v1"}}, "url has no effect with engine transformers"),
        ({"serving": {"engine": "vllm", "api_key_env": "KEY"}}, "api_key_env has no effect without url"),
        ({"serving": {"engine": "url", "url": "http://a.example/v1", "api_key_env": "KEY"}}, "not sent over plain http"),
        ({"serving": {"engine": "vllm", "url": "https://a.example/v1", "vllm": {"merged": True}}}, "leave out url"),
        ({"serving": {"engine": "vllm"}, "train": {"lora_r": 32}}, "train.lora_r is 32, and serving.vllm.max_lora_rank 16"),
        ({"serving": {"engine": "vllm"}, "train": {"use_dora": True}}, "vLLM takes LoRA adapters only"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        loop_config(**changes)
