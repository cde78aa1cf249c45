"""What doctor says about the servers of a profile and the traffic log; the rest is in test_cli.py."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ftassets.backends.control.health import write_health
from ftassets.backends.control.latest import record_latest
from ftassets.cli.commands import doctor
from ftassets.cli.commands.doctor import Diagnosis, _registry, _servers, _traffic, diagnose
from ftassets.cli.commands.status import describe
from ftassets.config.home import Home
from ftassets.config.loops_folder import loops_folder, record
from ftassets.config.profiles import TRAFFIC_URL, control
from ftassets.domain.health.health import Health
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.processes.up import Ports, Running
from ftassets.testing.doubles.kubernetes import cluster, pod_manifest
from ftassets.testing.doubles.lakefs import ACCESS_KEY, SECRET_KEY, LakeFsDouble
from ftassets.testing.releases import loop_config
from ftassets_tests.config.test_dagster_project import write
from ftassets_tests.config.test_loops_folder import put_loop

pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")

QDRANT_KEY = "s3cr3t-of-qdrant"
ANSWERS = {"/health": "OK", "/collections": json.dumps({"result": {"collections": []}, "status": "ok", "time": 0.0})}


@pytest.fixture
def others() -> Iterator[str]:
    """What MLflow and Qdrant answer when they are only asked whether they are there."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = ANSWERS[self.path].encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def servers(others: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LakeFsDouble]:
    double = LakeFsDouble()
    settings = {
        "FTASSETS_PROFILE": "production",
        "LAKEFS_ENDPOINT": double.url,
        "LAKEFS_ACCESS_KEY": ACCESS_KEY,
        "LAKEFS_SECRET_KEY": SECRET_KEY,
        "LAKEFS_REPOSITORY": "datasets",
        "LAKEFS_STORAGE_NAMESPACE": f"local://{tmp_path}",
        "QDRANT_URL": others,
        "QDRANT_API_KEY": QDRANT_KEY,
        "MLFLOW_TRACKING_URI": others,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield double
    double.close()


def look(tmp_path: Path) -> dict[str, Diagnosis]:
    found = {finding.subject: finding for finding in _servers(Home(tmp_path))}
    for secret in (SECRET_KEY, QDRANT_KEY, "wrong-s3cr3t"):
        assert not any(secret in finding.text for finding in found.values())
    return found


def test_embedded_has_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    assert look(tmp_path) == {}


def test_each_server_that_answers_is_a_finding(servers: LakeFsDouble, tmp_path: Path) -> None:
    found = look(tmp_path)
    assert all(finding.ok for finding in found.values()), found
    assert "makes repository datasets" in found["dataset_store"].text
    assert "0 collections" in found["vector_store"].text
    assert found["registry"].text.startswith("MLflow at http://127.0.0.1:")
    assert found["LAKEFS_SECRET_KEY"].text == "set"
    assert not servers.seen["create_repository"]  # looking makes nothing


def test_what_is_wrong_with_each_server_is_a_finding(servers: LakeFsDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFS_SECRET_KEY", "wrong-s3cr3t")
    monkeypatch.setenv("QDRANT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:wrong-s3cr3t@127.0.0.1:9")
    found = look(tmp_path)
    assert [name for name, finding in found.items() if not finding.ok] == ["dataset_store", "vector_store", "registry"]
    assert "LAKEFS_SECRET_KEY" in found["dataset_store"].text
    assert "QDRANT_URL" in found["vector_store"].text
    assert "MLFLOW_TRACKING_URI" in found["registry"].text


def test_variables_that_miss_are_findings(servers: LakeFsDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKEFS_REPOSITORY")
    monkeypatch.delenv("QDRANT_URL")
    found = look(tmp_path)
    assert [name for name, finding in found.items() if not finding.ok] == ["LAKEFS_REPOSITORY", "QDRANT_URL"]
    assert "FTASSETS_PROFILE=production needs it" in found["QDRANT_URL"].text
    assert "dataset_store" not in found  # no use to ask a half-described server


def test_the_cluster_that_trains_is_a_finding(servers: LakeFsDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "kubernetes")
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))
    manifest = tmp_path / "pod.yaml"
    assert look(tmp_path)["FTASSETS_TRAINER_POD"].text.startswith("missing")
    monkeypatch.setenv("FTASSETS_TRAINER_POD", str(manifest))
    assert "cannot be read" in look(tmp_path)["trainer"].text
    manifest.write_text(yaml.safe_dump(pod_manifest(tmp_path)))
    with cluster(tmp_path) as (here, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        assert look(tmp_path)["trainer"].ok
        here.denied = {"delete pods"}
        assert "delete pods; deploy/kubernetes/rbac.yaml" in look(tmp_path)["trainer"].text


def test_the_traffic_log_is_named_with_what_is_wrong_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRAFFIC_URL, raising=False)
    [file] = _traffic(Home(tmp_path))
    assert (file.ok, str(tmp_path / "traffic.db") in file.text) == (True, True)
    monkeypatch.setenv(TRAFFIC_URL, "postgresql://me:s3cr3t@127.0.0.1:9/traffic")
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    [server] = _traffic(Home(tmp_path))
    assert (server.ok, "127.0.0.1:9/traffic" in server.text, "s3cr3t" in server.text) == (False, True, False)
    monkeypatch.setenv("FTASSETS_PROFILE", "embedded")
    [unused] = _traffic(Home(tmp_path))
    assert (unused.ok, TRAFFIC_URL in unused.text) == (False, True)


def test_a_registry_on_this_machine_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    assert [(each.subject, each.ok) for each in _registry(Home(tmp_path))] == [("registry", True)]
    (tmp_path / "mlflow.db").write_text("damaged")
    [found] = _registry(Home(tmp_path))
    assert not found.ok
    assert f"the registry {tmp_path / 'mlflow.db'} cannot be used" in found.text


def test_what_keeps_up_from_running_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = write(tmp_path / "project")
    put_loop(project / "src/shop/defs", "kitchen")
    (project / "src/yaml.py").touch()
    (project / "gql.py").touch()
    monkeypatch.chdir(project)
    monkeypatch.delenv("FTASSETS_LOOPS")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    home = Home(tmp_path / "a*b")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(doctor, "Ports", lambda: Ports(code=port))
        found = [each for each in diagnose(home) if each.subject in ("modules", "home", "DAGSTER_HOME", "default ports", "loop kitchen")]
    said = {each.text: each.ok for each in found}
    assert [text for text in said if text.startswith(f"{project}/gql.py takes the place of ") and "rename it" in text]
    assert [text for text in said if text.startswith(f"{project}/src/yaml.py takes the place of ")]
    assert not said[f"there is no dagster.yaml in {tmp_path}: unset it, or set it to the folder that has one"]
    assert not said[f"the path of the home {str(home.root)!r} has '*' in it: set FTASSETS_HOME to a folder without"]
    assert [text for text in said if f"{port} (--code-port) in use: start `ftassets up` with other ports" in text]
    monkeypatch.setenv("DAGSTER_HOME", "")
    for name in ("src/yaml.py", "gql.py"):
        (project / name).unlink()
    found = [each for each in diagnose(Home(tmp_path / "home")) if each.subject in ("modules", "home", "DAGSTER_HOME")]
    assert all(each.ok for each in found)
    assert Diagnosis("modules", True, "none here takes the place of a library") in found


def test_a_module_beside_no_project_harms_nothing_that_up_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gql.py").touch()
    monkeypatch.chdir(tmp_path)
    [note] = subjects(Home(tmp_path / "home"), "modules")
    assert note.ok
    assert note.text.startswith(f"{tmp_path}/gql.py takes the place of ")
    assert note.text.endswith("with `python -m`; in nothing that `ftassets up` starts")
    write(tmp_path)  # `dg dev` imports from there
    [harm] = subjects(Home(tmp_path / "home"), "modules")
    assert (harm.ok, harm.text.endswith(": rename it")) == (False, True)


def test_the_loops_of_another_folder_than_those_that_run_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    record(home, put_loop(tmp_path / "running", "office"))
    monkeypatch.setenv("FTASSETS_LOOPS", str(put_loop(tmp_path / "read", "kitchen")))
    assert subjects(home, "loops") == [Diagnosis("loops", True, f"{tmp_path}/read (named by --loops or FTASSETS_LOOPS)")]
    monkeypatch.setattr(doctor, "running", lambda home: Running(1, 0.0, Ports()))
    [found] = subjects(home, "loops")
    assert not found.ok
    assert found.text.startswith(f"`ftassets up` runs with {tmp_path}/running, this command reads {tmp_path}/read (named by ")


def subjects(home: Home, subject: str) -> list[Diagnosis]:
    return [each for each in diagnose(home) if each.subject == subject]


def test_a_version_that_does_not_answer_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def health(ready: bool) -> dict[str, Any]:
        entry = {"loop": "kitchen", "weight": 100, "ready": ready} | ({} if ready else {"why": "its server ended"})
        return {"status": "ok" if ready else "degraded", "traffic_log": {"ready": True}, "versions": {"a" * 64: entry}}

    for ready, expected in ((True, "ok, 1 version"), (False, "degraded, 1 version; aaaaaaaaaaaa of kitchen: its server ended")):
        monkeypatch.setattr(doctor, "serving", lambda home, ready=ready: SimpleNamespace(health=lambda: health(ready)))
        assert list(doctor._gateway(Home(tmp_path), None)) == [Diagnosis("gateway", ready, expected)]


def test_a_gateway_that_should_run_and_does_not_answer_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = list(doctor._gateway(Home(tmp_path), None))
    assert found.ok, "nothing was started"
    monkeypatch.setattr(doctor, "running", lambda home: Running(1, 0.0, Ports()))
    [found] = list(doctor._gateway(Home(tmp_path), None))
    assert (found.ok, found.text.endswith("start it with `ftassets up`")) == (False, True)


def test_a_home_and_a_log_on_a_full_disk_are_faults(tmp_path: Path) -> None:
    code = (
        "import resource, sys, pathlib; from ftassets.cli.commands import doctor; from ftassets.config.home import Home;"
        "home = Home(pathlib.Path(sys.argv[1])); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY));"
        "print([(each.subject, each.ok) for each in [*doctor._home(home), *doctor._traffic(home)] if each.subject != 'disk'])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "home")], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[('home', False), ('traffic log', False)]"


def test_definitions_that_cannot_be_loaded_and_what_waits_for_a_person_are_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("FTASSETS_LOOPS", str(put_loop(tmp_path / "loops", "kitchen")))
    found = loops_folder(home)
    for file in ("seed.jsonl", "golden.jsonl"):
        (tmp_path / "loops" / "kitchen" / file).touch()
    assert list(doctor._definitions(home, found)) == [Diagnosis("definitions of kitchen", True, "can be loaded")]
    assert list(doctor._health(home, found)) == [Diagnosis("health of kitchen", True, "nothing needs a person")]
    found.loops["kitchen"].golden_set.unlink()
    [broken] = doctor._definitions(home, found)
    assert (broken.ok, "golden_set names" in broken.text) == (False, True)
    alarm = LatestReport(at=time.time(), version="a" * 64, verdict="ALARM")
    record_latest(control(home), "kitchen", "drift_report", alarm)
    write_health(control(home), "kitchen", Health(at=time.time(), mode="auto", production="a" * 64, since=time.time()))
    absent, wrong = doctor._health(home, found)
    assert (absent.subject, absent.ok) == ("gateway-absent of kitchen", False), "a version is in production"
    assert (wrong.subject, wrong.ok) == ("drift-alarm of kitchen", False)


def test_what_cannot_be_checked_stops_no_other_check_and_no_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("FTASSETS_LOOPS", str(put_loop(tmp_path / "loops", "kitchen")))
    monkeypatch.setenv("DAGSTER_HOME", "")
    for part in ("schedules/schedules.db", "runs.db", "history/runs.db", "history/runs/index.db"):
        file = home.dagster_storage / part
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"damaged " * 1000)
    write_health(control(home), "kitchen", Health(at=time.time(), mode="auto", production="a" * 64, since=time.time()))
    said = {each.subject: each for each in diagnose(home)}
    assert {"disk", "keys", "traffic log", "gateway"} - said.keys() == {"keys"}
    assert said["runs"] == Diagnosis("runs", False, "cannot be checked: a database below the home cannot be used: file is not a database")
    assert not said["gateway-absent of kitchen"].ok
    loop = describe(home)["loops"]["kitchen"]
    assert "releases, sensors and runs are not known: a database below the home cannot be used: file is not a database" in loop["notes"]
    assert [each["subject"] for each in loop["health"]["concerns"]] == ["gateway-absent"]


def on_ray(address: str) -> list[Any]:
    return [loop_config(name, train={"batch_size": 4, "ray": {"address": address, "workers": 2}}) for name in ("one", "two")]


def test_a_ray_cluster_is_asked_once_for_all_its_loops_and_what_is_wrong_is_said_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    begun = time.monotonic()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        address = f"ray://127.0.0.1:{silent.getsockname()[1]}"
        [found] = doctor._ray([*on_ray(address), loop_config("here")])
    assert (found.subject, found.ok) == (f"Ray at {address}", False)
    assert f"{address} cannot be reached (" in found.text
    assert time.monotonic() - begun < 30
    monkeypatch.setitem(sys.modules, "ray", None)
    [found] = doctor._ray(on_ray(address))
    assert (found.ok, found.text) == (False, "train.ray needs Ray on this machine: pip install 'ftassets[ray]'")


def test_loops_that_train_here_ask_no_cluster() -> None:
    command = {"command": ["python", "train.py"], "batch_size": 4, "ray": {"address": "ray://127.0.0.1:9"}}
    assert list(doctor._ray([loop_config("here"), loop_config("own", train=command)])) == []
