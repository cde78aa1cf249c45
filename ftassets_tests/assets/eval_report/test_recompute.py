from pathlib import Path

import pytest
from typer.testing import CliRunner

from ftassets.cli.main import app
from ftassets.config.loop_files import LOOPS


def test_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path))
    refused = CliRunner().invoke(app, ["recompute", "voice_commands", "--loops", str(LOOPS)])
    assert (refused.exit_code, "materialize eval_report first" in refused.output, "Traceback" in refused.output) == (1, True, False)
