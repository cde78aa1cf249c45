"""Which backends a profile gives, and what it says when it cannot."""

import subprocess
import sys
from pathlib import Path

import pytest

from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.dataset_store.lakefs import LakeFsDatasetStore
from ftassets.backends.registry.mlflow import MlflowServerRegistry
from ftassets.backends.signer.environment import EnvironmentSigner
from ftassets.backends.traffic_log.postgres import PostgresTrafficLog
from ftassets.backends.trainer.kubernetes import KubernetesTrainer
from ftassets.backends.trainer.subprocess import SubprocessTrainer
from ftassets.backends.vector_store.qdrant import QdrantServerVectorStore, QdrantVectorStore
from ftassets.config.home import Home
from ftassets.config.profiles import PROFILES, TRAFFIC_URL, VARIABLES, backend, backends, has_servers
from ftassets.testing.doubles.lakefs import ACCESS_KEY, SECRET_KEY, LakeFsDouble

SETTINGS = {
    "LAKEFS_ENDPOINT": "http://127.0.0.1:9",
    "LAKEFS_ACCESS_KEY": ACCESS_KEY,
    "LAKEFS_SECRET_KEY": SECRET_KEY,
    "LAKEFS_REPOSITORY": "datasets",
    "QDRANT_URL": "http://127.0.0.1:9",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(TRAFFIC_URL, raising=False)


def test_every_variable_a_profile_needs_is_listed() -> None:
    assert {name for names in VARIABLES["production"].values() for name in names} == set(SETTINGS)
    assert {name for names in VARIABLES["kubernetes"].values() for name in names} == {*SETTINGS, "FTASSETS_TRAINER_POD"}
    assert VARIABLES.keys() == PROFILES.keys()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_has_servers_where_one_must_be_named(profile: str) -> None:
    assert has_servers(profile) == bool(VARIABLES[profile])


def test_embedded_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    made = backends(Home(tmp_path))
    assert type(made["dataset_store"]()) is GitDatasetStore
    assert type(made["vector_store"]()) is QdrantVectorStore


def test_production_has_servers_for_what_is_shared(tmp_path: Path, production: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made, embedded = backends(Home(tmp_path)), PROFILES["embedded"](Home(tmp_path))
    assert made.keys() == embedded.keys()
    assert type(made["dataset_store"]()) is LakeFsDatasetStore
    assert type(made["vector_store"]()) is QdrantServerVectorStore
    assert type(made["registry"]()) is MlflowServerRegistry
    assert type(made["signer"]()) is EnvironmentSigner
    assert type(made["traffic_log"]()) is type(embedded["traffic_log"]())
    monkeypatch.setenv(TRAFFIC_URL, "postgresql://me@127.0.0.1:9/traffic")
    assert type(made["traffic_log"]()) is PostgresTrafficLog
    assert not list(tmp_path.iterdir())  # nothing is opened before it is used


def test_kubernetes_is_production_with_a_trainer_in_a_pod(tmp_path: Path, production: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "kubernetes")
    with pytest.raises(ValueError, match="FTASSETS_PROFILE=kubernetes needs FTASSETS_TRAINER_POD in the environment"):
        backends(Home(tmp_path))
    monkeypatch.setenv("FTASSETS_TRAINER_POD", str(tmp_path / "pod.yaml"))
    made, before = backends(Home(tmp_path)), PROFILES["production"](Home(tmp_path))
    assert isinstance(made["trainer"]().usual, KubernetesTrainer)
    assert isinstance(before["trainer"]().usual, SubprocessTrainer)
    assert not {name for name in made if type(made[name]()) is not type(before[name]())}


def test_the_dataset_store_of_production_works(tmp_path: Path, production: None, monkeypatch: pytest.MonkeyPatch) -> None:
    double = LakeFsDouble()
    monkeypatch.setenv("LAKEFS_ENDPOINT", double.url)
    monkeypatch.setenv("LAKEFS_STORAGE_NAMESPACE", f"local://{tmp_path}")
    store = backends(Home(tmp_path))["dataset_store"]()
    commit = store.publish("r1", {"a": b"1"}, "m", {}).commit
    double.close()
    assert GitDatasetStore(tmp_path / "datasets.git").read(commit, "a") == b"1"


def test_all_variables_that_miss_are_named_at_once(tmp_path: Path, production: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QDRANT_URL")
    monkeypatch.setenv("LAKEFS_SECRET_KEY", "")
    with pytest.raises(ValueError, match="FTASSETS_PROFILE=production needs LAKEFS_SECRET_KEY, QDRANT_URL in the environment"):
        backends(Home(tmp_path))


def test_one_backend_needs_only_its_own_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    assert type(backend(Home(tmp_path), "signer")) is EnvironmentSigner
    monkeypatch.setenv("QDRANT_URL", SETTINGS["QDRANT_URL"])
    assert type(backend(Home(tmp_path), "vector_store")) is QdrantServerVectorStore
    with pytest.raises(ValueError, match="FTASSETS_PROFILE=production needs MLFLOW_TRACKING_URI in the environment"):
        backend(Home(tmp_path), "registry")


def test_an_unknown_profile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "moon")
    with pytest.raises(ValueError, match="'moon'; there is: embedded, production"):
        backends(Home(tmp_path))


def test_a_profile_loads_no_client_before_it_is_used(tmp_path: Path, production: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "kubernetes")
    monkeypatch.setenv("FTASSETS_TRAINER_POD", "pod.yaml")
    monkeypatch.setenv(TRAFFIC_URL, "postgresql://me@127.0.0.1:9/traffic")
    code = (
        "import sys; from pathlib import Path; from ftassets.config.home import Home; from ftassets.config.profiles import backends\n"
        "names = ('dataset_store', 'vector_store', 'registry', 'trainer', 'traffic_log')\n"
        "made = backends(Home(Path('.'))); [made[name]() for name in names]\n"
        "sys.exit(', '.join({'kubernetes', 'lakefs_client', 'qdrant_client', 'mlflow', 'pg8000'} & sys.modules.keys()) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
