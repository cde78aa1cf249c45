"""What a training method does; nothing else of a training knows which one it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftassets.config.loop import Train
from ftassets.domain.release.version import ADAPTER, MERGED
from ftassets.workers.adapters import put_on
from ftassets.workers.training.base_models import copy_tokenizer, name_stops


class Method(ABC):
    """One way to fine-tune a base: its folder, and the name by which versions know it. `start_from` is the folder to continue from,
    an adapter or merged weights."""

    kind = ADAPTER  # of the versions it makes

    def __init__(self, train: Train, base: Path, base_model: str, start_from: Path | None = None) -> None:
        self.train, self.base, self.base_model, self.start_from = train, base, base_model, start_from

    def refusal(self, recipe: Mapping[str, Any]) -> str | None:
        """What of the weights to continue from is not as the settings ask; `recipe` is that of their training, empty if not known."""
        return None

    def tokenizer(self) -> Any:
        """The tokenizer that rows are written with."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.base, trust_remote_code=False)

    @abstractmethod
    def model(self, tokenizer: Any, dtype: Any) -> Any:
        """A model with at least one trainable weight; `dtype` is the torch type in which this machine computes best."""

    @abstractmethod
    def save(self, model: Any, tokenizer: Any, version: Path) -> None:
        """Write what was trained into the folder of a version."""

    @abstractmethod
    def merge(self, version: Path) -> None:
        """Write the copy that is served, as bf16 weights with tokenizer and chat template, from what `save` wrote."""


def load_model(folder: Path, dtype: Any, **options: Any) -> Any:
    """A model of a folder's safetensors, for training."""
    import torch
    from transformers import AutoModelForCausalLM

    # on CPU the backward pass of sdpa takes half as long as all matrix products together
    attention = "sdpa" if torch.cuda.is_available() else "eager"
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention, use_safetensors=True, trust_remote_code=False, **options
    )


def save_adapter(model: Any, base_model: str, target: Path) -> None:
    """Write a PEFT model's adapter, the same bytes for the same weights."""
    # the base by its name, not by where it lies here: the config is part of the version's identity
    config = model.peft_config["default"]
    config.base_model_name_or_path = base_model
    config.target_modules = sorted(config.target_modules)  # a set, written in another order by each process
    model.save_pretrained(target, safe_serialization=True, save_embedding_layers=False)
    (target / "README.md").unlink(missing_ok=True)


def merge_adapter(base: Path, version: Path, tokenizer_from: Path) -> None:
    """Write base plus adapter as bf16 weights. Also after QLoRA into the full base: the 4-bit copy would lose precision."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, use_safetensors=True, trust_remote_code=False)
    save_merged(put_on(model, version / ADAPTER).merge_and_unload(), tokenizer_from, version / MERGED)


def save_merged(model: Any, tokenizer_from: Path, target: Path) -> None:
    """Write a model as it is served, with the tokenizer of a folder."""
    from transformers import AutoTokenizer

    model.config._name_or_path = ""
    name_stops(model, AutoTokenizer.from_pretrained(tokenizer_from, trust_remote_code=False))
    model.save_pretrained(target)
    copy_tokenizer(tokenizer_from, target)
