"""The training methods: which settings each of them reads, what it usually takes, and which version it can continue from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ftassets.domain.release.version import ADAPTER, FULL, MERGED, VersionManifest

_OF_LORA = ("lora_r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora", "use_dora")


@dataclass(frozen=True)
class Method:
    """What is known of a method without running it.

    `adapter` is PEFT's type of the adapter that it trains, None of a method that changes the base's own weights. `settings` are fields
    of train that it reads and others do not, `defaults` what fields are that a loop file leaves out, `rates` the typical range of
    learning rates.
    """

    what: str
    adapter: str | None
    settings: tuple[str, ...]
    rates: tuple[float, float]
    defaults: Mapping[str, Any] = field(default_factory=dict)


METHODS: Mapping[str, Method] = {
    "lora": Method("low-rank matrices added to the base's layers", "LORA", _OF_LORA, (1e-5, 2e-4)),
    "qlora": Method("LoRA on a base whose weights are quantized to 4 bits", "LORA", _OF_LORA, (1e-5, 2e-4)),
    "prefix": Method(
        "learned tokens in front of each prompt", "TRAINABLE_TOKENS", ("prefix_tokens",), (1e-3, 0.3), {"learning_rate": 1e-2}
    ),
    "full": Method("all weights of the base", None, (), (1e-6, 5e-5), {"learning_rate": 2e-5}),
}
ALIGN_METHODS: Mapping[str, str] = {
    "dpo": "pairs of a preferred and a rejected answer",
    "kto": "answers that users rated up or down, without a pair",
}
SETTINGS = {name for method in METHODS.values() for name in method.settings}  # those that not every method reads


def unread(method: str) -> set[str]:
    """Fields of train that this method does not read."""
    return SETTINGS.difference(METHODS[method].settings)


def continued_folder(method: str, before: VersionManifest | None) -> tuple[str | None, str | None]:
    """The folder of production's version from which a training by this method continues; if it cannot, why.

    Without a version that was trained here there is neither. An adapter continues one of its type; all weights may be trained on from
    any merged copy but one with learned tokens, whose vocabulary is larger than the base's.
    """
    if before is None or before.kind not in (ADAPTER, FULL):
        return None, None
    earlier = before.recipe.get("method", "lora")
    if METHODS[method].adapter is None:
        if earlier != "prefix":
            return MERGED, None
    elif before.kind == ADAPTER and METHODS[method].adapter == METHODS[earlier].adapter:
        return ADAPTER, None
    return None, f"{method} cannot continue a version that was trained with {earlier}"
