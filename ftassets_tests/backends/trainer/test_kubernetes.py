"""What only a trainer in a pod can meet: the manifest, the node, the API server."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from dagster import DagsterExecutionInterruptedError

from ftassets.backends.trainer.base import TrainingFailed, TrainingKilled
from ftassets.backends.trainer.kubernetes import RIGHTS, KubernetesTrainer, _prefix
from ftassets.backends.trainer.kubernetes_pod import Seen, observe, read_pod, training_pod
from ftassets.domain.training.job import TrainingJob
from ftassets.testing.contracts.trainer import run, write_script
from ftassets.testing.doubles.kubernetes import NO_IMAGE, Cluster, Pod, cluster, pod_manifest
from ftassets.testing.tiny_job import tiny_job
from ftassets_tests import ROOT

DEPLOY = ROOT / "deploy" / "kubernetes"
SLEEP = "time.sleep(60)\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster(tmp_path) as (double, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        yield double


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    return tiny_job(tmp_path / "job", tmp_path / "base", batch_size=8, gradient_accumulation_steps=2)


def trainer(
    folder: Path, body: str = "", manifest: dict[str, Any] | None = None, home: Path | None = None, **limits: float
) -> KubernetesTrainer:
    path = folder / "pod.yaml"
    path.write_text(yaml.safe_dump(manifest or pod_manifest(folder)))
    command = (sys.executable, write_script(folder, body))
    return KubernetesTrainer(path, home or folder, folder / "cache", command, poll=0.05, **limits)


def meanwhile(act: Callable[[Pod], None], here: Cluster) -> None:
    """Do it to the first pod that runs."""
    threading.Thread(target=lambda: act(here.only()), daemon=True).start()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "Deployment"}, "is not a Pod"),
        ({"spec": {}}, "has no container"),
        ({"spec": {"containers": []}}, "has no container"),
        ({"image": None}, "has no image for the container 'train'"),
        ({"image": ""}, "has no image for the container 'train'"),
        ({"imagePullpolicy": "Always"}, "Unexpected keys in model class V1Container.*imagePullpolicy"),
        ({"args": ["--fast"]}, "leave command and args out"),
        ({"restartPolicy": "Always"}, "only Never is possible"),
        ({"volumeMounts": []}, "mounts no volume that covers {home}:.*ReadWriteMany"),
        ({"volumeMounts": [{"name": "home", "mountPath": "{home}/cache"}]}, "mounts no volume that covers {home}:"),
        ({"volumeMounts": [{"name": "away", "mountPath": "{home}"}]}, "a volume 'away' that spec.volumes does not have"),
        ({"volumeMounts": [{"name": "home", "mountPath": "/"}, {"name": "away", "mountPath": "{home}"}]}, "a volume 'away' that"),
        ({"volumeMounts": [{"name": "home", "mountPath": "{home}", "readOnly": True}]}, "read-only or the pod's own"),
        ({"volumes": [{"name": "home", "emptyDir": {}}]}, "read-only or the pod's own"),
    ],
)
def test_a_manifest_that_cannot_work_is_refused_with_what_to_change(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    def fill(value: Any) -> Any:
        return yaml.safe_load(yaml.safe_dump(value).replace("{home}", str(tmp_path)))

    (key, value), *_ = fill(change).items()
    if key in ("kind", "spec"):
        manifest = {**pod_manifest(tmp_path), key: value}
    elif key in ("restartPolicy", "volumes"):
        manifest = pod_manifest(tmp_path)
        manifest["spec"][key] = value
    else:
        manifest = pod_manifest(tmp_path, **{key: value})
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(TrainingFailed, match=sentence.replace("{home}", str(tmp_path))):
        read_pod(tmp_path / "pod.yaml", (tmp_path,))


def test_a_cache_outside_the_volume_is_refused_before_anything_starts(tmp_path: Path, job: TrainingJob, here: Cluster) -> None:
    with pytest.raises(TrainingFailed, match=f"covers {tmp_path / 'cache'}"):
        run(trainer(tmp_path, manifest=pod_manifest(tmp_path / "home"), home=tmp_path / "home"), job)
    assert not here.every


def test_a_file_that_is_missing_or_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="none.yaml cannot be read .*set FTASSETS_TRAINER_POD"):
        read_pod(tmp_path / "none.yaml", ())
    (tmp_path / "two.yaml").write_text("a: 1\n---\nb: 2\n")
    with pytest.raises(TrainingFailed, match="is not one YAML document"):
        read_pod(tmp_path / "two.yaml", ())
    (tmp_path / "bad.yaml").write_text("env: s3cretPw: x")
    with pytest.raises(TrainingFailed, match=r"is not one YAML document: mapping values are not allowed here \(line 1, column 14\)$"):
        read_pod(tmp_path / "bad.yaml", ())


def test_the_pod_is_the_manifest_with_command_labels_and_variables_of_its_own_first(tmp_path: Path) -> None:
    manifest = pod_manifest(tmp_path, env=[{"name": "OMP_NUM_THREADS", "value": "4"}])
    manifest["metadata"] = {"name": "mine", "labels": {"team": "ml"}}
    pod = training_pod(manifest, "ftassets-x-", {"ftassets/loop": "x"}, ["python", "job"], {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})
    assert pod["metadata"] == {"generateName": "ftassets-x-", "labels": {"team": "ml", "ftassets/loop": "x"}}
    assert pod["spec"]["containers"][0]["env"] == [{"name": "HF_HUB_OFFLINE", "value": "1"}, {"name": "OMP_NUM_THREADS", "value": "4"}]
    assert pod["spec"]["restartPolicy"] == "Never"


def seen(status: dict[str, Any], **metadata: Any) -> Seen:
    """What we make of a status as an API server writes it."""
    from kubernetes.client import ApiClient

    statuses = {f"{kind}Statuses": [{**BLANK, **each} for each in status.pop(kind, [])] for kind in ("container", "initContainer")}
    response = SimpleNamespace(data=json.dumps({"metadata": metadata, "status": {**status, **statuses}}))
    return observe(ApiClient().deserialize(response, "V1Pod"), "train")


BLANK = {"name": "train", "image": "ftassets:1", "imageID": "", "ready": False, "restartCount": 0}
DONE = {"state": {"terminated": {"exitCode": 0}}}
DIED = {"state": {"terminated": {"exitCode": 137, "reason": "Error"}}}
RUNS: dict[str, Any] = {"state": {"running": {}}}
PREEMPTED = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "a pod with higher priority"}


@pytest.mark.parametrize(
    ("status", "state", "text"),
    [
        ({"phase": "Pending"}, "waits", "being made"),
        ({"phase": "Running", "container": [RUNS]}, "runs", ""),
        ({"phase": "Running", "container": [{"name": "mesh", **RUNS}, DONE]}, "ended", ""),  # a sidecar the cluster put in never ends
        ({"phase": "Succeeded", "container": [DONE], "conditions": [PREEMPTED]}, "ended", ""),  # done before it was taken
        ({"phase": "Running", "container": [RUNS], "conditions": [PREEMPTED]}, "taken", "PreemptionByScheduler: a pod with higher"),
        (
            {"phase": "Failed", "container": [DIED], "reason": "Terminated", "message": "node shutdown"},
            "taken",
            "Terminated: node shutdown",
        ),
        ({"phase": "Failed", "container": [DIED], "reason": "Evicted"}, "taken", "Evicted"),
        ({"phase": "Failed", "reason": "OutOfnvidia.com/gpu", "message": "no GPU is left"}, "taken", "no GPU is left"),
        ({"phase": "Failed", "container": [DIED], "reason": "DeadlineExceeded"}, "stuck", "activeDeadlineSeconds"),
        ({"phase": "Failed", "initContainer": [{"name": "fetch", **DIED}]}, "stuck", "init container fetch ended with exit code 137"),
        ({"phase": "Pending", "initContainer": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "stuck", "image's name"),
        ({"phase": "Pending", "container": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}, "waits", ""),  # its next try may work
        ({"phase": "Pending", "container": [{"state": {"waiting": {"reason": "CreateContainerConfigError"}}}]}, "stuck", "make the secret"),
    ],
)
def test_what_the_state_of_a_pod_means(status: dict[str, Any], state: str, text: str) -> None:
    found = seen(status)
    assert found.state == state
    assert text in found.text


def test_a_pod_that_is_being_deleted_is_taken_even_if_its_process_died_of_it() -> None:
    assert seen({"phase": "Running", "container": [DIED]}, deletionTimestamp="2026-01-01T00:00:00Z").state == "taken"
    assert seen({"phase": "Running", "container": [DIED]}) == Seen("ended", code=137)


@pytest.mark.parametrize("loop", ["a_", "support_triage", "x" * 41, "many__underscores__" * 2])
def test_any_name_of_a_loop_makes_a_pod_a_server_takes(loop: str, tmp_path: Path, here: Cluster) -> None:
    labels = trainer(tmp_path)._labels(loop)
    pod = training_pod(pod_manifest(tmp_path), _prefix(loop), labels, ["python"], {})
    assert here.create(pod, {"fieldValidation": "Strict", "dryRun": "All"})[0] == 201
    assert labels != trainer(tmp_path)._labels(f"{loop}_")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [("nodeSelector", {"gpu": True}, "nodeSelector of type string"), ("node_selector", {"pool": "gpu"}, "unknown field 'node_selector'")],
)
def test_what_only_the_server_can_judge_is_refused_in_its_words(
    field: str, value: Any, sentence: str, tmp_path: Path, job: TrainingJob, here: Cluster
) -> None:
    manifest = pod_manifest(tmp_path)
    manifest["spec"][field] = value
    refusal = rf"refused \(400: .*{sentence}\): correct the pod manifest"
    with pytest.raises(TrainingFailed, match=refusal):
        trainer(tmp_path, manifest=manifest).check()
    with pytest.raises(TrainingFailed, match=refusal):
        run(trainer(tmp_path, manifest=manifest), job)
    assert not here.pods


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda here, pod: here.evict(pod), "taken away before its training ended .Evicted: The node was low"),
        (lambda here, pod: here.delete(pod.object["metadata"]["name"]), "taken away before its training ended .it (was deleted|is gone)"),
        (lambda here, pod: here.out_of_memory(pod), "ran out of memory: set train.batch_size to 2"),
    ],
    ids=["evicted", "deleted", "out of memory"],
)
def test_a_pod_that_was_taken_away_is_worth_another_try(
    act: Callable[[Cluster, Pod], None], sentence: str, tmp_path: Path, job: TrainingJob, here: Cluster
) -> None:
    meanwhile(lambda pod: act(here, pod), here)
    with pytest.raises(TrainingKilled, match=sentence):
        run(trainer(tmp_path, SLEEP), job)
    assert not here.pods


def test_a_pod_that_a_dead_run_left_is_gone_before_the_next_one_starts(tmp_path: Path, job: TrainingJob, here: Cluster) -> None:
    before = trainer(tmp_path)
    (tmp_path / "other").mkdir()
    other = trainer(tmp_path / "other")._labels(job.loop)  # an installation with another home, in the same namespace
    for labels in (before._labels(job.loop), other):
        here.create(training_pod(pod_manifest(tmp_path), "left-", labels, ["sleep", "60"], {}), {})
        here.only()
    left, foreign = here.pods.values()
    assert left.process is not None
    alive = f"try: os.kill({left.process.pid}, 0); sys.exit(7)\nexcept ProcessLookupError: pass\n"
    with pytest.raises(TrainingFailed, match="reported no result"):
        run(trainer(tmp_path, f"{alive}with open_dagster_pipes(): pass\n"), job)
    assert list(here.pods.values()) == [foreign]


def test_nothing_starts_while_a_pod_on_a_lost_node_may_still_write(tmp_path: Path, job: TrainingJob, here: Cluster) -> None:
    labels = trainer(tmp_path)._labels(job.loop)
    here.create(training_pod(pod_manifest(tmp_path), "left-", labels, ["sleep", "60"], {}), {})
    here.lost_node = True
    with pytest.raises(TrainingFailed, match="still there 0 s after it was deleted.*kubectl delete pod --force -n ftassets left-"):
        run(trainer(tmp_path, gone_within=0.2), job)
    assert len(here.every) == 1


def test_an_image_that_cannot_be_pulled_ends_the_wait(tmp_path: Path, job: TrainingJob, here: Cluster) -> None:
    with pytest.raises(TrainingFailed, match="ImagePullBackOff.*check the image's name") as raised:
        run(trainer(tmp_path, manifest=pod_manifest(tmp_path, image=NO_IMAGE)), job)
    assert not isinstance(raised.value, TrainingKilled)
    assert not here.pods


def test_a_pod_no_node_takes_is_given_up(tmp_path: Path, job: TrainingJob, here: Cluster) -> None:
    manifest = pod_manifest(tmp_path)
    manifest["spec"]["nodeSelector"] = {"pool": "none"}
    with pytest.raises(TrainingFailed, match="did not start within 0 s .0/3 nodes are available.: check nodeSelector"):
        run(trainer(tmp_path, manifest=manifest, start_within=0.3), job)
    assert not here.pods


def test_a_server_that_is_away_is_named(tmp_path: Path, job: TrainingJob, here: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    config = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "away").write_text(config.replace(yaml.safe_load(config)["clusters"][0]["cluster"]["server"], "http://127.0.0.1:9"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "away"))
    with pytest.raises(TrainingFailed, match="http://127.0.0.1:9 cannot be reached .*kubectl cluster-info"):
        run(trainer(tmp_path), job)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(TrainingFailed, match="no Kubernetes cluster is configured"):
        run(trainer(tmp_path), job)


def test_a_server_that_is_away_while_the_training_runs_costs_nothing(tmp_path: Path, job: TrainingJob, here: Cluster) -> None:
    here.broken_logs = 8  # the reader of the log gives up after six

    def go_away(pod: Pod) -> None:
        here.denied = {"get pods"}
        time.sleep(0.5)
        here.denied = set()

    meanwhile(go_away, here)
    body = "time.sleep(1)\nwith open_dagster_pipes() as pipes: pipes.report_custom_message({'steps': 3})\n"
    with pytest.raises(TrainingFailed, match="incomplete result.*digest"):  # so it came through
        run(trainer(tmp_path, body), job)
    assert not here.broken_logs


def test_a_log_that_comes_after_the_end_is_waited_for(tmp_path: Path, job: TrainingJob, here: Cluster) -> None:
    here.slow_logs = 0.5
    with pytest.raises(TrainingFailed, match="incomplete result.*digest"):
        run(trainer(tmp_path, "with open_dagster_pipes() as pipes: pipes.report_custom_message({'steps': 3})\n"), job)


def test_a_deletion_that_fails_does_not_hide_how_the_training_ended(tmp_path: Path, job: TrainingJob, here: Cluster) -> None:
    here.denied = {"delete pods"}
    body = "pathlib.Path(sys.argv[1]).with_suffix('.failed').write_text('the loss rose')\nsys.exit(2)\n"
    with pytest.raises(TrainingFailed, match="^the loss rose$"):
        run(trainer(tmp_path, body), job)
    assert here.pods


def test_a_run_that_is_cancelled_gives_its_node_back(tmp_path: Path, job: TrainingJob, here: Cluster) -> None:
    meanwhile(lambda pod: os.kill(os.getpid(), signal.SIGINT), here)
    with pytest.raises((KeyboardInterrupt, DagsterExecutionInterruptedError)):
        run(trainer(tmp_path, SLEEP), job)
    assert len(here.every) == 1
    assert not here.pods


@pytest.mark.parametrize("right", [f"{verb} {what}" for verb, what in RIGHTS])
def test_a_right_that_misses_is_named_before_a_training_needs_it(right: str, tmp_path: Path, here: Cluster) -> None:
    assert "takes the pod of" in trainer(tmp_path).check()
    here.denied = {right}
    with pytest.raises(TrainingFailed, match=f"not allowed in namespace ftassets: {right};"):
        trainer(tmp_path).check()
    assert not here.every, "a check creates nothing"


def test_the_example_manifest_is_one_we_take(here: Cluster) -> None:
    pod = read_pod(DEPLOY / "trainer-pod.yaml", (Path("/srv/ftassets/home"), Path("/srv/ftassets/cache")))
    assert "nvidia.com/gpu" in pod["spec"]["containers"][0]["resources"]["limits"]
    status, answer = here.create(training_pod(pod, "x-", {}, ["python"], {}), {"fieldValidation": "Strict", "dryRun": "All"})
    assert (status, answer.get("message")) == (201, None)


def test_the_example_role_grants_what_is_called_and_no_more() -> None:
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
    from kubernetes import client

    account, role, binding = yaml.safe_load_all((DEPLOY / "rbac.yaml").read_text())
    for each in (account, role, binding):
        model = getattr(client, f"V1{each['kind']}")
        k8s_model_from_dict(model, k8s_snake_case_dict(model, each))
    granted = {(verb, what) for rule in role["rules"] for what in rule["resources"] for verb in rule["verbs"]}
    assert granted == set(RIGHTS)
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"][0]["name"] == account["metadata"]["name"]
    assert len({each["metadata"]["namespace"] for each in (account, role, binding)}) == 1
