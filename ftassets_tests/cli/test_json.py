"""What scripts read: every command that does work has --json, and writes one JSON value and nothing else to stdout."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ftassets.backends.serving.gateway import GatewayServing
from ftassets.cli.main import app
from ftassets.config import loops_folder
from ftassets.config.home import Home
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.testing.releases import loop_config, released

LOOP = "support_triage"
UNTIL_CTRL_C = {"up", "demo", "gate-service"}  # they run processes until they are stopped


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    return Home(tmp_path / "home")


def found(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def commands(group: Any, *above: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)
        else:
            yield " ".join((*above, name)), command


def test_every_command_that_ends_has_the_option() -> None:
    without = {name for name, command in commands(typer.main.get_command(app)) if not any("--json" in p.opts for p in command.params)}
    assert without == UNTIL_CTRL_C


def test_a_pause_and_its_end() -> None:
    assert found("pause", LOOP, "--reason", "holiday") == {"loop": LOOP, "paused": "holiday"}
    assert found("resume", LOOP, "--reason", "back") == {"loop": LOOP, "paused": None, "reason": "back"}


def test_doctor_ends_with_1_when_something_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = found("doctor")
    assert sound["ok"] is True
    assert {"subject": "profile", "ok": True, "text": "embedded"} in sound["findings"]
    monkeypatch.setenv("FTASSETS_PROFILE", "moon")
    assert found("doctor", code=1)["ok"] is False


def test_labels_go_out_and_come_back_and_are_a_commit(tmp_path: Path) -> None:
    log, out, answers = tmp_path / "log.jsonl", tmp_path / "batch.jsonl", tmp_path / "answers.jsonl"
    rows = [
        {"id": f"r{n}", "created": time.time() - 60 + n, "messages": [
            {"role": "user", "content": text}, {"role": "assistant", "content": '{"queue": "billing"}'}]}
        for n, text in enumerate(("my invoice is wrong", "parcel never came"))
    ]  # fmt: skip
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert found("import-traffic", LOOP, str(log))["stored"] == 2
    exported = found("label", "export", LOOP, "--out", str(out))
    batch = json.loads(out.read_text().splitlines()[0])["batch"]
    told = {"loop": LOOP, "file": str(out), "format": "jsonl", "batch": batch, "requests": 2, "left_out": 0, "kinds": {"random": 2}}
    assert exported == told
    items = [json.loads(line) | {"completion": '{"queue": "returns"}'} for line in out.read_text().splitlines()]
    answers.write_text("".join(json.dumps(item) + "\n" for item in items) + "no label\n")
    imported = found("label", "import", LOOP, str(answers))
    assert (imported["added"], len(imported["commit"]), len(imported["quarantined"])) == (2, 40, 1)


def test_a_person_s_approval_and_the_keys_behind_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"people": {"anna": "lead"}, "approve": ["lead"], "override": ["lead"]}
    monkeypatch.setattr(loops_folder, "read_sound_loops", lambda folder: ({"support": loop_config(mode="propose", release=rules)}, []))
    version = released(home, "a")
    approval = found("approve", "support", "--name", "anna", "--reason", "checked")
    assert (approval["version"], approval["name"], approval["reason"]) == (version, "anna", "checked")
    old = found("keys", "list")[0]["key_id"]
    new = found("keys", "rotate")["key_id"]
    assert new != old
    assert found("keys", "revoke", old[:12], "--reason", "laptop lost") == {"key_id": old, "revoked": "laptop lost", "active": False}


def test_a_rollback_says_where_the_traffic_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GatewayServing, "rollback", lambda self, loop, by, reason: EndpointState(production="a" * 64))
    state = found("rollback", LOOP, "--reason", "bad answers")
    assert (state["loop"], state["phase"], state["weights"]) == (LOOP, "serving", {"a" * 64: 100})


def test_an_error_leaves_stdout_empty() -> None:
    result = CliRunner().invoke(app, ["rollback", LOOP, "--reason", "bad answers", "--json"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "ftassets up" in result.stderr
