"""What one servable model version consists of, and how its identity follows from its files."""

from pydantic import BaseModel, ConfigDict

from ftassets.domain.canonical import digest_of


class VersionManifest(BaseModel):
    """`manifest.json` of one folder below `versions/`: everything a deployment must be able to check.

    `files` maps paths relative to the folder (`adapter/adapter_model.safetensors`, `merged/model.safetensors`, ...)
    to SHA-256 hex digests. The digest that names the version is that of `files`, so any other byte is another version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str  # "base" | "adapter"
    base_model: str
    base_digest: str | None = None
    files: dict[str, str]
    tokenizer_digest: str
    generation: dict[str, float | int]
    dataset_commit: str | None = None
    recipe: dict = {}
    metrics: dict[str, float] = {}

    @property
    def digest(self) -> str:
        """Names the version: SHA-256 (hex) over kind and file digests."""
        return digest_of({"kind": self.kind, "files": self.files})
