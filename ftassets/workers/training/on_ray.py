"""Run one training job on a Ray cluster and wait for it: `python -m ftassets.workers.training.on_ray JOB.json`."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.workers.training.on_ray")

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftassets import metering
from ftassets.backends.artifacts.version_folder import MANIFEST, verify_folder
from ftassets.backends.trainer.checkpoints import COMPLETE, newest
from ftassets.backends.trainer.stored_checkpoints import newest_anywhere, store_checkpoint
from ftassets.config import profiles
from ftassets.config.home import Home
from ftassets.config.loop import RayCluster
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import TrainingJob
from ftassets.durable import keep_folder, write_durably
from ftassets.errors import in_one_line
from ftassets.workers.process import KILLED, Report, Terminated, environment, terminations, work_off
from ftassets.workers.training.base_models import ensure_base
from ftassets.workers.training.ray_cluster import PATIENCE, POLL, connected, need_same_software
from ftassets.workers.training.ray_depot import Bundle, Depot, Heard, fetch, send
from ftassets.workers.training.ray_worker import COLD, TRAIN, VALIDATION, software, train_loop
from ftassets.workers.training.sft import started, training_key

CONNECT_WITHIN = 300.0  # s; a head that was killed is there again within minutes
START_WITHIN = 1800.0  # s; a cloud adds a GPU node in about ten minutes, if it has one to give
STOP_WITHIN = 120.0  # s from asking the workers for a checkpoint to giving up


def train_on_ray(job: TrainingJob, report: Report, stop_asked: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """The result of a training on the cluster that `job.train.ray` names; the version is below `job.versions` then.

    Raises TrainingStopped, BaseModelMissing, and Terminated when the cluster was lost or the end was asked for.
    """
    cluster = job.train.ray
    assert cluster is not None
    base_digest = ensure_base(job.base_model, job.versions, Home.from_env().cache)
    with connected(cluster, report, stop_asked, CONNECT_WITHIN):
        import ray

        depot = None
        try:
            depot = ray.remote(Depot).options(num_cpus=0, max_concurrency=64, runtime_env={"env_vars": _of_controller()}).remote()
            need_same_software()
            return _wait(job, base_digest, cluster, depot, report, stop_asked)
        finally:
            if depot is not None:
                _close(depot)


def _of_controller() -> dict[str, str]:
    return {"TRAIN_ENABLE_SHARE_CUDA_VISIBLE_DEVICES": "0"}  # a worker that sees other workers' GPUs would use them


def _wait(job: TrainingJob, base: str, cluster: RayCluster, depot: Any, report: Report, stop_asked: Callable[[], bool]) -> dict[str, Any]:
    """Send what the training needs, start it, and take in what it makes until it is over."""
    import ray

    artifacts = profiles.artifacts(Home(job.home))
    key = training_key(started(job, base)[0], base)
    resume = newest_anywhere(artifacts, job.loop, key, job.checkpoints)
    report(f"sending rows and weights to the Ray cluster at {cluster.address}")
    cold = {COLD: job.cold_file} if job.cold_file else {}
    rows = send(depot, {TRAIN: job.train_file, VALIDATION: job.validation_file, **cold})
    base_files = send(depot, _files(job.versions / base, f"{base}/"))
    start_files = send(depot, _start_files(job))
    checkpoint = send(depot, _files(resume.folder, f"{resume.folder.name}/")) if resume else None
    ray.get(depot.begin_with.remote({**rows, **base_files, **start_files}, checkpoint))
    told = {"job": job.model_dump_json(), "base": base, "rows": rows, "base_files": base_files, "start_files": start_files}
    resources = {name: float(amount) for name, amount in cluster.resources_per_worker.items()}
    scaling = {
        "num_workers": cluster.workers,
        "use_gpu": resources.get("GPU", 0) > 0,
        "resources_per_worker": resources,
        "placement_strategy": cluster.placement,
    }
    fitting = depot.fit.remote(train_loop, {**told, "software": software()}, scaling, cluster.max_failures, environment())
    number, asked_at = 0, None
    while True:
        heard: Heard = ray.get(depot.hear.remote(), timeout=PATIENCE)
        for line in heard.lines:
            report(line)
        if heard.points:
            with job.points_file.open("ab") as noted:
                noted.writelines(line + b"\n" for line in heard.points)
        write_durably(metering.usage_file(cluster_file(job)), heard.usage.model_dump_json())
        if heard.checkpoint and heard.checkpoint[0] > number:
            number, bundle = heard.checkpoint
            _take_checkpoint(job, artifacts, depot, bundle, key, report)
        if heard.result:
            return _take_version(job, depot, *heard.result)
        if heard.failure is not None:
            raise Terminated(heard.failure) if asked_at is not None else TrainingStopped(heard.failure)
        if heard.over is not None:
            report(f"Ray gave the training up: {heard.over[-2000:]}")
            if asked_at is None:  # workers were killed more often than max_failures: as if we had been
                _close(depot)
                os._exit(KILLED)
            raise Terminated("the training was asked to end: start it again, and it resumes from its last checkpoint")
        if stop_asked() and asked_at is None:
            asked_at = time.monotonic()
            ray.get(depot.stop.remote())
        if asked_at is not None and time.monotonic() - asked_at > STOP_WITHIN:
            raise Terminated("the workers on Ray did not end in time: start the training again, it resumes from its last checkpoint")
        if heard.silent > START_WITHIN:
            raise TrainingStopped(
                f"Ray started no worker within {START_WITHIN:.0f} s: {cluster.workers} with {resources} each have no room: lower them, "
                "or add nodes"
            )
        ray.wait([fitting], timeout=POLL)


def cluster_file(job: TrainingJob) -> Path:
    """Names the file in which the workers' usage is left."""
    return job.work / "ray.json"


def _start_files(job: TrainingJob) -> dict[str, Path]:
    """The weights to continue from, and the manifest of their version."""
    if job.start_from is None:
        return {}
    version = job.start_from.parent
    manifest = {f"{version.name}/{MANIFEST}": version / MANIFEST} if (version / MANIFEST).exists() else {}
    return {**manifest, **_files(job.start_from, f"{version.name}/{job.start_from.name}/")}


def _take_checkpoint(job: TrainingJob, artifacts: Any, depot: Any, bundle: Bundle, key: str, report: Report) -> None:
    """Have a checkpoint on this machine and in the artefact store."""
    try:
        fetch(depot, bundle, job.checkpoints, last=next(name for name in bundle if name.endswith(f"/{COMPLETE}")))
    except OSError as error:  # the workers made a newer one meanwhile
        report(f"a checkpoint could not be taken in, the next one will be: {in_one_line(error)[:200]}")
        return
    if whole := newest(job.checkpoints, key):
        try:
            store_checkpoint(artifacts, job.loop, whole.folder)
        except OSError as error:
            report(f"the checkpoint of step {whole.step} is on this machine only: {in_one_line(error)[:200]}")
        report(f"checkpoint of step {whole.step} stored")


def _take_version(job: TrainingJob, depot: Any, result: dict[str, Any], bundle: Bundle) -> dict[str, Any]:
    """Have the finished version below `job.versions`, checked byte by byte."""
    staging = job.work / str(result["digest"])
    shutil.rmtree(staging, ignore_errors=True)
    fetch(depot, bundle, staging)
    verify_folder(staging)
    keep_folder(staging, job.versions / staging.name, MANIFEST)
    return result


def _close(depot: Any) -> None:
    """End the actor, and with it Ray Train's controller and workers, which it owns."""
    import ray

    try:
        ray.get(depot.close.remote(), timeout=5)
        ray.kill(depot)
    except Exception:  # it is gone already, or the cluster is; it ends with our connection
        return


def _files(folder: Path, before: str = "") -> dict[str, Path]:
    found = [Path(top, name) for top, _, names in os.walk(folder, followlinks=True) for name in names]
    return {before + path.relative_to(folder).as_posix(): path for path in sorted(found)}


def _train(job: TrainingJob, report: Report) -> dict[str, Any]:
    with terminations() as stop_asked:
        return train_on_ray(job, report, stop_asked)


def main() -> int:
    """Do the job of the file that the one argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.workers.training.on_ray JOB.json")
    return work_off(Path(sys.argv[1]), TrainingJob, _train)
