"""Between the machine that asks for a training on Ray and the workers: files by their digests, and what each side tells the other."""

import hashlib
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ftassets.domain.keys import checked
from ftassets.domain.spending.usage import Usage
from ftassets.durable import file_digest

CHUNK = 8 << 20  # bytes of one message: Ray's client warns above ten million
Bundle = dict[str, str]  # digest of each file, by its relative path


class Heard(NamedTuple):
    """What the workers told since the last time, and what they used in all."""

    lines: list[str]
    points: list[bytes]  # lines of the file in which the training notes its numbers
    usage: Usage
    checkpoint: tuple[int, Bundle] | None  # the newest, with its number
    result: tuple[dict[str, Any], Bundle] | None
    failure: str | None
    over: str | None  # why Ray gave the training up, empty if it did not
    silent: float  # seconds since a worker told something, or since the begin


class Depot:
    """An actor in the cluster, so that neither side has to reach the other, and no disk is shared. It starts the workers too."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ftassets-depot-"))
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._points: list[bytes] = []
        self._usage: dict[str, Usage] = {}
        self._checkpoint: tuple[int, Bundle] | None = None
        self._inputs: set[str] = set()
        self._result: tuple[dict[str, Any], Bundle] | None = None
        self._failure: str | None = None
        self._over: str | None = None
        self._stop = False
        self._told = time.monotonic()

    def missing(self, digests: list[str]) -> list[str]:
        """Those of the digests whose files are not here."""
        return [digest for digest in digests if not (self._folder / digest).exists()]

    def append(self, upload: str, chunk: bytes) -> None:
        """Add to a file that is being sent."""
        with (self._folder / f"{upload}.part").open("ab") as file:
            file.write(chunk)

    def finish(self, upload: str, digest: str) -> None:
        """Take a file that was sent whole. Raises ValueError if it does not have the digest."""
        part = self._folder / f"{upload}.part"
        part.touch()
        if file_digest(part) != digest:
            part.unlink()
            raise ValueError(f"what was sent as {digest} has another digest")
        part.replace(self._folder / digest)

    def read(self, digest: str, offset: int) -> bytes:
        """The next bytes of a file, none at its end. Raises OSError."""
        with (self._folder / digest).open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK)

    def begin_with(self, inputs: Bundle, checkpoint: Bundle | None) -> None:
        """What the workers begin with."""
        self._inputs = set(inputs.values())
        if checkpoint:
            self._checkpoint = (0, checkpoint)

    def keep_checkpoint(self, checkpoint: Bundle) -> None:
        """The newest checkpoint, of which all files are here; those before it go."""
        with self._lock:
            before = self._checkpoint or (0, {})
            self._checkpoint = (before[0] + 1, checkpoint)
            for digest in set(before[1].values()) - set(checkpoint.values()) - self._inputs:
                (self._folder / digest).unlink(missing_ok=True)

    def newest_checkpoint(self) -> Bundle | None:
        """From which workers resume."""
        return self._checkpoint[1] if self._checkpoint else None

    def tell(self, worker: str, lines: list[str], points: list[bytes], usage: Usage | None) -> bool:
        """A worker's progress, its numbers, and what it used so far; whether it is to end."""
        with self._lock:
            self._told = time.monotonic()
            self._lines += lines
            self._points += points
            if usage is not None:
                self._usage[worker] = usage
            return self._stop

    def finished(self, result: dict[str, Any], version: Bundle) -> None:
        """The training's result."""
        self._result = (result, version)

    def failed(self, sentence: str) -> None:
        """Why no other try helps; the first reason counts."""
        with self._lock:
            self._failure = self._failure or sentence

    def stop(self) -> None:
        """Ask the workers to write a checkpoint and end."""
        self._stop = True

    def hear(self) -> Heard:
        """For the machine that asked for the training."""
        with self._lock:
            lines, self._lines = self._lines, []
            points, self._points = self._points, []
            usage = sum(self._usage.values(), Usage())
            silent = time.monotonic() - self._told
            return Heard(lines, points, usage, self._checkpoint, self._result, self._failure, self._over, silent)

    def fit(self, loop: Any, told: Mapping[str, Any], scaling: Mapping[str, Any], max_failures: int, variables: Mapping[str, str]) -> None:
        """Run `loop` on Ray Train's workers until it has ended, started again after a failure at most `max_failures` times."""
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        run: dict[str, Any] = {
            "name": "training",
            "storage_path": str(self._folder / "ray"),  # of its controller: no checkpoint goes through Ray, which wants a shared disk
            "failure_config": FailureConfig(max_failures=max_failures),
            "worker_runtime_env": {"env_vars": dict(variables)},
        }
        try:
            TorchTrainer(
                loop,
                train_loop_config={**told, "depot": ray.get_runtime_context().current_actor},
                torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if scaling["use_gpu"] else "gloo"),
                scaling_config=ScalingConfig(**scaling),
                run_config=RunConfig(**run),
            ).fit()
            self._over = ""
        except Exception as error:  # whatever it is, the machine that asked must hear of it
            self._over = f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Remove all files."""
        shutil.rmtree(self._folder, ignore_errors=True)


def send(depot: Any, files: Mapping[str, Path]) -> Bundle:
    """Send those files that the depot does not have. Raises OSError, RayError."""
    import ray

    bundle = {name: file_digest(path) for name, path in files.items()}
    missing = set(ray.get(depot.missing.remote(sorted(set(bundle.values())))))
    for name, path in files.items():
        digest = bundle[name]
        if digest in missing:
            missing.discard(digest)
            upload = uuid.uuid4().hex
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    ray.get(depot.append.remote(upload, chunk))
            ray.get(depot.finish.remote(upload, digest))
    return bundle


def fetch(depot: Any, bundle: Bundle, folder: Path, last: str | None = None, cache: Path | None = None) -> None:
    """Have the files of a bundle below `folder`, the one named `last` at the end; from `cache` if it is there, and kept there.

    Raises OSError, RayError, ValueError for a file that does not have its digest.
    """
    for name, digest in sorted(bundle.items(), key=lambda file: file[0] == last):
        target = folder / checked(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if cache is None:
            _read(depot, digest, target)
            continue
        cache.mkdir(parents=True, exist_ok=True)
        kept = cache / checked(digest)
        if not kept.exists() or file_digest(kept) != digest:
            _read(depot, digest, kept)
        target.symlink_to(kept)


def _read(depot: Any, digest: str, target: Path) -> None:
    import ray

    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        found, offset = hashlib.sha256(), 0
        with part.open("wb") as file:
            while chunk := ray.get(depot.read.remote(digest, offset)):
                file.write(chunk)
                found.update(chunk)
                offset += len(chunk)
        if found.hexdigest() != digest:
            raise ValueError(f"what came as {digest} has another digest")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
