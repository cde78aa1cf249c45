"""Versions that stand for a model served elsewhere: their one file says where."""

import json
import shutil
import time
import uuid
from pathlib import Path
from typing import ClassVar

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged, file_digests, verify_folder
from ftassets.backends.artifacts.versions import publish, version_folder, version_key
from ftassets.config.loop import LoopConfig
from ftassets.domain.formats import Stored
from ftassets.domain.release.version import ExternalModel, VersionManifest
from ftassets.errors import in_one_line

ENDPOINT = "endpoint.json"


class _File(ExternalModel, Stored):
    KIND: ClassVar[str] = "endpoint"

    loop: str  # one endpoint may serve several loops, each with its own settings: these are several versions


def publish_endpoint(model: ExternalModel, loop: LoopConfig, artifacts: Artifacts, work: Path) -> str:
    """Digest of the version that stands for a model served elsewhere; the same endpoint and model are the same one."""
    staging = work / f"endpoint-{uuid.uuid4().hex[:12]}"
    staging.mkdir(parents=True)
    try:
        (staging / ENDPOINT).write_text(json.dumps(_File(**model.model_dump(), loop=loop.name).document(), indent=2, ensure_ascii=False))
        manifest = VersionManifest(
            kind="endpoint",
            base_model=model.model,
            files=file_digests(staging),
            tokenizer_digest=None,
            generation={"temperature": loop.task.temperature, "max_tokens": loop.task.max_tokens},
            loop=loop.name,
            lineage="adopted: served elsewhere, its weights and data are not known",
            made_at=time.time(),
        )
        return publish(artifacts, staging, manifest)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def is_external(artifacts: Artifacts, digest: str) -> bool:
    """Whether somebody else serves a version."""
    return artifacts.exists(version_key(digest, ENDPOINT))


def external_model(artifacts: Artifacts, digest: str) -> ExternalModel | None:
    """Where the model of a version is served, None for one that we serve ourselves. Raises VersionDamaged as `read_endpoint`."""
    return read_endpoint(version_folder(artifacts, digest)) if is_external(artifacts, digest) else None


def read_endpoint(folder: Path) -> ExternalModel | None:
    """Where the model of the version in a folder is served, None for one that we serve ourselves.

    Raises VersionDamaged, also for a file that is not the one the version was made with: it could send requests and key anywhere.
    """
    if not (folder / ENDPOINT).exists():
        return None
    verify_folder(folder)
    try:
        return _File.parse((folder / ENDPOINT).read_bytes())
    except (OSError, ValueError) as error:
        raise VersionDamaged(f"{ENDPOINT} of version {folder.name[:12]} cannot be read: {in_one_line(error)}") from error
