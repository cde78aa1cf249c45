"""Taking a model that serves already into a loop: which one fits it, and what is signed instead of verdicts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ftassets.config.loop import LoopConfig, Task
from ftassets.domain.release.attestation import statement
from ftassets.domain.release.version import ExternalModel, VersionManifest
from ftassets.errors import FtassetsError

RESULT = "result.json"  # file in the job's work folder with {"digest": ...} of the version


class AdoptionRefused(FtassetsError):
    """The model cannot be adopted; the message says why and what to do."""


class AdoptionJob(BaseModel):
    """Input of the process that merges an adapter into its base; written as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loop: str
    base_model: str
    task: Task
    adapter: Path  # a PEFT folder
    work: Path  # the process writes below this folder and nowhere else
    versions: Path  # the finished version is moved here, under its digest


def adapter_objections(names: list[str], config: Mapping[str, Any], base_model: str) -> list[str]:
    """Why a PEFT folder with these file names and this `adapter_config.json` cannot be adopted as the loop's adapter; empty if it can."""
    why = []
    if missing := sorted({"adapter_config.json", "adapter_model.safetensors"} - set(names)):
        why.append(f"{' and '.join(missing)} not there: save the adapter with PEFT's save_pretrained, as safetensors")
    if config.get("peft_type", "LORA") != "LORA":
        why.append(f"it is of type {config['peft_type']}: only LoRA adapters are merged")
    if config.get("task_type") not in (None, "CAUSAL_LM"):
        why.append(f"its task is {config['task_type']}, not CAUSAL_LM")
    if config.get("layer_replication"):
        why.append("it repeats layers of the base (layer_replication), which a merged copy cannot: train it without")
    named = config.get("base_model_name_or_path")
    if config and named != base_model:
        why.append(
            f"it was trained on {named!r}, the loop's base_model is {base_model!r}: adopt it into a loop with that base, or, when both "
            "names mean the same weights, write the loop's into adapter_config.json"
        )
    return why


def served_at(url: str, model: str, api_key_env: str | None) -> ExternalModel:
    """A model behind somebody else's endpoint. Raises AdoptionRefused, without repeating what was given: it may be a key."""
    try:
        return ExternalModel(url=url, model=model, api_key_env=api_key_env)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, found["loc"])) or "the endpoint"
        if place == "api_key_env":
            raise AdoptionRefused("--api-key-env takes the name of an environment variable, never the key itself") from None
        raise AdoptionRefused(f"{place}: {found['msg'].removeprefix('Value error, ')}") from None


def adopted_statement(
    loop: LoopConfig, manifest: VersionManifest, by: str, reason: str, at: float, code: Mapping[str, str | None], audit: Mapping[str, Any]
) -> bytes:
    """Bytes of a release statement without verdicts: nothing was measured, a person answers for it. `at` is in epoch seconds.

    `audit` is the end of the audit chain. It can only give a loop its first production version.
    """
    return statement(
        loop.name,
        manifest.digest,
        manifest.files,
        {
            "adopted": True,
            "by": by,
            "reason": reason,
            "issued_at": int(at),
            "expires_at": int(at + loop.release.valid_for),
            "base_model": manifest.base_model,
            "base_digest": manifest.base_digest,
            "tokenizer_digest": manifest.tokenizer_digest,
            "generation": manifest.generation,
            "verdicts": {},
            "audit": audit,
            **code,
        },
    )
