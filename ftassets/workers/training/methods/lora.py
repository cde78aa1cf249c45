"""LoRA: low-rank matrices added to the base's layers (Hu et al. 2021), with rsLoRA and DoRA as settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftassets.config.loop import Train
from ftassets.domain.release.version import ADAPTER
from ftassets.workers.adapters import put_on
from ftassets.workers.training.attention import attention_layers
from ftassets.workers.training.methods.base import Method, load_model, merge_adapter, save_adapter


class Lora(Method):
    """A LoRA adapter on the whole base."""

    def refusal(self, recipe: Mapping[str, Any]) -> str | None:
        """The first setting of the adapter's shape that differs."""
        if self.start_from is None:
            return None
        config = json.loads((self.start_from / "adapter_config.json").read_bytes())
        names = ("lora_r", "lora_alpha", "use_rslora", "use_dora")
        asked = {name: getattr(self.train, name) for name in names}
        found = {name: config.get(name.replace("lora_r", "r"), False) for name in names}
        if "target_modules" in recipe:
            asked["target_modules"], found["target_modules"] = self.train.target_modules, recipe["target_modules"]
        return next((f"{name} {found[name]}, and train asks for {value}" for name, value in asked.items() if found[name] != value), None)

    def frozen(self, dtype: Any) -> Any:
        """The base that gets the adapter."""
        return load_model(self.base, dtype)

    def model(self, tokenizer: Any, dtype: Any) -> Any:
        """The base with a trainable adapter on it: a new one, or the one to continue from."""
        from peft import get_peft_model

        model = self.frozen(dtype)
        if self.start_from:
            return put_on(model, self.start_from, trainable=True)
        return get_peft_model(model, adapter_config(self.train, model))

    def save(self, model: Any, tokenizer: Any, version: Path) -> None:
        """Write the adapter."""
        save_adapter(model, self.base_model, version / ADAPTER)

    def merge(self, version: Path) -> None:
        """Base plus adapter."""
        merge_adapter(self.base, version, self.base)


def adapter_config(train: Train, model: Any) -> Any:
    """The LoRA adapter that training puts on this base. Raises TrainingStopped for attention layers of a model that names none so."""
    from peft import LoraConfig

    return LoraConfig(
        r=train.lora_r,
        lora_alpha=train.lora_alpha,
        lora_dropout=train.lora_dropout,
        target_modules=attention_layers(model) if train.target_modules == "attention" else train.target_modules,
        use_rslora=train.use_rslora,
        use_dora=train.use_dora,
        task_type="CAUSAL_LM",
    )
