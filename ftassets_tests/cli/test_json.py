"""What scripts read: every command that does work has --json, and writes one JSON value and nothing else to stdout."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ftassets.backends.control.health import update_notices
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.cli.main import app
from ftassets.config import loops_folder
from ftassets.config.home import Home
from ftassets.config.loop_files import LoopFiles
from ftassets.config.profiles import control
from ftassets.domain.health.health import Concern
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.testing.releases import loop_config, released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread

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
    assert found("resume", LOOP, "--reason", "back", "--by", "ben") == {"loop": LOOP, "paused": None, "reason": "back"}
    journal = found("status")["loops"][LOOP]["journal"]
    assert [(entry["action"], entry["reason"], entry["weights"]) for entry in journal] == [
        ("pause", "holiday", None),
        ("resume", "back", None),
    ]
    assert journal[1]["by"] == "ben"
    again = CliRunner().invoke(app, ["resume", LOOP, "--reason", "back"])
    assert (again.exit_code, again.stderr) == (1, f"{LOOP} is not paused\n")


def test_a_concern_is_acknowledged_and_silenced_by_its_name(home: Home) -> None:
    unknown = CliRunner().invoke(app, ["acknowledge", LOOP, "drift-alarm", "--reason", "we label"])
    assert (unknown.exit_code, "there is no concern 'drift-alarm' now; there are: none" in unknown.stderr) == (1, True)
    alarm = Concern(subject="drift-alarm", severity="ticket", text="new requests")
    update_notices(control(home), LOOP, lambda known: known.seeing([alarm], time.time()))
    assert found("acknowledge", LOOP, "drift-alarm", "--reason", "we label", "--by", "anna")["by"] == "anna"
    until = found("silence", LOOP, "traffic-stopped", "--for", "7d", "--reason", "holiday", "--by", "anna")["until"]
    assert until == pytest.approx(time.time() + 7 * 86400, abs=60)
    said = found("status")["loops"][LOOP]["notices"]
    assert said["drift-alarm"] == "acknowledged by anna: we label"
    assert said["traffic-stopped"].startswith("silenced until 2")
    assert "traffic-stopped, not there now: silenced until 2" in CliRunner().invoke(app, ["status"]).stdout
    found("silence", LOOP, "traffic-stopped", "--for", "0s", "--reason", "they are back")
    again = CliRunner().invoke(app, ["silence", LOOP, "traffic-stopped", "--for", "0s", "--reason", "once more"])
    assert (again.exit_code, "traffic-stopped is not silenced" in again.stderr) == (1, True)
    assert set(found("status")["loops"][LOOP]["notices"]) == {"drift-alarm"}
    misspelt = CliRunner().invoke(app, ["silence", LOOP, "traffic-stoped", "--for", "7d", "--reason", "holiday"])
    assert (misspelt.exit_code, "there is no concern 'traffic-stoped'; there are: automation-fails" in misspelt.stderr) == (1, True)


def test_a_release_is_started_and_ramped_by_command(home: Home) -> None:
    first, second = released(home, "a", LOOP), released(home, "b", LOOP)
    host = ThreadHost(stub_engine())
    with run_gateway_in_thread(home, {LOOP: loop_config(LOOP)}, host):
        assert found("start", LOOP, first[:12], "--reason", "first version")["weights"] == {first: 100}
        assert found("start", LOOP, second[:12], "--weight", "5", "--reason", "canary", "--by", "anna")["weights"] == {second: 5, first: 95}
        assert found("ramp", LOOP, "--weight", "50", "--reason", "looks good")["weights"] == {second: 50, first: 50}
        assert found("rollback", LOOP, "--reason", "too slow")["rejected"] == [second]
        assert found("start", LOOP, second[:12], "--reason", "it was the network")["candidate"] == second
        assert found("ramp", LOOP, "--weight", "100", "--reason", "good")["production"] == second
        nothing = CliRunner().invoke(app, ["start", LOOP, "ffff", "--reason", "x"])
        assert (nothing.exit_code, f"'ffff' names no release of {LOOP}; there is " in nothing.stderr) == (1, True)
        idle = CliRunner().invoke(app, ["ramp", LOOP, "--reason", "x"])
        assert (idle.exit_code, "there is no candidate to ramp" in idle.stderr) == (1, True)
        journal = found("status")["loops"][LOOP]["journal"]
        assert [entry["action"] for entry in journal] == ["start", "start", "ramp", "rollback", "start", "promote"]
        assert journal[1]["by"] == "anna"
    host.close()


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
    monkeypatch.setattr(
        loops_folder, "read_loop_files", lambda folder: LoopFiles({"support": loop_config(mode="propose", release=rules)}, {}, [])
    )
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
