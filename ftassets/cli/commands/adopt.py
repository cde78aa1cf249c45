"""Taking a model that serves already into a loop, so that drift and retrains start from it; nothing is evaluated."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ftassets.assets.drift_report.reference import wanted_answers
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.external import publish_endpoint
from ftassets.backends.artifacts.version_folder import read_manifest
from ftassets.backends.artifacts.versions import keep, load_manifest, verify, version_folder, workshop
from ftassets.backends.control.audit import sealing
from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import Releases
from ftassets.backends.registry.base import Registry
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.signer.base import Signer
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.cli.commands.import_traffic import ImportReport, import_traffic
from ftassets.cli.commands.import_traffic import describe as described
from ftassets.code_identity import code_identity
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.release.adoption import RESULT, AdoptionJob, AdoptionRefused, adopted_statement
from ftassets.domain.release.version import ADAPTER, ExternalModel, VersionManifest, version_tags
from ftassets.durable import file_digest
from ftassets.workers.process import last_words, write_job

LEASE = 60.0  # seconds of staging and of the start; a first version is production at once and needs none


@dataclass(frozen=True)
class Adopted:
    """The version that serves now, its attestation, what was imported, and what its user should know."""

    version: str
    name: str
    attestation: str  # where it is
    traffic: ImportReport | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Adoption:
    """Gives a loop its first production version; `by` answers for it. Doing it again changes nothing.

    `traffic` is the log, a file of requests the model answered, and its format; they are stored as answers of this version, so
    that its drift reference can be built at once. Both ways raise AdoptionRefused (also when the loop has another production
    version), ServingError, CannotSign, ValueError for an unknown format, OSError.
    """

    home: Home
    artifacts: Artifacts
    control: Control
    loop: LoopConfig
    by: str
    reason: str
    serving: Serving
    signer: Signer
    registry: Registry
    traffic: tuple[TrafficLog, Path, str] | None = None

    def of_adapter(self, folder: Path) -> Adopted:
        """Take a PEFT folder. Raises AdoptionRefused when it is not an adapter of the loop's base."""
        production = self.serving.state(self.loop.name).production
        if production and not _is_adapter(self.artifacts, production, folder):
            raise _has_production(self.loop, production)
        return self._adopt(production or _merged(self.home, self.artifacts, self.loop, folder), bool(production))

    def of_endpoint(self, model: ExternalModel) -> Adopted:
        """Take a model that somebody else serves; the gateway asks it once before that, and needs its key in the environment."""
        production = self.serving.state(self.loop.name).production
        digest = publish_endpoint(model, self.loop, self.artifacts, self.home.work)
        if production and production != digest:
            raise _has_production(self.loop, production)
        if production is None:
            self.serving.stage(self.loop.name, digest, LEASE)  # nothing is signed for what the gateway cannot ask
        return self._adopt(digest, bool(production))

    def _adopt(self, digest: str, again: bool) -> Adopted:
        """Sign, register and start a version; `again` says that it is production already."""
        loop, registry, manifest = self.loop, self.registry, verify(self.artifacts, digest)
        releases = Releases(self.control, self.signer)
        at = time.time()
        if not again:
            with sealing(self.control, self.signer, at) as head:
                statement = adopted_statement(loop, manifest, self.by, self.reason, at, code_identity(), head.document())
                releases.write(loop.name, digest, "release", statement)
        imported = None
        if self.traffic:
            log, path, format = self.traffic
            imported = import_traffic(log, loop, [path], format, digest, secret=self.home.user_secret())
        if manifest.kind == "adapter":  # what is served elsewhere was not trained by anybody we know
            registry.log_training(
                loop.name,
                f"adopted-{digest[:12]}",
                {**manifest.training, "base_model": loop.base_model},
                {},
                [],
                {**version_tags(manifest), "digest": digest, "loop": loop.name},
                version_folder(self.artifacts, digest) / ADAPTER,
            )
        base = manifest.base_model.rstrip("/").rsplit("/", 1)[-1].removeprefix("package:")
        name = f"{base}-adopted-{datetime.fromtimestamp(at, UTC):%Y%m%d}-{digest[:8]}"
        tags = {**version_tags(manifest), "adopted_by": self.by, "adopted_because": self.reason}
        registered = registry.register(loop.name, name, digest, None, tags)
        if not again:
            self.serving.start(loop.name, digest, 100, LEASE, self.by, f"adopted: {self.reason}")
        registry.set_alias(loop.name, "production", digest)
        return Adopted(digest, registered.name, releases.uri(loop.name, digest), imported, _notes(loop, manifest, imported))


@contextmanager
def gateway_for(home: Home, serving: Serving, loops: Path) -> Iterator[None]:
    """Inside the block a gateway answers: the one that runs already, else one on free ports that ends with the block, without Dagster.

    So a model can be adopted before `ftassets up` starts what would train a first version. Raises UpFailed.
    """
    from ftassets.processes.up import down, free_ports, running, up

    try:
        serving.health()
    except ServingError:
        if running(home) is not None:  # it is starting, or broken: its own words say more
            raise
    else:
        yield
        return
    up(home, free_ports(), loops=loops, code=None, foreground=False)
    try:
        yield
    finally:
        down(home)


@contextmanager
def adapter_folder(place: str, registry: Registry) -> Iterator[Path]:
    """The adapter at a path, a file:// URI, or an MLflow URI (models:/..., runs:/...), which is downloaded for as long as the block lasts.

    Raises AdoptionRefused.
    """
    if place.startswith("file://"):
        try:
            path = urlsplit(place).path
        except ValueError as error:
            raise AdoptionRefused(f"{place} is not a file:// URI: give the path of the folder") from error
        yield Path(url2pathname(path))
    elif not place.startswith(("models:/", "runs:/")):
        yield Path(place)
    else:
        with tempfile.TemporaryDirectory(prefix="ftassets-adopt-") as folder:
            found = sorted(path.parent for path in _downloaded(place, registry, folder).rglob("adapter_config.json"))
            if len(found) != 1:
                raise AdoptionRefused(f"{place} holds {len(found)} folders with an adapter_config.json: name the artefact with the adapter")
            yield found[0]


def _downloaded(uri: str, registry: Registry, folder: str) -> Path:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at import: nothing leaves the machine unasked
    import mlflow
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    tracking = getattr(registry, "tracking_uri", None)
    if tracking is None:
        raise AdoptionRefused(f"{uri} is an MLflow URI, and this profile's registry is not MLflow: give a folder")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking)  # its argument of that name does not count for models:/
    try:
        return Path(download_artifacts(artifact_uri=uri, dst_path=folder))
    except (MlflowException, OSError) as error:
        raise AdoptionRefused(f"{uri} cannot be downloaded: {error}") from error
    finally:
        mlflow.set_tracking_uri(before)


def _has_production(loop: LoopConfig, production: str) -> AdoptionRefused:
    return AdoptionRefused(
        f"{loop.name} has a production version, {production[:12]}: adopting is for a loop without one; train a candidate instead"
    )


def describe(adopted: Adopted, loop: str) -> str:
    """What was done as lines for a terminal."""
    lines = [f"{loop} is served by {adopted.name}, version {adopted.version}", f"signed without a verdict: {adopted.attestation}"]
    if adopted.traffic:
        lines += described(adopted.traffic)
        lines += [f"  {item.where}: {item.reason}" for item in adopted.traffic.quarantined[:20]]
    return "\n".join([*lines, *adopted.notes])


def _is_adapter(artifacts: Artifacts, production: str, adapter: Path) -> bool:
    files = load_manifest(artifacts, production).files
    found = {f"{ADAPTER}/{name}": adapter / name for name in ("adapter_config.json", "adapter_model.safetensors")}
    return all(path.exists() and files.get(name) == file_digest(path) for name, path in found.items())


def _merged(home: Home, artifacts: Artifacts, loop: LoopConfig, adapter: Path) -> str:
    """Digest of the version made of an adapter, in a process of its own: the model libraries stay out of this one."""
    work = home.work / f"adopt-{uuid.uuid4().hex[:12]}"
    work.mkdir(parents=True)
    try:
        job = AdoptionJob(
            loop=loop.name,
            base_model=loop.base_model,
            task=loop.task,
            adapter=adapter.resolve(),
            work=work,
            versions=workshop(artifacts),
        )
        job_file = write_job(job, work / "job.json")
        environment = {**os.environ, "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1")}
        command = [sys.executable, "-m", "ftassets.workers.training.adopt", str(job_file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AdoptionRefused(last_words(job_file) or f"merging ended with {done.returncode}: {done.stderr[-500:]}")
        digest = json.loads((work / RESULT).read_text())["digest"]
        keep(artifacts, read_manifest(workshop(artifacts) / digest).base_digest or "")
        keep(artifacts, digest)
        return digest
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _notes(loop: LoopConfig, manifest: VersionManifest, imported: ImportReport | None) -> tuple[str, ...]:
    notes = ["nothing was evaluated: the first candidate is compared with it on the golden set and the held-out rows"]
    training = manifest.training
    if manifest.kind == "endpoint":
        notes.append("nothing of its weights is known: the first candidate is trained from the untuned base")
    elif (training["lora_r"], training["lora_alpha"]) != (loop.train.lora_r, loop.train.lora_alpha):
        notes.append(
            f"a retrain continues this adapter: set train.lora_r to {training['lora_r']} and train.lora_alpha to {training['lora_alpha']}"
        )
    needed = wanted_answers(loop.retrain_on.drift, trained=False)
    have = imported.read if imported else 0
    if have < needed:
        notes.append(f"its drift reference is made of its own traffic: {needed - have} more answers, or import them with --traffic")
    return tuple(notes)
