"""Taking an adapter that something else trained: only safetensors, only LoRA, and only if each of its weights has a place in the base."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftassets.backends.artifacts.version_folder import FORBIDDEN
from ftassets.domain.release.adoption import AdoptionRefused, adapter_objections

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def take_adapter(folder: Path, base: Path, target: Path, base_model: str) -> int:
    """Copy the adapter in `folder`, which was trained on the files of `base`, to `target`; returns the number of its weights.

    Its configuration names the base by `base_model` then. Raises AdoptionRefused.
    """
    config = {**read_config(folder), "base_model_name_or_path": base_model}
    refuse(folder, config, base_model)
    if isinstance(names := config.get("target_modules"), list):
        config["target_modules"] = sorted(names)
    copy(folder, config, target)
    return check_fit(base, target)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of the adapter; empty without one. Raises AdoptionRefused."""
    try:
        config = json.loads((folder / CONFIG).read_bytes()) if (folder / CONFIG).is_file() else {}
    except ValueError as error:
        raise AdoptionRefused(f"{folder / CONFIG} is not JSON: save the adapter with PEFT's save_pretrained") from error
    return config if isinstance(config, dict) else {}


def refuse(folder: Path, config: Mapping[str, Any], base_model: str) -> None:
    """Raises AdoptionRefused unless the folder holds a LoRA adapter of that base, as safetensors."""
    names = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if refused := sorted(name for name in names if Path(name).suffix.lower() in FORBIDDEN):
        raise AdoptionRefused(f"{folder} holds {', '.join(refused)}: only safetensors weights are taken")
    if why := adapter_objections(names, dict(config), base_model):
        raise AdoptionRefused(f"{folder}: {'; '.join(why)}")


def copy(folder: Path, config: Mapping[str, Any], target: Path) -> None:
    """Write configuration and weights, and nothing else of the folder, to `target`."""
    target.mkdir(parents=True)
    (target / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True))
    shutil.copyfile(folder / WEIGHTS, target / WEIGHTS)  # in parts: the file may be larger than the memory


def check_fit(base: Path, adapter: Path) -> int:
    """Number of the adapter's weights. Each must have its place in the base, and none may be left at its start value.

    Raises AdoptionRefused.
    """
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, use_safetensors=True, trust_remote_code=False)
    try:
        placed = get_peft_model_state_dict(PeftModel.from_pretrained(model, adapter), save_embedding_layers=False).keys()
        with safe_open(adapter / WEIGHTS, "pt") as file:
            brought = {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            broken = [name for name in brought if not _is_finite(file.get_tensor(name))]
    except (RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise AdoptionRefused(f"the adapter does not fit the base: {error}") from error
    if differ := sorted(placed ^ brought.keys()):
        raise AdoptionRefused(f"the adapter does not fit the base: {len(differ)} weights differ, for example {', '.join(differ[:3])}")
    if broken:
        raise AdoptionRefused(
            f"{len(broken)} tensors of the adapter hold numbers that are not finite, or integers, for example {broken[0]}: save it as "
            "floating point numbers"
        )
    return sum(brought.values())


def _is_finite(tensor: Any) -> bool:
    """Whether all are finite floating point numbers; of integers nothing says what they stand for."""
    return bool(tensor.is_floating_point() and tensor.float().isfinite().all())
