"""The pod a training runs in: the user's manifest, checked before anything starts, and what the state of a pod means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from ftassets.backends.trainer.base import TrainingFailed
from ftassets.config.loop_files import yaml_problem

# reasons a kubelet gives that waiting does not change; ErrImagePull is left out: it becomes ImagePullBackOff unless the next try works
_CANNOT_START = {
    "ImagePullBackOff": "check the image's name and tag, and imagePullSecrets for a private registry",
    "InvalidImageName": "correct the image's name",
    "ErrImageNeverPull": "put the image on the node or set imagePullPolicy: IfNotPresent",
    "CreateContainerConfigError": "make the secret or config map the manifest names, in the pod's namespace",
    "CreateContainerError": "correct the manifest's container",
    "RunContainerError": "correct the manifest's container",
    "CrashLoopBackOff": "read the init container's log",
}
_NOT_SHARED = ("emptyDir", "configMap", "secret", "downwardAPI", "projected", "image")


def read_pod(path: Path, shared: Sequence[Path]) -> dict[str, Any]:
    """The manifest of the training pod, as written; its first container is the one that trains.

    `shared` are folders the pod must have at the same path as this machine. Raises TrainingFailed with what to change.
    """

    def wrong(what: str) -> TrainingFailed:
        return TrainingFailed(f"the trainer's pod manifest {path} {what}")

    try:
        pod = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise wrong(f"cannot be read ({error.strerror}): set FTASSETS_TRAINER_POD to the path of a Pod manifest") from error
    except yaml.YAMLError as error:
        raise wrong(f"is not one YAML document: {yaml_problem(error)}") from None  # PyYAML quotes the text, which may hold secrets
    if not isinstance(pod, dict) or (pod.get("apiVersion"), pod.get("kind")) != ("v1", "Pod"):
        raise wrong("is not a Pod: it must begin with apiVersion: v1, kind: Pod")
    _check_fields(pod, wrong)
    container = pod["spec"]["containers"][0]
    if not container.get("image"):
        raise wrong(f"has no image for the container {container['name']!r}: name one with ftassets installed")
    if "command" in container or "args" in container:
        raise wrong(f"sets a command for the container {container['name']!r}: leave command and args out, the training job is put there")
    if pod["spec"].get("restartPolicy", "Never") != "Never":
        raise wrong("sets a restartPolicy: only Never is possible, a training that died is started again by its run")
    for folder in shared:
        _check_mount(folder, container, pod["spec"], wrong)
    return pod


def _check_fields(pod: dict[str, Any], wrong: Any) -> None:
    """Reject unknown fields of a pod here: an API server drops them silently unless field validation is strict."""
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
    from kubernetes.client import V1Pod

    if not isinstance(pod.get("spec"), dict) or not pod["spec"].get("containers"):
        raise wrong("has no container: spec.containers needs one with a name and an image")
    try:
        k8s_model_from_dict(V1Pod, k8s_snake_case_dict(V1Pod, pod))
    except Exception as error:  # the functions raise nothing narrower
        raise wrong(f"is not a valid Pod: {error}") from error


def _check_mount(folder: Path, container: Mapping[str, Any], spec: Mapping[str, Any], wrong: Any) -> None:
    covering = [mount for mount in container.get("volumeMounts", ()) if folder.is_relative_to(mount["mountPath"])]
    if not covering:
        raise wrong(
            f"mounts no volume that covers {folder}: rows, base model and the finished version travel through it, "
            f"so a ReadWriteMany volume must be mounted at the same path here and in the container {container['name']!r}"
        )
    mount = max(covering, key=lambda mount: len(Path(mount["mountPath"]).parts))
    volume = next((volume for volume in spec.get("volumes", ()) if volume["name"] == mount["name"]), None)
    if volume is None:
        raise wrong(f"mounts a volume {mount['name']!r} that spec.volumes does not have")
    if mount.get("readOnly") or any(kind in volume for kind in _NOT_SHARED):
        raise wrong(
            f"covers {folder} with the volume {mount['name']!r}, which is read-only or the pod's own: use a claim that is ReadWriteMany"
        )


def training_pod(
    manifest: Mapping[str, Any], name: str, labels: Mapping[str, str], command: Sequence[str], variables: Mapping[str, str]
) -> dict[str, Any]:
    """The pod to create: the manifest with a name the server completes, labels, command and variables; its own variables win."""
    spec, metadata = manifest["spec"], dict(manifest.get("metadata") or {})
    metadata.pop("name", None)
    first, *others = spec["containers"]
    own = first.get("env") or []
    added = [{"name": key, "value": value} for key, value in variables.items() if key not in {each["name"] for each in own}]
    container = {**first, "command": list(command), "env": [*added, *own]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "generateName": name, "labels": {**(metadata.get("labels") or {}), **labels}},
        "spec": {**spec, "restartPolicy": "Never", "containers": [container, *others]},
    }


@dataclass(frozen=True)
class Seen:
    """The observed state of the pod: `taken` means by somebody else, `stuck` that it cannot start or was not meant to go on."""

    state: Literal["waits", "stuck", "runs", "ended", "taken"]
    text: str = ""
    code: int = 0  # exit code of the container that trains, once it ended
    out_of_memory: bool = False


def observe(pod: Any, container: str) -> Seen:
    """Where the pod (a V1Pod) and its training container are.

    Fields and reasons: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ and .../pods/disruptions/.
    """
    status = pod.status
    conditions = {each.type: each for each in status.conditions or () if each.status == "True"}
    disrupted = conditions.get("DisruptionTarget")
    statuses = {each.name: each.state for each in status.container_statuses or ()}
    terminated = statuses[container].terminated if statuses.get(container) else None
    if status.reason == "DeadlineExceeded":
        return Seen("stuck", "it ran longer than the manifest's activeDeadlineSeconds: raise that")
    if terminated and terminated.exit_code == 0:
        return Seen("ended")
    if disrupted:
        return Seen("taken", f"{disrupted.reason}: {disrupted.message}")
    if pod.metadata.deletion_timestamp:
        return Seen("taken", "it was deleted")
    if terminated and not status.reason:
        return Seen("ended", code=terminated.exit_code, out_of_memory=terminated.reason == "OOMKilled")
    for each in status.init_container_statuses or ():
        if status.phase == "Failed" and each.state.terminated and each.state.terminated.exit_code:
            return Seen(
                "stuck", f"its init container {each.name} ended with exit code {each.state.terminated.exit_code}: read that container's log"
            )
    if status.phase == "Failed":
        return Seen("taken", f"{status.reason or 'Failed'}: {status.message or 'no reason was given'}")
    if statuses.get(container) and statuses[container].running:
        return Seen("runs")
    for each in [*(status.init_container_statuses or ()), *(status.container_statuses or ())]:
        if each.state.waiting and each.state.waiting.reason in _CANNOT_START:
            waiting = each.state.waiting
            return Seen("stuck", f"{waiting.reason}: {waiting.message or each.image}: {_CANNOT_START[waiting.reason]}")
    refused = [each.message for each in status.conditions or () if each.type == "PodScheduled" and each.status == "False"]
    return Seen("waits", refused[0] if refused and refused[0] else "its containers are being made")
