"""The lineage graph and its automation as a snapshot, reviewed like code; and that loading them stays light."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from syrupy.assertion import SnapshotAssertion

from ftassets.automation import SENSORS
from ftassets.config.loop_files import LOOPS
from ftassets.definitions import defs as build_definitions
from ftassets.definitions import load

HEAVY = {
    "bitsandbytes", "dagster_k8s", "dagster_mlflow", "datasets", "evaluate", "kubernetes", "lakefs_client", "mlflow", "peft",
    "qdrant_client", "sentence_transformers", "sklearn", "torch", "transformers", "trl",
}  # fmt: skip


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTASSETS_HOME", str(tmp_path_factory.mktemp("home")))
        return build_definitions()


def _assets(defs: dg.Definitions) -> dict[str, Any]:
    graph = defs.resolve_asset_graph()
    return {
        key.to_user_string(): {
            "deps": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
            "kinds": sorted(graph.get(key).kinds),
            "owners": sorted(graph.get(key).owners),
            "group": graph.get(key).group_name,
            "external": graph.get(key).is_external,
            "says": (graph.get(key).description or "").split("\n")[0],
            "checks": {
                check.name: "blocking" if graph.get_check_spec(check).blocking else "informs" for check in sorted(graph.get(key).check_keys)
            },
        }
        for key in sorted(graph.get_all_asset_keys())
    }


def test_lineage(defs: dg.Definitions, snapshot: SnapshotAssertion) -> None:
    assert _assets(defs) == snapshot


def test_automation(defs: dg.Definitions, snapshot: SnapshotAssertion) -> None:
    repository = defs.get_repository_def()
    jobs = {
        job.name: {"assets": sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys), "tags": dict(job.tags)}
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    }
    sensors = {
        sensor.name: {
            "targets": sorted(target.job_name for target in sensor.targets),
            "every": sensor.minimum_interval_seconds,
            "starts": sensor.default_status.value,
        }
        for sensor in repository.sensor_defs
    }
    schedules = {
        schedule.name: {
            "job": schedule.job_name,
            "cron": schedule.cron_schedule,
            "timezone": schedule.execution_timezone,
            "starts": schedule.default_status.value,
        }
        for schedule in repository.schedule_defs
    }
    assert {"jobs": jobs, "sensors": sensors, "schedules": schedules} == snapshot


def test_definitions_are_valid(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_every_gate_blocks_and_sits_on_the_report(defs: dg.Definitions) -> None:
    reports = {name: asset["checks"] for name, asset in _assets(defs).items() if name.endswith("/eval_report")}
    assert len(reports) == 2, "one for each loop of the package"
    for name, checks in reports.items():
        assert set(checks.values()) == {"blocking"}, name


def test_every_node_says_what_it_is(defs: dg.Definitions) -> None:
    for name, asset in _assets(defs).items():
        assert asset["says"].endswith((".", "?")), f"{name} lacks a sentence"


def test_loading_imports_nothing_heavy_and_writes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    code = f"import sys; from ftassets.definitions import defs; defs().get_repository_def(); print(*({HEAVY!r} & sys.modules.keys()))"
    environment = {**os.environ, "FTASSETS_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    loaded = subprocess.check_output([sys.executable, "-W", "ignore", "-c", code], text=True, env=environment, timeout=120)
    assert loaded.split() == []
    assert not home.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("monitors: {every: nonsense}", "monitors.every: a cron expression has five fields"),
        ("owners: [bad owner]", "owners.0: an owner is an e-mail address or team:NAME"),
        ("description: '{{ 1 / 0 }}'", "description: the template cannot be rendered (ZeroDivisionError)"),
        ("description: [", "is not valid YAML: "),
        ("mode: '{{ env.SEC }}'", "mode: Input should be 'observe', 'propose' or 'auto'"),
    ],
)
def test_dagster_shows_one_sentence_about_a_bad_loop_file(
    change: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEC", "s3cretPw")
    text = re.sub(rf"(?m)^  {change.partition(':')[0]}:.*\n(   .*\n)*", "", (LOOPS / "support_triage" / "defs.yaml").read_text())
    (tmp_path / "bad").mkdir()
    path = tmp_path / "bad" / "defs.yaml"
    path.write_text(text.replace("attributes:\n", f"attributes:\n  {change}\n"))
    problem = broken(load(tmp_path), "bad" if change.endswith("[") else "support_triage")
    assert re.match(rf"{path}:\d+: {re.escape(message)}|the loop file {path} {re.escape(message)}", problem), problem
    assert "s3cretPw" not in problem


def broken(found: dg.Definitions, name: str) -> str:
    """What Dagster shows of the only loop, whose file cannot be used."""
    repository = found.get_repository_def()
    [(key, asset)] = _assets(found).items()
    assert (key, asset["group"], asset["external"]) == (f"{name}/loop_file", "broken_loop_files", True)
    problem = found.resolve_asset_graph().get(dg.AssetKey([name, "loop_file"])).description
    assert {sensor.name for sensor in repository.sensor_defs} == {f"{name}__{each}" for each in SENSORS}
    for sensor in repository.sensor_defs:
        said = sensor(dg.build_sensor_context())
        assert isinstance(said, dg.SkipReason)
        assert said.skip_message == problem
    return str(problem)


def test_a_broken_loop_keeps_the_sensors_that_it_had(defs: dg.Definitions) -> None:
    names = {sensor.name for sensor in defs.get_repository_def().sensor_defs}
    assert names == {f"{loop}__{each}" for loop in ("support_triage", "voice_commands") for each in SENSORS}


@pytest.mark.parametrize("how", ["typo", "no golden set"])
def test_a_loop_that_cannot_be_used_stops_no_other(how: str, tmp_path: Path, defs: dg.Definitions) -> None:
    shutil.copytree(LOOPS, tmp_path / "loops")
    path = tmp_path / "loops" / "support_triage" / "defs.yaml"
    if how == "typo":
        path.write_text(path.read_text().replace("base_model:", "bse_model:"))
    else:
        (path.parent / "golden.jsonl").unlink()
    found, all_assets = load(tmp_path / "loops"), _assets(defs)
    dg.Definitions.validate_loadable(found)
    sound = {key: asset for key, asset in _assets(found).items() if asset["group"] != "broken_loop_files"}
    assert sound == {key: asset for key, asset in all_assets.items() if key.startswith("voice_commands/")}
    problem = found.resolve_asset_graph().get(dg.AssetKey(["support_triage", "loop_file"])).description
    assert str(path.parent) in str(problem)
    names = {sensor.name for sensor in found.get_repository_def().sensor_defs}
    assert names == {sensor.name for sensor in defs.get_repository_def().sensor_defs}, "their cursors are for when it is corrected"


def test_a_second_loop_of_one_name_is_named_with_its_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "defs.yaml").write_text((LOOPS / "support_triage" / "defs.yaml").read_text())
    assert broken(load(tmp_path), "support_triage") == f"{tmp_path}/b/defs.yaml: there are two loops named support_triage"
