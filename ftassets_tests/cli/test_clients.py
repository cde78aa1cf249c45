import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ftassets.cli.main import app
from ftassets.config.loop_files import LOOPS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("FTASSETS_LOOPS", str(LOOPS))
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["clients", *words])
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def test_a_key_is_shown_once_and_nowhere_stored(home: Path) -> None:
    assert run("list") == "no clients: everybody who reaches the gateway may ask it\n"
    key = run("add", "web", "--loop", "voice_commands", "--tokens-a-minute", "6000").strip()
    assert key.startswith("fta_")
    assert not [path for path in home.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    [found] = json.loads(run("list", "--json"))
    assert (found["name"], found["loops"], found["tokens_a_minute"], found["ends_at"]) == ("web", ["voice_commands"], 6000, None)
    assert key not in json.dumps(found)
    shown = run("list")
    assert "voice_commands" in shown
    assert "6000" in shown


def test_rotation_leaves_both_keys_for_a_time_and_a_revocation_none(home: Path) -> None:
    first = json.loads(run("add", "web", "--json"))["key"]
    second = json.loads(run("rotate", "web", "--grace", "1h", "--json"))["key"]
    assert first != second
    ends = [key["ends_at"] for key in json.loads(run("list", "--json"))]
    assert (ends[0] is not None, ends[1]) == (True, None)
    assert run("revoke", "web") == "web has no valid key any more\n"
    assert json.loads(run("list", "--json")) == []
    assert run("list") == "no valid key, so every request is refused; ftassets clients add NAME makes one\n"


def test_what_cannot_be_is_refused(home: Path) -> None:
    assert "there is no loop 'other'" in run("add", "web", "--loop", "other", code=1)
    run("add", "web")
    assert "there is a client web already" in run("add", "web", code=1)
    assert "there is no client app" in run("rotate", "app", code=1)
    assert "not a duration" in run("rotate", "web", "--grace", "soon", code=1)
