"""The part of a Kubernetes API server a pod needs, on loopback, with a kubelet that runs the pod's command on this machine."""

import json
import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from ftassets.testing.doubles.http import served

ROOT = str(Path(__file__).parents[3])
NO_IMAGE = "no-such-registry.example/none:1"


class Pod:
    """One pod: its API object, its process, its log."""

    def __init__(self, manifest: dict[str, Any], node: str) -> None:
        self.object, self.node = manifest, node
        self.process: subprocess.Popen | None = None
        self.starting, self.killed, self.why = threading.Lock(), False, "Error"
        self.lines: list[str] = []
        self.over = threading.Event()
        self.object["status"] = {"phase": "Pending"}

    @property
    def container(self) -> dict[str, Any]:
        return self.object["spec"]["containers"][0]

    def state(self, phase: str, **state: Any) -> None:
        status = {"name": self.container["name"], "image": self.container["image"], "imageID": "", "restartCount": 0, "ready": False}
        self.object["status"] = {"phase": phase, "containerStatuses": [{**status, "state": state}]}

    def live(self) -> None:
        """What a kubelet does; in a thread that outlasts the process, which ends with the thread that started it."""
        if self.node == "none":
            refusal = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
            self.object["status"] = {"phase": "Pending", "conditions": [refusal]}
            return
        if self.container["image"] == NO_IMAGE:
            self.state("Pending", waiting={"reason": "ImagePullBackOff", "message": f"Back-off pulling image {NO_IMAGE}"})
            return
        variables = {each["name"]: each["value"] for each in self.container.get("env", [])}
        with self.starting:
            if self.killed:
                return self.over.set()
            self.process = subprocess.Popen(
                self.container["command"],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": os.environ.get("HOME", "/"),
                    "PYTHONPATH": ROOT,
                    **variables,
                },  # what an image sets
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self.state("Running", running={})
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}.{time.time_ns() % 10**9:09d}Z {line}")
        code = self.process.wait()
        if self.object["status"]["phase"] == "Running":  # else it was evicted
            ended = {"exitCode": code if code >= 0 else 128 - code, "reason": "Completed" if code == 0 else self.why}
            self.state("Failed" if code else "Succeeded", terminated=ended)
        self.over.set()

    def kill(self) -> None:
        with self.starting:
            self.killed = True
        if self.process:
            self.process.kill()
            self.over.wait(5)


class Cluster:
    """What the server knows; a test reaches into it as a scheduler, a kubelet or a person with kubectl would."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        self.every: list[dict[str, Any]] = []  # each manifest that was created, as sent
        self.denied: set[str] = set()  # "verb resource" that nobody may do
        self.broken_logs = 0  # so many requests for a log end in an error
        self.slow_logs = 0.0  # s before the first line of a log comes once its container ended
        self.lost_node = False  # a pod that is deleted stays: its kubelet does not answer

    def only(self) -> Pod:
        """The one pod there is, once its container runs."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            running = [pod for pod in list(self.pods.values()) if pod.object["status"]["phase"] == "Running"]
            if running:
                return running[0]
            time.sleep(0.01)
        raise AssertionError("no pod ran within 20 s")

    def evict(self, pod: Pod) -> None:
        """As a kubelet does when its node is short of something."""
        pod.object["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        pod.kill()

    def out_of_memory(self, pod: Pod) -> None:
        """As the kernel does with a container over its limit."""
        pod.why = "OOMKilled"
        pod.kill()

    def create(self, manifest: dict[str, Any], query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """201 with the object, or the error a server in strict mode gives."""
        from kubernetes.client import ApiClient

        known = ApiClient().deserialize(SimpleNamespace(data=json.dumps(manifest)), "V1Pod")
        lost = _unknown(manifest, ApiClient().sanitize_for_serialization(known))
        if lost and query.get("fieldValidation") == "Strict":
            return 400, {"message": f"strict decoding error: unknown field {lost[0]!r}"}
        if not all(isinstance(value, str) for value in manifest["spec"].get("nodeSelector", {}).values()):
            return 400, {"message": "Pod in version v1 cannot be handled: cannot unmarshal bool into nodeSelector of type string"}
        labels = manifest["metadata"].get("labels", {})
        if not all(re.fullmatch(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", value) for value in labels.values()):
            return 422, {"message": "metadata.labels: Invalid value"}
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", manifest["metadata"]["generateName"] + "abcde"):
            return 422, {"message": "metadata.generateName: Invalid value"}
        if query.get("dryRun"):
            return 201, manifest
        self.every.append(json.loads(json.dumps(manifest)))
        name = manifest["metadata"].pop("generateName") + uuid.uuid4().hex[:5]
        manifest["metadata"].update(name=name, uid=str(uuid.uuid4()))
        pod = self.pods[name] = Pod(manifest, manifest["spec"].get("nodeSelector", {}).get("pool", "any"))
        threading.Thread(target=pod.live, daemon=True).start()
        return 201, manifest

    def delete(self, name: str) -> None:
        """As with kubectl: the object stays until its process is gone."""
        pod = self.pods[name]
        pod.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        if self.lost_node:
            return

        def end() -> None:
            pod.kill()
            self.pods.pop(name, None)

        threading.Thread(target=end, daemon=True).start()


def _unknown(sent: Any, kept: Any) -> list[str]:
    if isinstance(sent, dict):
        gone = [key for key in sent if key not in kept and sent[key] is not None]
        return gone + [lost for key in sent.keys() & kept.keys() for lost in _unknown(sent[key], kept[key])]
    if isinstance(sent, list):
        return [lost for left, right in zip(sent, kept, strict=True) for lost in _unknown(left, right)]
    return []


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Cluster, Path]]:
    """A cluster on a free port, and the kubeconfig that reaches it, written below `folder`."""
    here = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, query = self._asked()
            name, _, part = path.partition("/")
            if not name:
                wanted = set(filter(None, query.get("labelSelector", "").split(",")))
                items = [
                    p.object for p in list(here.pods.values()) if wanted <= {f"{k}={v}" for k, v in p.object["metadata"]["labels"].items()}
                ]
                self._reply("list pods", 200, {"items": items})
            elif name not in here.pods:
                self._reply("get pods", 404, {"message": f'pods "{name}" not found'})
            elif part == "log" and here.broken_logs:
                here.broken_logs -= 1
                self._reply("get pods/log", 500, {"message": "error dialing backend"})
            elif part == "log":
                self._log(here.pods[name])
            else:
                self._reply("get pods", 200, here.pods[name].object)

        def do_POST(self) -> None:
            path, query = self._asked()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if path.endswith("selfsubjectaccessreviews"):
                asked = body["spec"]["resourceAttributes"]
                what = "/".join(filter(None, [asked["resource"], asked.get("subresource")]))
                self._reply("", 201, {"spec": body["spec"], "status": {"allowed": f"{asked['verb']} {what}" not in here.denied}})
            elif "create pods" in here.denied:
                self._reply("create pods", 403, {})
            else:
                self._reply("create pods", *here.create(body, query))

        def do_DELETE(self) -> None:
            name, _ = self._asked()
            there = name in here.pods
            if there and "delete pods" not in here.denied:
                here.delete(name)
            self._reply("delete pods", 200 if there else 404, here.pods[name].object if name in here.pods else {"message": "not found"})

        def _asked(self) -> tuple[str, dict[str, str]]:
            url = urlsplit(self.path)
            path = re.sub(r"^/api/v1/namespaces/ftassets/pods/?", "", url.path)
            return path, {key: values[0] for key, values in parse_qs(url.query).items()}

        def _reply(self, right: str, status: int, body: dict[str, Any]) -> None:
            if right in here.denied:
                status, body = 403, {"message": f"User cannot {right} in the namespace"}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _log(self, pod: Pod) -> None:
            self.send_response(200)
            self.end_headers()
            sent = 0
            while True:
                over = pod.over.is_set()
                if here.slow_logs:
                    over = pod.over.wait(10)
                    time.sleep(here.slow_logs)
                for line in pod.lines[sent:]:
                    self.wfile.write(line.encode())
                    sent += 1
                if over:
                    return
                pod.over.wait(0.02)

        def log_message(self, *args: Any) -> None:
            pass

    with served(Handler) as url:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "double",
            "contexts": [{"name": "double", "context": {"cluster": "double", "user": "nobody", "namespace": "ftassets"}}],
            "clusters": [{"name": "double", "cluster": {"server": url}}],
            "users": [{"name": "nobody", "user": {}}],
        }
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        try:
            yield here, kubeconfig
        finally:
            for pod in list(here.pods.values()):
                pod.kill()


def pod_manifest(volume: Path, **changes: Any) -> dict[str, Any]:
    """A manifest that passes, with one volume mounted at `volume`; keyword arguments replace fields of the container."""
    container = {"name": "train", "image": "ftassets:1", "volumeMounts": [{"name": "home", "mountPath": str(volume)}], **changes}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {
            "containers": [{key: value for key, value in container.items() if value is not None}],
            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}],
        },
    }
