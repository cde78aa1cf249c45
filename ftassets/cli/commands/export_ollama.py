"""A released version as a folder for `ollama create`."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import load_manifest, own_generation, version_folder
from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import Releases
from ftassets.backends.control.serve_gate import serve_gate
from ftassets.backends.signer.base import Signer
from ftassets.config.loop import LoopConfig
from ftassets.config.outputs import check_new_folder, replacing, write_file
from ftassets.domain.beginnings import the_one
from ftassets.domain.release.decoding import truncation
from ftassets.domain.release.ollama import ARCHITECTURES, affixes, modelfile
from ftassets.domain.release.version import MERGED
from ftassets.errors import InvalidInput

WEIGHTS = "model"  # folder of the merged weights in the export
_CONTEXT = 4096  # tokens: prompt and answer, as our own model servers have it


@dataclass(frozen=True)
class Exported:
    """What was written; `note` is empty unless Ollama may not read it."""

    version: str
    folder: Path
    note: str


def run(
    artifacts: Artifacts,
    control: Control,
    signer: Signer,
    loop: LoopConfig,
    version: str | None,
    out: Path,
    force: bool,
    inputs: Sequence[Path],
) -> Exported:
    """Write weights, Modelfile and README of a version (by default the newest release). Raises InvalidInput unless it is released now."""
    check_new_folder(out, force, inputs)
    releases = Releases(control, signer)
    digest = released_version(releases, loop.name, version)
    source = version_folder(artifacts, digest)
    if load_manifest(artifacts, digest).kind == "endpoint":
        raise InvalidInput(f"version {digest[:12]} is served elsewhere: it has no weights here")
    if why := serve_gate(source, loop.name, releases, time.time()).objections:
        raise InvalidInput(f"version {digest[:12]} is not exported: {'; '.join(why)}")
    text, note = _modelfile(artifacts, source / MERGED, digest, loop)
    for path in sorted((source / MERGED).rglob("*")):
        if path.is_file():
            with replacing(out / WEIGHTS / path.relative_to(source / MERGED)) as file, path.open("rb") as read:
                shutil.copyfileobj(read, file)
    name = loop.name.replace("_", "-")
    write_file(out / "README.md", f"Version {digest} of {loop.name}.\n`ollama create {name} -f Modelfile && ollama run {name}`\n")
    write_file(out / "Modelfile", text)
    return Exported(digest, out, note)


def released_version(releases: Releases, loop: str, version: str | None) -> str:
    """The released version whose digest begins so, without a beginning the newest release. Raises InvalidInput if there is no such one."""
    made_by = f"materialize {loop}/release"
    digest = releases.newest(loop) if version is None else the_one(version, releases.versions(loop), "release", made_by)
    if digest is None:
        raise InvalidInput(f"nothing of {loop} was released yet: {made_by}")
    return digest


def _modelfile(artifacts: Artifacts, merged: Path, digest: str, loop: LoopConfig) -> tuple[str, str]:
    from transformers import AutoTokenizer

    from ftassets.workers.chat_template import stop_ids

    tokenizer: Any = AutoTokenizer.from_pretrained(merged, local_files_only=True, trust_remote_code=False)
    begins = tokenizer(" ")["input_ids"][:1] == [tokenizer.bos_token_id]  # then Ollama writes the token of the beginning too

    def render(messages: list[dict[str, Any]], goes_on: bool) -> str:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=goes_on)
        return text.removeprefix(tokenizer.bos_token) if begins else text

    own, generation = own_generation(artifacts, digest), load_manifest(artifacts, digest).generation
    stop = tokenizer.convert_ids_to_tokens(stop_ids(tokenizer, own.get("eos_token_id")))
    temperature = generation.get("temperature", loop.task.temperature)
    sampled = truncation({"temperature": temperature}, own)
    parameters = {
        "temperature": temperature,
        "num_predict": int(generation.get("max_tokens", loop.task.max_tokens)),
        "num_ctx": _CONTEXT,
        "repeat_penalty": 1.0,  # Ollama's own would change answers
        **sampled,
    }
    found = json.loads((merged / "config.json").read_text())
    architecture = str((found.get("architectures") or ["unknown"])[0])
    note = "" if architecture in ARCHITECTURES else f"Ollama may not read {architecture}: convert model/ to GGUF then, and name it in FROM"
    return modelfile(WEIGHTS, affixes(render), loop.task.system_prompt or "", stop, parameters), note
