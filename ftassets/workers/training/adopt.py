"""Merge an adapter trained elsewhere into its base, in a process of its own: `python -m ftassets.workers.training.adopt JOB.json`."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.workers.training.adopt")

import json
import shutil
import sys
from pathlib import Path

from ftassets.backends.artifacts.version_folder import FORBIDDEN
from ftassets.config.home import Home
from ftassets.domain.release.adoption import RESULT, AdoptionJob, AdoptionRefused, adapter_objections
from ftassets.domain.release.version import ADAPTER, MERGED
from ftassets.durable import write_durably
from ftassets.workers.chat_template import FOLD_SYSTEM
from ftassets.workers.process import Report, work_off
from ftassets.workers.training.base_models import ensure_base
from ftassets.workers.training.sft import publish_merged

_FILES = ("adapter_config.json", "adapter_model.safetensors")


def adopt(job: AdoptionJob, report: Report) -> dict[str, str]:
    """Publish adapter and merged copy below `job.versions`; returns and writes `{"digest": ...}`.

    Raises AdoptionRefused when the folder is not an adapter of the loop's base, and BaseModelMissing.
    """
    names = [path.name for path in job.adapter.iterdir()] if job.adapter.is_dir() else []
    if refused := sorted(name for name in names if Path(name).suffix.lower() in FORBIDDEN):
        raise AdoptionRefused(f"{job.adapter} holds {', '.join(refused)}: only safetensors weights are taken")
    config = json.loads((job.adapter / _FILES[0]).read_text()) if _FILES[0] in names else {}
    if why := adapter_objections(names, config, job.base_model):
        raise AdoptionRefused(f"{job.adapter}: {'; '.join(why)}")
    base_digest = ensure_base(job.base_model, job.versions, Home.from_env().cache)
    base = job.versions / base_digest / MERGED
    _same_template(job.adapter, base)
    staging = job.work / "version"
    shutil.rmtree(staging, ignore_errors=True)
    (staging / ADAPTER).mkdir(parents=True)
    for name in _FILES:
        shutil.copyfile(job.adapter / name, staging / ADAPTER / name)
    report("merging and reloading")
    _fits(base, staging / ADAPTER)
    recipe = {"method": "lora", "lora_r": config["r"], "lora_alpha": config["lora_alpha"], "lora_dropout": config.get("lora_dropout", 0.0)}
    lineage = "adopted: trained elsewhere, its data is not known"
    result = {"digest": publish_merged(job, staging, base_digest, lineage=lineage, recipe=recipe)}
    write_durably(job.work / RESULT, json.dumps(result))
    return result


def _same_template(adapter: Path, base: Path) -> None:
    """An adapter is served with its base's chat template: one trained with another would see prompts it does not know."""
    own, served = adapter / "chat_template.jinja", base / "chat_template.jinja"
    known = served.read_text().strip() if served.exists() else ""
    # the base's may begin with lines of ours, which give it a system role
    if own.exists() and known not in (own.read_text().strip(), FOLD_SYSTEM + own.read_text().strip()):
        raise AdoptionRefused(f"{own} is another chat template than the base's: adopt it into a loop whose base has the same one")


def _fits(base: Path, adapter: Path) -> None:
    """Every weight of the adapter must have its place in the base, and none may be left at its start value."""
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, use_safetensors=True, trust_remote_code=False)
    try:
        placed = get_peft_model_state_dict(PeftModel.from_pretrained(model, adapter), save_embedding_layers=False).keys()
    except (RuntimeError, ValueError) as error:
        raise AdoptionRefused(f"the adapter does not fit the base: {error}") from error
    with safe_open(adapter / _FILES[1], "pt") as file:
        brought = set(file.keys())
    if placed != brought:
        names = ", ".join(sorted(placed ^ brought)[:3])
        raise AdoptionRefused(f"the adapter does not fit the base: {len(placed ^ brought)} weights differ, for example {names}")


def main() -> int:
    """Do the job of the file that the one argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.workers.training.adopt JOB.json")
    return work_off(Path(sys.argv[1]), AdoptionJob, adopt)
