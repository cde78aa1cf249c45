"""Which settings a method reads, what they are if a loop file leaves them out, and what a method continues from."""

from typing import Any

import pytest
from pydantic import ValidationError

from ftassets.config.loop import Train
from ftassets.domain.release.version import ADAPTER, FULL, MERGED, VersionManifest
from ftassets.domain.training.method import METHODS, continued_folder, unread


def version(kind: str, **recipe: Any) -> VersionManifest:
    return VersionManifest(kind=kind, base_model="b", files={}, tokenizer_digest=None, generation={}, recipe=recipe)


@pytest.mark.parametrize(
    ("method", "before", "folder"),
    [
        ("lora", version(ADAPTER, method="lora"), ADAPTER),
        ("lora", version(ADAPTER, method="qlora"), ADAPTER),
        ("lora", version(ADAPTER), ADAPTER),  # adopted or trained by an early release
        ("lora", version(ADAPTER, method="prefix"), None),
        ("lora", version(FULL, method="full"), None),
        ("prefix", version(ADAPTER, method="prefix"), ADAPTER),
        ("prefix", version(FULL, method="full"), None),
        ("full", version(FULL, method="full"), MERGED),
        ("full", version(ADAPTER, method="lora"), MERGED),
        ("full", version(ADAPTER, method="prefix"), None),
        ("full", version("endpoint"), None),
        ("lora", version("base"), None),
        ("lora", None, None),
    ],
)
def test_a_method_continues_what_it_can_load(method: str, before: VersionManifest | None, folder: str | None) -> None:
    found, why = continued_folder(method, before)
    assert found == folder
    trained_here = before is not None and before.kind in (ADAPTER, FULL)
    assert (why is not None) == (trained_here and folder is None)


def test_defaults_follow_the_method_and_give_way_to_what_is_written() -> None:
    assert Train().learning_rate == Train(method="qlora").learning_rate == 2e-4
    assert {name: Train(method=name).learning_rate for name in ("full", "prefix")} == {"full": 2e-5, "prefix": 1e-2}
    assert Train(method="full", learning_rate=1e-4).learning_rate == 1e-4
    assert Train.model_validate(Train(method="full", epochs=1).model_dump()) == Train(method="full", epochs=1)


def test_every_setting_of_a_method_is_a_field_and_the_others_do_not_read_it() -> None:
    for name, method in METHODS.items():
        assert {*method.settings, *method.defaults} <= Train.model_fields.keys()
        assert unread(name).isdisjoint(method.settings)
        assert method.rates[0] <= Train(method=name).learning_rate <= method.rates[1]
    assert "lora_r" in unread("full")
    assert "prefix_tokens" in unread("lora")


def test_a_command_of_the_user_s_leaves_a_lora_adapter() -> None:
    with pytest.raises(ValidationError, match="command leaves a LoRA adapter, and method is full"):
        Train(method="full", command=["train"])
