"""One loop file that cannot be used: the other loops can be operated, and a rollback always."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.backends.serving.gateway import GatewayServing
from ftassets.cli.main import app
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets_tests.config.test_loops_folder import put_loop

WHY = ("--reason", "x")


@pytest.fixture(autouse=True)
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File of the loop `bad`, which is no YAML, next to that of the loop `good`."""
    folder = put_loop(put_loop(tmp_path / "loops", "good"), "bad")
    path = folder / "bad" / "defs.yaml"
    path.write_text("type: [")
    monkeypatch.setenv("FTASSETS_LOOPS", str(folder))
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    return path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


def test_the_other_loop_is_paused_resumed_and_shown(broken: Path) -> None:
    for command in ("pause", "resume", "pause"):
        said = run(command, "good", *WHY)
        assert f"this loop file is left out, see `ftassets check`: the loop file {broken} is not valid YAML" in said.stderr
        assert str(broken) not in said.stdout
    found = json.loads(run("status", "--json", code=1).stdout)
    assert {name: loop["paused"] for name, loop in found["loops"].items()} == {"good": "x"}
    assert list(found["broken_files"]) == [str(broken)]
    assert f"a loop file cannot be used, see `ftassets check`: the loop file {broken} is not valid YAML" in run("status", code=1).stdout
    for arguments in (("cost",), ("cost", "--json")):
        said = run(*arguments, code=1)
        assert "good" in said.stdout
        assert str(broken) in said.stderr
    assert str(broken) in run("cost", "good").stderr
    assert "no request r1: " in run("forget", "--request", "r1", code=1).stderr


def test_the_loop_itself_is_refused_with_the_problem(broken: Path) -> None:
    for arguments in (("pause", "bad", *WHY), ("cost", "bad")):
        assert run(*arguments, code=1).stderr.startswith(f"the loop file {broken} is not valid YAML")
    assert str(broken) in run("check", code=1).stdout
    findings = json.loads(run("doctor", "--json", code=1).stdout)["findings"]
    assert [each["ok"] for each in findings if each["subject"] in ("loop file", "loop good")][0] is False


def test_where_no_loop_can_be_used_each_command_says_why(broken: Path) -> None:
    (broken.parents[1] / "good" / "defs.yaml").unlink()
    for arguments in (("up",), ("status",), ("pause", "bad", *WHY)):
        assert run(*arguments, code=1).stderr.startswith(f"the loop file {broken} is not valid YAML")
    assert "there is: none whose file can be used" in run("pause", "good", *WHY, code=1).stderr
    assert str(broken) in run("doctor", code=1).stdout


def test_a_damaged_document_of_one_loop_hides_no_other(broken: Path, tmp_path: Path) -> None:
    put_loop(broken.parents[1], "third")
    broken.unlink()
    (tmp_path / "home/gateway").mkdir(parents=True)
    (tmp_path / "home/gateway/good.state.json").write_text("{")
    (tmp_path / "home/usage/good").mkdir(parents=True)
    (tmp_path / "home/usage/good/2026-11.jsonl").write_text("{\n")
    said = run("cost", code=1)
    assert "the cost of good is not known: " in said.stderr
    assert "third: " in said.stdout
    (tmp_path / "home/pauses/good.jsonl").mkdir(parents=True)
    found = json.loads(run("status", "--json", code=1).stdout)
    assert list(found["loops"]) == ["third"]
    assert "good.jsonl" in found["unread"]["good"]
    assert "good: its state cannot be shown: " in run("status", code=1).stdout
    assert "health of third" in run("doctor", code=1).stdout


def test_two_files_of_one_name_are_no_loop(broken: Path) -> None:
    broken.write_text((broken.parents[1] / "good" / "defs.yaml").read_text())
    put_loop(broken.parents[1], "third")
    assert "there are two loops named good" in run("pause", "good", *WHY, code=1).stderr
    assert "there are two loops named good" in run("pause", "third", *WHY).stderr


@pytest.mark.parametrize("files", ["broken", "gone"])
@pytest.mark.parametrize("loop", ["good", "bad"])
def test_a_rollback_reads_no_loop_file(loop: str, files: str, broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rollback(self: GatewayServing, loop: str, by: str, reason: str) -> EndpointState:
        return EndpointState(production=loop[0] * 64)

    monkeypatch.setattr(GatewayServing, "rollback", rollback)
    if files == "gone":
        broken.parents[1].rename(broken.parents[2] / "elsewhere")
    said = run("rollback", loop, *WHY)
    assert (said.stdout, said.stderr) == (f"{loop} rolled back: {loop[0] * 12} 100 %\n", "")
