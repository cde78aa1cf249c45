"""Training in a pod of its own on Kubernetes, over Dagster Pipes; files travel through a volume both sides have at the same path."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ftassets.backends.trainer.base import Trainer, TrainingFailed, TrainingTerminated
from ftassets.backends.trainer.kubernetes_pod import Seen, observe, read_pod, training_pod
from ftassets.backends.trainer.outcome import result_of
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.metering import worker
from ftassets.workers.process import Ended, environment, last_words, write_job

RIGHTS = (("create", "pods"), ("get", "pods"), ("list", "pods"), ("delete", "pods"), ("get", "pods/log"))  # what the calls below need
START_WITHIN = 1800.0  # s; a cloud adds a GPU node and pulls an image of several GB in about ten minutes, if it has one to give
GONE_WITHIN = 300.0  # s; a kubelet that is alive needs a few, a cloud some minutes to strike a node it took back off the list
API_PATIENCE = 300.0  # s a training goes on unwatched: a managed control plane is away for minutes when it is upgraded
LOGS_WITHIN = 60.0  # s from the end of the container to the end of its log
_TIMEOUT = 30.0  # s for one request

_ADVICE = {
    400: "correct the pod manifest",
    401: "renew the credentials of this kubeconfig or service account",
    403: "grant what deploy/kubernetes/rbac.yaml lists, or raise the quota if the message names one",
    404: "make the namespace, or name another one in the pod manifest",
    422: "correct the pod manifest",
}


class KubernetesTrainer(Trainer):
    """Runs `python -m ftassets.workers.training` in a pod made from a manifest of the user's.

    Dagster's own pod client is not used whole: it waits a day for a pod that no node takes, and says how a pod ended in prose only.
    """

    def __init__(
        self,
        manifest: Path,
        home: Path,
        cache: Path,
        command: Sequence[str] = ("python", "-m", "ftassets.workers.training"),
        poll: float = 2.0,
        start_within: float = START_WITHIN,
        gone_within: float = GONE_WITHIN,
    ) -> None:
        self._manifest, self._home, self._cache, self._command = manifest, home.resolve(), cache.resolve(), command
        self._poll, self._start_within, self._gone_within = poll, start_within, gone_within

    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        """Write the job next to its data, run it in a pod, and return its result. Raises TrainingFailed.

        Pods left by an earlier run of this loop are deleted first; this run's pod is deleted before the call returns.
        """
        from dagster import PipesEnvContextInjector, open_pipes_session
        from dagster_k8s import PipesK8sPodLogsMessageReader

        manifest = read_pod(self._manifest, (self._home, self._cache))
        container = manifest["spec"]["containers"][0]["name"]
        labels = self._labels(job.loop)
        job_file = write_job(job, job.work / "job.json")
        reader = PipesK8sPodLogsMessageReader()
        with (
            worker(job_file, elsewhere=True),
            _connected(manifest) as (core, namespace),
            open_pipes_session(context, PipesEnvContextInjector(), reader) as session,
        ):
            self._clear(core, namespace, labels)
            pod = training_pod(
                manifest,
                _prefix(job.loop),
                {**labels, "ftassets/run": context.run_id},
                [*self._command, str(job_file)],
                {**environment(), "FTASSETS_CACHE": str(self._cache), **session.get_bootstrap_env_vars()},
            )
            try:
                made = core.create_namespaced_pod(namespace, pod, field_validation="Strict", _request_timeout=_TIMEOUT)
                name = made.metadata.name
                context.log.info(f"training in pod {name}, namespace {namespace}")
                # other containers may have been put in by the cluster: the log must be asked for by name
                source = SimpleNamespace(read_namespaced_pod_log=partial(core.read_namespaced_pod_log, container=container))
                with closing(_Log(lambda: reader.consume_pod_logs(context, source, name, namespace), self._poll)) as log:
                    seen = self._wait(core, namespace, name, container, log)
            finally:
                try:
                    self._clear(core, namespace, labels)
                except Exception as error:  # must not hide how the training ended; the next one clears again
                    context.log.warning(f"the training pod could not be deleted: {error}")
        return result_of(job, _ended(seen, name, session.get_custom_messages(), job_file))

    def check(self) -> str:
        """Ask the cluster whether it would take the pod. Raises TrainingFailed with what misses."""
        from kubernetes.client import AuthorizationV1Api

        manifest = read_pod(self._manifest, (self._home, self._cache))
        with _connected(manifest) as (core, namespace):
            refused = []
            for verb, what in RIGHTS:
                resource, _, part = what.partition("/")
                asked = {"namespace": namespace, "verb": verb, "resource": resource, "subresource": part}
                answer = AuthorizationV1Api(core.api_client).create_self_subject_access_review(
                    {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked}},
                    _request_timeout=_TIMEOUT,
                )
                if not answer.status.allowed:
                    refused.append(f"{verb} {what}")
            if refused:
                raise TrainingFailed(f"not allowed in namespace {namespace}: {', '.join(refused)}; deploy/kubernetes/rbac.yaml grants it")
            pod = training_pod(manifest, _prefix("check"), self._labels("check"), self._command, {})
            core.create_namespaced_pod(namespace, pod, dry_run="All", field_validation="Strict", _request_timeout=_TIMEOUT)
            return f"{core.api_client.configuration.host}, namespace {namespace}: takes the pod of {self._manifest}"

    def _labels(self, loop: str) -> dict[str, str]:
        from dagster_k8s.utils import sanitize_k8s_label

        # the home is part of the owner so that two installations in one namespace do not delete each other's pods
        owner = hashlib.sha256(f"{self._home}\n{loop}".encode()).hexdigest()[:32]
        return {
            "app.kubernetes.io/name": "ftassets",
            "app.kubernetes.io/component": "trainer",
            "ftassets/loop": sanitize_k8s_label(loop),
            "ftassets/owner": owner,
        }

    def _clear(self, core: Any, namespace: str, labels: dict[str, str]) -> None:
        """Delete the training pods of this loop and wait until they are gone, so that two never write to one home."""
        from kubernetes.client import ApiException

        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        asked: set[str] = set()
        until = time.monotonic() + self._gone_within
        while pods := core.list_namespaced_pod(namespace, label_selector=selector, _request_timeout=_TIMEOUT).items:
            for name in {pod.metadata.name for pod in pods} - asked:
                try:
                    # a training has nothing to do before it dies: a version is published in one step
                    core.delete_namespaced_pod(name, namespace, grace_period_seconds=1, _request_timeout=_TIMEOUT)
                except ApiException as error:
                    if error.status != 404:
                        raise
                asked.add(name)
            if time.monotonic() > until:
                where = ", ".join(f"{pod.metadata.name} on node {pod.spec.node_name}" for pod in pods)
                raise TrainingFailed(
                    f"an earlier training pod of this loop is still there {self._gone_within:.0f} s after it was deleted ({where}): "
                    f"once its node is known to be gone, kubectl delete pod --force -n {namespace} {pods[0].metadata.name}"
                )
            time.sleep(self._poll)

    def _wait(self, core: Any, namespace: str, name: str, container: str, log: "_Log") -> Seen:
        """Poll the pod until its training has ended, with or without success, and its log was read."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        began = heard = time.monotonic()
        while True:
            seen = None
            try:
                seen = observe(core.read_namespaced_pod(name, namespace, _request_timeout=_TIMEOUT), container)
                heard = time.monotonic()
            except (ApiException, HTTPError) as error:
                if isinstance(error, ApiException) and error.status == 404:
                    return Seen("taken", "it is gone")
                if time.monotonic() - heard > API_PATIENCE:
                    raise
            if seen and seen.state in ("runs", "ended"):
                began = time.monotonic()
                log.start()
            if seen and seen.state not in ("runs", "waits"):
                if seen.state == "ended":
                    log.join(LOGS_WITHIN)
                return seen
            if seen and seen.state == "waits" and time.monotonic() - began > self._start_within:
                return Seen(
                    "stuck",
                    f"it did not start within {self._start_within:.0f} s ({seen.text}): "
                    "check nodeSelector, tolerations and resource limits, and whether the pool has a node to give",
                )
            time.sleep(self._poll)


class _Log:
    """Reads a pod's log in the background, anew from its beginning when the connection broke: a line twice is better than none."""

    def __init__(self, read: Callable[[], None], pause: float) -> None:
        self._read, self._pause = read, pause
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pod-log", daemon=True)
            self._thread.start()

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def close(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                return self._read()
            except Exception:  # whatever broke the stream, the pod goes on and the state of the pod decides
                self._over.wait(self._pause)


def _ended(seen: Seen, pod: str, messages: Sequence[Any], job_file: Path) -> Ended:
    if seen.state == "taken":
        raise TrainingTerminated(f"the pod {pod} was taken away before its training ended ({seen.text})")
    if seen.state == "stuck":
        raise TrainingFailed(f"the pod {pod} did not train: {seen.text}")
    if seen.out_of_memory:
        return Ended(messages, 137, "the container ran out of memory")
    return Ended(messages, seen.code, last_words(job_file))


def _prefix(loop: str) -> str:
    return f"ftassets-{loop.replace('_', '-').rstrip('-')}-"[:50]


@contextmanager
def _connected(manifest: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """The API and the namespace: the cluster this process runs in, else the kubeconfig's context. Its errors become TrainingFailed."""
    from dagster_k8s.utils import detect_current_namespace
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    configuration = client.Configuration()
    kubeconfig = os.environ.get("KUBECONFIG") or config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    try:
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            config.load_kube_config(kubeconfig, client_configuration=configuration, persist_config=False)
        namespace = (manifest.get("metadata") or {}).get("namespace") or detect_current_namespace(kubeconfig) or "default"
    except config.ConfigException as error:
        raise TrainingFailed(f"no Kubernetes cluster is configured ({error}): run in one, or set KUBECONFIG") from error
    try:
        with client.ApiClient(configuration) as api:
            yield client.CoreV1Api(api), namespace
    except client.ApiException as error:
        advice = _ADVICE.get(error.status, "check the API server, then start the run again")
        raise TrainingFailed(f"Kubernetes at {configuration.host} refused ({error.status}: {_message(error)}): {advice}") from error
    except HTTPError as error:
        raise TrainingFailed(
            f"Kubernetes at {configuration.host} cannot be reached ({type(error).__name__}): "
            "check with kubectl cluster-info, then start the run again"
        ) from error


def _message(error: Any) -> str:
    try:
        return json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
