"""Commands on versions, as a person types them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS, read_loops
from ftassets.testing.releases import make_version


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    return Home(tmp_path / "home")


def test_compare_prints_a_table_or_json_and_refuses_what_is_no_version(home: Home) -> None:
    first, second = make_version(home, "one"), make_version(home, "two")
    shown = CliRunner().invoke(app, ["compare", first[:10], second[:10]])
    assert shown.exit_code == 0, shown.output
    assert first[:12] in shown.output
    assert "no report measured" in shown.output
    found = json.loads(CliRunner().invoke(app, ["compare", first, second, "--json"]).output)
    assert (found["a"]["digest"], found["b"]["digest"]) == (first, second)
    refused = CliRunner().invoke(app, ["compare", first, "zz"])
    assert (refused.exit_code, "names no version" in refused.output, "Traceback" in refused.output) == (1, True, False)


def test_adopt_says_what_is_missing_in_one_sentence(home: Home, tmp_path: Path) -> None:
    loop = next(iter(read_loops(LOOPS)))
    refused = CliRunner().invoke(app, ["adopt", loop, "--adapter", str(tmp_path), "--reason", "it serves"])
    assert refused.exit_code == 1
    assert "adapter_config.json and adapter_model.safetensors not there: save the adapter with PEFT's save_pretrained" in refused.output
    for given in (
        [],
        ["--adapter", str(tmp_path), "--endpoint", "https://x.example/v1", "--model", "m"],
        ["--endpoint", "https://x.example/v1"],
    ):
        unclear = CliRunner().invoke(app, ["adopt", loop, "--reason", "it serves", *given])
        assert (unclear.exit_code, "either --adapter, or --endpoint with --model" in unclear.output) == (1, True)
    given = ["--endpoint", "https://x.example/v1", "--model", "m", "--api-key-env", "sk-live-123"]
    leaked = CliRunner().invoke(app, ["adopt", loop, "--reason", "it serves", *given])
    assert (leaked.exit_code, "never the key itself" in leaked.output, "sk-live" in leaked.output) == (1, True, False)
    unknown = CliRunner().invoke(app, ["adopt", "nobody", "--adapter", str(tmp_path), "--reason", "it serves"])
    assert (unknown.exit_code, "there is no loop" in unknown.output) == (1, True)
