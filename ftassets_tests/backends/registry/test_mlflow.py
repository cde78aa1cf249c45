"""The registry in MLflow on SQLite: what it leaves in MLflow's own tables and folders."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from ftassets.backends.registry.mlflow import MlflowRegistry
from ftassets.domain.rollout.registry_labels import Label
from ftassets.domain.training.points import Point
from ftassets.errors import StateDamaged
from ftassets.testing.contracts.registry import A, B, log
from ftassets.testing.made_once import mlflow_tables


def opened(home: Path) -> MlflowRegistry:
    return MlflowRegistry(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    mlflow_tables(tmp_path)
    return tmp_path


def test_run_holds_what_was_logged(home: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    registry = opened(home)
    run_id = log(registry, artifacts=tmp_path / "adapter")
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run 1")
    assert (run.data.params, run.data.tags["commit"]) == ({"lr": "0.0002", "lora_r": "16"}, "c1")
    assert run.data.metrics["rows"] == 800
    assert len(client.get_metric_history(run_id, "loss")) == 1200
    assert (home / "artifacts" / "voice" / run_id / "artifacts" / "adapter" / "adapter_config.json").exists()


def test_version_has_the_artefacts_of_its_training(home: Path) -> None:
    from mlflow import MlflowClient

    registry = opened(home)
    run_id = log(registry)
    log(registry, B)
    registry.register("voice", "n", A, None, {})
    registry.register("voice", "trained elsewhere", "c" * 64, None, {})
    trained, foreign = (MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_model_version("voice", number) for number in ("1", "2"))
    note = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_run(run_id).data.tags["mlflow.note.content"]
    assert note == trained.description == f"- Digest: `{A}`"
    assert (trained.run_id, trained.source) == (run_id, f"runs:/{run_id}/adapter")
    assert foreign.source == f"urn:/sha256/{'c' * 64}"


def test_a_copied_home_writes_into_itself_and_has_its_artefacts(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "a home").mkdir()
    mlflow_tables(tmp_path / "a home")
    first = log(opened(tmp_path / "a home"), artifacts=tmp_path / "adapter")
    shutil.copytree(tmp_path / "a home", tmp_path / "a home, copied")
    second = log(opened(tmp_path / "a home, copied"), B, artifacts=tmp_path / "adapter")
    shutil.rmtree(tmp_path / "a home")
    client = MlflowClient(f"sqlite:///{tmp_path / 'a home, copied' / 'mlflow.db'}")
    for run in (first, second):
        assert Path(client.download_artifacts(run, "adapter/adapter_config.json")).read_text() == "{}"
    assert not (tmp_path / "a home").exists()


def test_a_recording_that_was_cut_off_is_completed(home: Path) -> None:
    from mlflow import MlflowClient

    registry = opened(home)
    finished = log(registry)
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    client.update_run(finished, status="RUNNING")
    assert log(registry) == finished
    assert client.get_run(finished).info.status == "FINISHED"
    assert len(client.get_metric_history(finished, "loss")) == 1200


def test_a_running_training_grows_and_goes_on_in_the_same_run(home: Path) -> None:
    from mlflow import MlflowClient

    registry, client = opened(home), MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = registry.experiment("voice")
    whole = client.create_run(experiment, tags={"dagster_run_id": "d1"}).info.run_id  # as dagster-mlflow makes it
    tags = {"dagster_run_id": "d1", "dagster_run_url": "http://dagster/runs/d1"}
    first = registry.begin_training("voice", "training", "k", {"lora_r": 16}, tags, goes_on=False)
    registry.log_points(first.run_id, [Point(1, {"loss": 2.0}, 1.5), Point(2, {"loss": float("nan")}, 2.5)])
    run = client.get_run(first.run_id)
    assert (run.info.status, run.data.params, run.data.tags["mlflow.parentRunId"]) == ("RUNNING", {"lora_r": "16"}, whole)
    assert run.data.tags["mlflow.note.content"] == "- Dagster run: [d1](http://dagster/runs/d1)"
    assert [(each.step, each.timestamp) for each in client.get_metric_history(first.run_id, "loss")] == [(1, 1500), (2, 2500)]
    registry.end_training(first.run_id, "KILLED", "the machine went away")
    assert client.get_run(first.run_id).info.status == "KILLED"

    other = registry.begin_training("voice", "training", "k", {}, {"dagster_run_id": "d2"}, goes_on=False)
    assert other.run_id != first.run_id  # it began anew
    registry.end_training(other.run_id, "FAILED", "NaN")
    client.delete_run(other.run_id)
    again = registry.begin_training("voice", "training", "k", {"lora_r": 16}, {"dagster_run_id": "d3"}, goes_on=True)
    assert (again.run_id, dict(again.recorded)) == (first.run_id, {"loss": 2})
    assert registry.begin_training("voice", "training", "k", {}, {"dagster_run_id": "d3"}, goes_on=False).run_id == first.run_id
    assert registry.begin_training("voice", "training", "another", {}, {"dagster_run_id": "d3"}, goes_on=True).run_id != first.run_id

    registry.finish_training("voice", first.run_id, "adapter-aaaa", {"rows": 800}, {"digest": A}, None)
    run = client.get_run(first.run_id)
    assert (run.info.status, run.info.run_name, run.data.tags["digest"]) == ("FINISHED", "adapter-aaaa", A)
    assert registry.log_scores("voice", A, {"candidate/größe, klein/exact_match": 0.5}, {"gates": "PASS"}) == first.run_id
    run = client.get_run(first.run_id)
    assert (run.data.metrics["candidate/größe_ klein/exact_match"], run.data.tags["gates"]) == (0.5, "PASS")
    assert run.info.status == "FINISHED"


def test_versions_made_by_hand_are_none_of_ours(home: Path) -> None:
    from mlflow import MlflowClient

    registry = opened(home)
    ours = registry.register("voice", "n", A, None, {})
    MlflowClient(f"sqlite:///{home / 'mlflow.db'}").create_model_version("voice", "urn:elsewhere")
    assert registry.versions("voice") == [ours]


def test_labels_that_somebody_set_by_hand_are_seen_also_on_a_version_made_by_hand(home: Path) -> None:
    from mlflow import MlflowClient

    registry, client = opened(home), MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    registry.register("voice", "n", A, None, {})
    client.create_model_version("voice", "urn:elsewhere")
    client.set_registered_model_alias("voice", "production", "2")
    client.transition_model_version_stage("voice", "1", "Staging")
    assert registry.labels("voice") == [Label("production", "2", None), Label("Staging", "1", A, stage=True)]


def test_leaves_no_global_state(home: Path) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    log(opened(home))
    assert (mlflow.get_tracking_uri(), mlflow.active_run()) == (before, None)


def test_module_is_light() -> None:
    code = "import sys, ftassets.backends.registry.mlflow; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("written", [0, 50_000, 100_000])  # bytes, of some 450,000: progress, as seconds mean another place on each machine
def test_a_kill_while_the_tables_are_made_leaves_a_registry_that_works(tmp_path: Path, kill: signal.Signals, written: int) -> None:
    code = (
        "import sys; from pathlib import Path; from ftassets.backends.registry.mlflow import MlflowRegistry as R\n"
        "home = Path(sys.argv[1]); R(f'sqlite:///{home}/mlflow.db', home / 'artifacts').versions('none')"
    )
    restored = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # a run in the background has it ignored
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.DEVNULL, preexec_fn=restored)
    new, until = tmp_path / ".mlflow.db.new", time.monotonic() + 60
    while time.monotonic() < until and (not new.exists() or new.stat().st_size < written):
        time.sleep(0.002)
    first.send_signal(kill)
    assert first.wait(60) != 0, "it was to be killed before the tables were made"
    assert not (tmp_path / "mlflow.db").exists()
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert opened(tmp_path).check() == f"MLflow in {tmp_path / 'mlflow.db'}"
    assert [path.name for path in tmp_path.glob("*mlflow.db*")] == ["mlflow.db"]


def test_an_empty_file_gets_its_tables(home: Path) -> None:
    assert opened(home / "new").check().endswith("made at the first use")
    (home / "empty").mkdir()
    (home / "empty" / "mlflow.db").touch()
    assert opened(home / "empty").versions("voice") == []


@pytest.mark.parametrize("damage", ["half", "other file", "other tables"])
def test_a_database_that_cannot_be_used_is_named(home: Path, damage: str) -> None:
    path = home / f"{damage[:5].strip()}" / "mlflow.db"
    path.parent.mkdir()
    if damage == "other file":
        path.write_bytes(b"no database" * 1000)
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE _alembic_tmp_metrics (key)" if damage == "half" else "CREATE TABLE experiments (name)")
        connection.close()
    started = time.monotonic()
    with pytest.raises(StateDamaged, match=f"the registry {path} cannot be used .*move it away") as error:
        opened(path.parent).versions("voice")
    assert "\n" not in str(error.value)
    assert time.monotonic() - started < 20
    if damage != "other tables":
        with pytest.raises(StateDamaged, match="cannot be used"):
            opened(path.parent).check()


def test_what_a_dead_run_left_running_is_ended_and_nothing_else(home: Path) -> None:
    from mlflow import MlflowClient

    registry = opened(home)
    registry.end_runs("voice", "died")  # the loop has no experiment yet
    client, experiment = MlflowClient(f"sqlite:///{home / 'mlflow.db'}"), registry.experiment("voice")
    ids = [client.create_run(experiment, tags={"dagster_run_id": run}).info.run_id for run in ("died", "alive", "died")]
    client.set_terminated(ids[2], "FINISHED")
    registry.end_runs("voice", "died")
    assert [client.get_run(run_id).info.status for run_id in ids] == ["KILLED", "RUNNING", "FINISHED"]
