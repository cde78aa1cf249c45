"""The registry on a real MLflow server, which takes half a minute to start; the contract is in contract/test_registry.py."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ftassets.backends.registry.base import RegistryUnreachable
from ftassets.backends.registry.mlflow import MlflowServerRegistry
from ftassets.testing.made_once import mlflow_tables

A, B = "a" * 64, "b" * 64


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[MlflowServerRegistry]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", mlflow_tables(tmp_path), "--artifacts-destination", str(tmp_path / "kept")]
    # its queue of background jobs is eight processes that a registry has no use for
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path, start_new_session=True)
    try:
        registry = MlflowServerRegistry(f"http://127.0.0.1:{port}/", tmp_path / "locks")
        until = time.monotonic() + 150
        while True:
            try:
                registry.check()
                break
            except RegistryUnreachable:
                assert server.poll() is None, (tmp_path / "server.log").read_text()
                assert time.monotonic() < until
                time.sleep(0.5)
        yield registry
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


@pytest.mark.slow
def test_training_and_versions_on_a_server(registry: MlflowServerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    (tmp_path / "adapter").mkdir()
    kept = {"adapter_config.json": b"{}", "adapter_model.safetensors": bytes(range(256)) * 64}
    for name, content in kept.items():
        (tmp_path / "adapter" / name).write_bytes(content)
    curve = [(step, 2.0 / step) for step in range(1, 1201)]
    run = registry.log_training("voice", "run 1", {"lr": 2e-4}, {"rows": 800}, curve, {"digest": A}, tmp_path / "adapter")
    assert registry.log_training("voice", "run 1", {"lr": 2e-4}, {"rows": 800}, curve, {"digest": A}, None) == run
    first = registry.register("voice", "v1", A, None, {"dataset_commit": "c1"})
    second = MlflowServerRegistry(registry.tracking_uri, tmp_path / "locks").register("voice", "v2", B, None, {})
    assert registry.register("voice", "again", A, run, {}) == first
    registry.set_alias("voice", "production", B)
    assert [(v.digest, v.aliases) for v in registry.versions("voice")] == [(second.digest, ("production",)), (first.digest, ())]

    client = MlflowClient(registry.tracking_uri)
    assert len(client.get_metric_history(run, "loss")) == 1200
    assert registry.link("voice", run) == f"{registry.tracking_uri}/#/experiments/{registry.experiment('voice')}/runs/{run}"
    location = client.get_experiment(registry.experiment("voice")).artifact_location
    assert location.startswith("mlflow-artifacts:"), "another machine could not read artefacts kept in a folder of this one"
    assert list((tmp_path / "kept").rglob("adapter_config.json"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)  # set by whoever used MLflow before, it comes first
    registry.tag("voice", A, {"deprecated": "old"})
    registry.set_alias("voice", "candidate", A)
    fetched = Path(download_artifacts("models:/voice@candidate", dst_path=str(tmp_path / "got")))
    assert {path.name: path.read_bytes() for path in fetched.iterdir()} == kept, "the same bytes give the same logits: test_reload.py"
    registry.tag("voice", A, {"deprecated": None})
    registry.remove_alias("voice", "candidate")
    assert (registry.versions("voice")[1].aliases, "deprecated" in registry.versions("voice")[1].tags) == ((), False)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryUnreachable, match="no answer from MLflow at http://127.0.0.1:9.*MLFLOW_TRACKING_URI"):
        MlflowServerRegistry("http://127.0.0.1:9", tmp_path).check()


def test_a_server_that_is_something_else(tmp_path: Path) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(RegistryUnreachable, match="/health answers 404"):
            MlflowServerRegistry(f"http://127.0.0.1:{server.server_address[1]}", tmp_path).check()
        server.shutdown()
        thread.join()


def test_an_address_of_a_database_is_not_a_server(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_URI"):
        MlflowServerRegistry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
