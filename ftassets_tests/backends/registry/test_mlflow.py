"""What every registry must do; another backend joins by a line in BACKENDS."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ftassets.backends.registry.base import Registry
from ftassets.backends.registry.mlflow import MlflowRegistry
from ftassets.testing.made_once import mlflow_tables

MakeRegistry = Callable[[Path], Registry]
BACKENDS: dict[str, MakeRegistry] = {"embedded": lambda folder: MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")}
A, B = "a" * 64, "b" * 64


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest) -> MakeRegistry:
    return BACKENDS[request.param]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    mlflow_tables(tmp_path)
    return tmp_path


@pytest.fixture
def registry(make: MakeRegistry, home: Path) -> Registry:
    return make(home)


def log(registry: Registry, digest: str = A, artifacts: Path | None = None) -> str:
    curve = [(step, 2.0 / step) for step in range(1, 1201)]
    tags = {"digest": digest, "commit": "c1"}
    return registry.log_training("voice", "run 1", {"lr": 2e-4, "rank": 16}, {"rows": 800}, curve, tags, artifacts)


def test_an_empty_registry_answers(registry: Registry) -> None:
    assert registry.versions("voice") == []


def test_versions_newest_first_with_what_was_registered(make: MakeRegistry, home: Path) -> None:
    registry = make(home)
    run = log(registry)
    first = registry.register("voice", "smol-c1-20261122-aaaa", A, run, {"dataset_commit": "c1"})
    second = registry.register("voice", "smol-c2-20261123-bbbb", B, None, {})
    assert (first.name, first.digest, first.tags["dataset_commit"]) == ("smol-c1-20261122-aaaa", A, "c1")
    assert first.number != second.number
    assert make(home).versions("voice") == [second, first]


def test_more_than_nine_versions_stay_in_order(registry: Registry) -> None:
    digests = [f"{n:064x}" for n in range(11)]
    for digest in digests:
        registry.register("voice", "n", digest, None, {})
    assert [version.digest for version in registry.versions("voice")] == digests[::-1]


def test_a_digest_is_registered_once(registry: Registry) -> None:
    first = registry.register("voice", "n", A, None, {"k": "1"})
    assert registry.register("voice", "another name", A, None, {"k": "2"}) == first
    assert registry.versions("voice") == [first]


def test_loops_are_apart(registry: Registry) -> None:
    registry.register("voice", "n", A, None, {})
    registry.register("triage", "n", A, None, {})
    assert [version.loop for version in registry.versions("triage")] == ["triage"]


def test_aliases_move(registry: Registry) -> None:
    for digest in (A, B):
        registry.register("voice", "n", digest, None, {})
    registry.set_alias("voice", "production", A)
    registry.set_alias("voice", "candidate", B)
    assert [version.aliases for version in registry.versions("voice")] == [("candidate",), ("production",)]
    registry.set_alias("voice", "production", B)
    assert [version.aliases for version in registry.versions("voice")] == [("candidate", "production"), ()]


def test_an_alias_is_taken_away_and_may_be_gone_already(registry: Registry) -> None:
    registry.register("voice", "n", A, None, {})
    registry.set_alias("voice", "candidate", A)
    for _ in range(2):
        registry.remove_alias("voice", "candidate")
        assert registry.versions("voice")[0].aliases == ()


def test_tags_are_set_changed_and_taken_away(registry: Registry) -> None:
    registry.register("voice", "n", A, None, {"base_model": "smol"})
    registry.tag("voice", A, {"deprecated": "replaced by b", "history": "[]"})
    registry.tag("voice", A, {"deprecated": None, "history": "[1]", "never_there": None})
    tags = registry.versions("voice")[0].tags
    assert (tags["base_model"], tags["history"]) == ("smol", "[1]")
    assert not {"deprecated", "never_there"} & tags.keys()


@pytest.mark.parametrize("known", [True, False])
def test_unknown_digests(registry: Registry, known: bool) -> None:
    if known:
        registry.register("voice", "n", A, None, {})
    with pytest.raises(KeyError, match="bbbb"):
        registry.set_alias("voice", "production", B)
    with pytest.raises(KeyError, match="bbbb"):
        registry.tag("voice", B, {"deprecated": "old"})


def test_a_training_is_recorded_once(registry: Registry) -> None:
    run = log(registry)
    assert log(registry) == run
    assert log(registry, B) != run


def test_embedded_run_holds_what_was_logged(home: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    registry = BACKENDS["embedded"](home)
    run_id = log(registry, artifacts=tmp_path / "adapter")
    registry.log_metrics(run_id, {"exact_match": 0.75})
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run 1")
    assert (run.data.params, run.data.tags["commit"]) == ({"lr": "0.0002", "rank": "16"}, "c1")
    assert (run.data.metrics["rows"], run.data.metrics["exact_match"]) == (800, 0.75)
    assert len(client.get_metric_history(run_id, "loss")) == 1200
    assert (home / "artifacts" / "voice" / run_id / "artifacts" / "adapter" / "adapter_config.json").exists()


def test_embedded_version_has_the_artefacts_of_its_training(home: Path) -> None:
    from mlflow import MlflowClient

    registry = BACKENDS["embedded"](home)
    run_id = log(registry)
    log(registry, B)
    registry.register("voice", "n", A, None, {})
    registry.register("voice", "trained elsewhere", "c" * 64, None, {})
    trained, foreign = (MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_model_version("voice", number) for number in ("1", "2"))
    assert (trained.run_id, trained.source) == (run_id, f"runs:/{run_id}/adapter")
    assert foreign.source == f"urn:/sha256/{'c' * 64}"


def test_embedded_run_that_was_cut_off_is_recorded_again(home: Path) -> None:
    from mlflow import MlflowClient

    registry = BACKENDS["embedded"](home)
    finished = log(registry)
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    client.update_run(finished, status="RUNNING")
    again = log(registry)
    assert again != finished
    assert log(registry) == again


def test_embedded_versions_made_by_hand_are_none_of_ours(home: Path) -> None:
    from mlflow import MlflowClient

    registry = BACKENDS["embedded"](home)
    ours = registry.register("voice", "n", A, None, {})
    MlflowClient(f"sqlite:///{home / 'mlflow.db'}").create_model_version("voice", "urn:elsewhere")
    assert registry.versions("voice") == [ours]


def test_embedded_leaves_no_global_state(home: Path) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    log(BACKENDS["embedded"](home))
    assert (mlflow.get_tracking_uri(), mlflow.active_run()) == (before, None)


def test_embedded_module_is_light() -> None:
    code = "import sys, ftassets.backends.registry.mlflow; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
