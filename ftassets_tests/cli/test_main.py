"""The command line without anything running: each command says what it found and what to do."""

import inspect
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.cli.main import app
from ftassets.config.loop_files import LOOPS
from ftassets.docs.cli_page import commands


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_status_says_that_the_gateway_is_down() -> None:
    found = json.loads(run("status", "--json").stdout)
    assert "ftassets up" in found["gateway"]
    assert found["loops"]["voice_commands"]["phase"] == "unknown"


def test_pause_and_resume_leave_their_mark(home: Path) -> None:
    assert run("pause", "voice_commands", "--reason", "holiday").exit_code == 0
    assert json.loads(run("status", "--json").stdout)["loops"]["voice_commands"]["paused"] == "holiday"
    assert run("resume", "voice_commands", "--reason", "back").exit_code == 0
    assert json.loads(run("status", "--json").stdout)["loops"]["voice_commands"]["paused"] is None


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_an_unknown_loop_is_refused_with_the_known_ones(command: str) -> None:
    result = run(command, "nonesuch", "--reason", "x")
    assert result.exit_code == 1
    assert (
        f"there is no loop 'nonesuch' below {LOOPS} (named by --loops or FTASSETS_LOOPS); there is: support_triage, voice_commands"
        in result.output
    )


def test_a_rollback_without_gateway_says_how_to_start_it() -> None:
    result = run("rollback", "voice_commands", "--reason", "bad answers")
    assert result.exit_code == 1
    assert "ftassets up" in result.output


def test_a_rollback_needs_a_reason() -> None:
    assert run("rollback", "voice_commands").exit_code == 2


def test_doctor_finds_this_machine_sound() -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "loop voice_commands" in result.output


def test_doctor_names_an_unknown_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "moon")
    result = run("doctor")
    assert result.exit_code == 1
    assert "moon is not known; there is: embedded" in result.output


def test_the_demo_never_clears_a_home_that_is_not_a_demos(home: Path) -> None:
    home.mkdir()
    (home / "traffic.db").write_text("precious")
    result = run("demo", "--exit")
    assert result.exit_code == 1
    assert "holds something else than a demo" in result.output
    assert (home / "traffic.db").read_text() == "precious"


def test_every_command_that_reads_loops_can_be_told_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # below the command line, only the folder, or not at all: who adds --loops to every command can also roll back
    read = {"status", "doctor", "up", "gate-service", "init", "check", "rollback"}
    for name, command in commands():
        short = name.removeprefix("ftassets ")
        needs = short in read or "known_loop" in inspect.getsource(inspect.unwrap(command.callback))
        assert ("--loops" in [option for each in command.params for option in each.opts]) == needs, name
    (tmp_path / "empty").mkdir()
    said = f"there is no loop below {tmp_path / 'empty'} (named by --loops or FTASSETS_LOOPS). `ftassets init NAME` writes a loop"
    for arguments in (["status"], ["plan", "mine"], ["up"], ["doctor"], ["pause", "mine", "--reason", "x"]):
        result = run(*arguments, "--loops", str(tmp_path / "empty"))
        assert result.exit_code == 1
        assert said in result.output
        assert os.environ["FTASSETS_LOOPS"] == str(LOOPS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FTASSETS_LOOPS")
    assert said in run("status", "--loops", "empty").output
    assert "FTASSETS_LOOPS" not in os.environ
    said = run("status").output
    assert "there is no loop here: the working directory is in no Dagster project" in said
    assert f"never ran in the home {os.environ['FTASSETS_HOME']}: if it runs with another, set FTASSETS_HOME to that" in said
