"""Whether a request can be evaluated at all, before it waits for its turn."""

import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path

from ftassets.assets._shared.dataset_files import golden_path
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import FORBIDDEN, VersionDamaged
from ftassets.backends.artifacts.versions import FOLDER, load_manifest, version_folder
from ftassets.backends.dataset_store.base import DatasetStore, ObjectNotFound, RefNotFound
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.beginnings import the_one
from ftassets.domain.release.version import wanted_parts
from ftassets.errors import InvalidInput
from ftassets.gate_service.contract import BadRequest, EvaluateRequest, EvaluationJob

_DIGEST = re.compile(r"[0-9a-f]{12,64}")


def job_for(
    request: EvaluateRequest, home: Home, artifacts: Artifacts, loops: Mapping[str, LoopConfig], store: DatasetStore
) -> EvaluationJob:
    """The evaluation a request asks for. Reads names and manifests, no weights. Raises BadRequest."""
    name, _, commit = request.golden_set_id.partition("@")
    if name not in loops:
        raise BadRequest(f"golden_set_id: there is no loop {name!r}; there is: {', '.join(sorted(loops)) or 'none'}")
    if request.loop not in (None, name):
        raise BadRequest(f"loop: {request.loop!r} is not the loop of the golden set, {name!r}: leave it out or make them agree")
    if why := loops[name].task.form.lacks.get("classes"):
        raise BadRequest(f"baseline_f1: F1 needs classes, and {why}: this service cannot judge the answers of {name}")
    version = find_version(artifacts, request.model_path)
    check_artefact(artifacts, version, name)
    newest = _newest_golden(store, name)
    if commit:
        _check_golden(store, name, commit)
    return EvaluationJob(
        id=str(uuid.uuid4()),
        home=home.root,
        loop=loops[name],
        version=version,
        golden_commit=commit or newest,
        newest_golden=commit in ("", newest),
        wanted_f1=round(request.baseline_f1 + request.threshold, 12),  # 0.8 + 0.05 is 0.85 here, not a bit more
    )


def find_version(artifacts: Artifacts, model_path: str) -> str:
    """Digest of the version that a digest, its beginning, or the path of its folder names. Raises BadRequest.

    The path is compared as text: nothing outside of the folder of versions is read.
    """
    versions = artifacts.uri(FOLDER)
    if _DIGEST.fullmatch(model_path):
        beginning = model_path
    else:
        parent, beginning = os.path.split(os.path.normpath(os.path.join(versions, model_path)))
        if parent != versions or not re.fullmatch(r"[0-9a-f]{64}", beginning):
            raise BadRequest(
                f"model_path: neither the digest of a version (12 or more of 0-9a-f) nor the path of its folder below {versions}"
            )
    try:
        return the_one(beginning, artifacts.names(FOLDER), "version")
    except InvalidInput as error:
        raise BadRequest(f"model_path: {error}") from error


def check_artefact(artifacts: Artifacts, version: str, loop: str) -> None:
    """Whether a version of the loop has what PEFT writes and a merged copy, and no format that can run code. Raises BadRequest."""
    try:
        manifest, folder = load_manifest(artifacts, version), version_folder(artifacts, version)
    except VersionDamaged as error:
        raise BadRequest(f"model_path: {error}") from error
    if manifest.loop not in (None, loop):
        raise BadRequest(f"model_path: version {version[:12]} is one of the loop {manifest.loop}, not of {loop}")
    here = {Path(top, name).relative_to(folder).as_posix() for top, _, names in os.walk(folder) for name in names}
    if refused := sorted(name for name in here | manifest.files.keys() if Path(name).suffix.lower() in FORBIDDEN):
        raise BadRequest(f"model_path: {', '.join(refused)}: a pickle can run code when it is loaded, only safetensors weights are taken")
    if missing := [name for name in wanted_parts(manifest.kind) if name not in here or name not in manifest.files]:
        raise BadRequest(f"model_path: version {version[:12]} has no {', '.join(missing)}: train it again or restore it")


def _newest_golden(store: DatasetStore, loop: str) -> str:
    try:
        return store.last_change("main", golden_path(loop))
    except (ObjectNotFound, RefNotFound) as error:
        raise BadRequest(f"golden_set_id: the loop {loop} has no golden set yet: materialize its golden_set") from error


def _check_golden(store: DatasetStore, loop: str, commit: str) -> None:
    try:
        known = store.resolve(commit)
        store.checksum(commit, golden_path(loop))
    except (ObjectNotFound, RefNotFound) as error:
        raise BadRequest(f"golden_set_id: commit {commit} does not exist or holds no golden set of {loop}") from error
    if known != commit:
        raise BadRequest(f"golden_set_id: {commit} is the name of a branch or tag: write the commit")
