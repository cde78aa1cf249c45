"""What one servable model version consists of, and how its identity follows from its files."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ftassets.domain.canonical import canonical_json, digest_of
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.formats import Stored

# tokenizer and chat template, in the folder of the merged weights
TOKENIZER_FILES = ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
MERGED = "merged"  # folder of a version with its merged weights
ADAPTER = "adapter"  # folder of a version with the adapter alone, and the kind of such a version
FULL = "full"  # kind of a version all of whose weights were trained: it has no adapter
MADE_FOR = "made_for.json"  # file of a trained version with its loop and generation settings, so that its digest covers them
TRAINED = (ADAPTER, FULL)  # kinds of versions that a training makes
_NOT_TRAINING = ("system_prompt", "start_from")  # parts of a recipe that are no settings of the training


class ExternalModel(BaseModel):
    """A model behind an OpenAI-compatible endpoint that is not ours; written as `endpoint.json` of a version. Holds no secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)  # a key given instead of its name is not logged

    url: str = Field(description="Base URL, for example https://api.example.com/v1.")
    model: str = Field(min_length=1, description="What the endpoint calls the model.")
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the key; the key itself is never written down.",
    )

    @field_validator("url")
    @classmethod
    def _base_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("must be http(s)://host/path, without user, password or query: the key belongs into api_key_env")
        return url.rstrip("/")

    @classmethod
    def check(cls, url: str, api_key_env: str | None) -> None:
        """Raises ValueError, in one sentence, for an address or a name of a key that no endpoint has."""
        try:
            cls(url=url, model="any", api_key_env=api_key_env)
        except ValidationError as error:
            raise ValueError(f"url or api_key_env: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None

    @model_validator(mode="after")
    def _key_stays_secret(self) -> "ExternalModel":
        parts = urlsplit(self.url)
        if self.api_key_env and parts.scheme == "http" and not loopback(parts.hostname or ""):
            raise ValueError("a key is not sent over plain http to another machine: use https")
        return self


def loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class VersionManifest(Stored):
    """`manifest.json` of one folder below `versions/`: everything a deployment must be able to check.

    `files` maps paths relative to the folder (`adapter/adapter_model.safetensors`, `merged/model.safetensors`, ...)
    to SHA-256 hex digests. The digest that names the version is that of `files`, so any other byte is another version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "manifest"

    kind: str  # "base" | "adapter" | "full" | "endpoint"
    base_model: str
    base_digest: str | None = None
    files: dict[str, str]
    tokenizer_digest: str | None  # not known of a model served elsewhere
    generation: dict[str, float | int]
    dataset_commit: str | None = None
    dataset_hash: str | None = None  # of the rows, whatever commit holds them
    loop: str | None = None  # an untuned base belongs to none
    lineage: str | None = None  # what training started from and why, in words
    code_commit: str | None = None
    made_at: float | None = None  # epoch seconds
    recipe: dict = {}
    metrics: dict[str, float] = {}
    environment: dict[str, str] = {}  # on what it was trained, in words; empty if that was not recorded

    @property
    def digest(self) -> str:
        """Names the version: SHA-256 (hex) over kind and file digests."""
        return digest_of({"kind": self.kind, "files": self.files})

    @property
    def parent(self) -> str | None:
        """The version whose weights training continued from."""
        return self.recipe.get("start_from")

    @property
    def training(self) -> dict:
        """Settings of its training."""
        return {name: value for name, value in self.recipe.items() if name not in _NOT_TRAINING}


def wanted_parts(kind: str) -> tuple[str, ...]:
    """Files that a trained version of this kind cannot be without."""
    adapter = () if kind == FULL else (f"{ADAPTER}/adapter_config.json", f"{ADAPTER}/adapter_model.safetensors")
    return (*adapter, f"{MERGED}/config.json")


def version_tags(manifest: VersionManifest) -> dict[str, str]:
    """What a registry keeps with a version besides name and digest; what is not known is left out."""
    known = {
        "kind": manifest.kind,
        "base_model": manifest.base_model,
        "base_digest": manifest.base_digest,
        "tokenizer_digest": manifest.tokenizer_digest,
        "dataset_commit": manifest.dataset_commit,
        "dataset_hash": manifest.dataset_hash,
        "training": canonical_json(manifest.training).decode() if manifest.training else None,
        "training_metrics": canonical_json(manifest.metrics).decode() if manifest.metrics else None,
        "parent": manifest.parent,
        "lineage": manifest.lineage,
        "made_at": datetime.fromtimestamp(manifest.made_at, UTC).isoformat(timespec="seconds") if manifest.made_at else None,
        "code_commit": manifest.code_commit,
    }
    return {name: value for name, value in known.items() if value is not None}


def version_note(tags: Mapping[str, str]) -> str:
    """What a version is and where it came from, as Markdown, from a registry's tags of it; a line for each thing that is known."""
    said = {
        "Base model": tags.get("base_model"),
        "Lineage": tags.get("lineage"),
        "Dataset commit": tags.get("dataset_commit"),
        "Eval report": tags.get("report"),
        "Digest": tags.get("digest"),
    }
    lines = [f"- {name}: `{value}`" for name, value in said.items() if value]
    if run := tags.get("dagster_run_id"):
        page = tags.get("dagster_run_url")
        lines.append(f"- Dagster run: [{run}]({page})" if page else f"- Dagster run: `{run}`")
    return "\n".join(lines)


def score_tags(scores: Sequence[Score]) -> dict[str, str]:
    """A version's scores as one tag: slice -> share of exact answers (0..1) and rows."""
    shares = {}
    for name in sorted({score.slice for score in scores}):
        rows = [score for score in scores if score.slice == name]
        shares[name] = {"exact_match": round(sum(row.exact for row in rows) / len(rows), 4), "rows": len(rows)}
    return {"scores": canonical_json(shares).decode()}


def tokenizer_digest(files: Mapping[str, str]) -> str:
    """Digest of tokenizer and chat template, of the file digests of a version."""
    return digest_of({name: files[f"{MERGED}/{name}"] for name in TOKENIZER_FILES if f"{MERGED}/{name}" in files})
