"""The tokenizer that a loop's rows are read with: the base model's, else that of the version in production."""

from pathlib import Path

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import control_tokens_of, version_key
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.release.version import MERGED
from ftassets.workers.training.token_counts import base_control_tokens


def known_control_tokens(artifacts: Artifacts, production: str | None, loop: LoopConfig) -> ControlTokens | None:
    """Those of the base model's tokenizer, else of production's; None when neither is on this machine."""
    if (found := base_control_tokens(loop.base_model, Home.from_env().cache)) is not None:
        return found
    return control_tokens_of(artifacts, production) if production and production_tokenizer(artifacts, production) else None


def production_tokenizer(artifacts: Artifacts, production: str | None) -> Path | None:
    """The tokenizer.json of a version; None without a version, or when the file is not here."""
    key = version_key(production, MERGED, "tokenizer.json") if production else None
    return artifacts.local(key) if key and artifacts.exists(key) else None
