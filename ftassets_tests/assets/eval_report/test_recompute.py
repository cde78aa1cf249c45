import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ftassets.assets.eval_report.recompute import find_report
from ftassets.cli.main import app
from ftassets.config.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Three reports; the one that sorts last is the oldest."""
    folder = tmp_path / "reports" / "triage"
    folder.mkdir(parents=True)
    for age, digest in enumerate(("aa1", "ab2", "bc3")):
        path = folder / f"eval-{digest}.json"
        path.write_text("{}")
        os.utime(path, (1000 - age, 1000 - age))
    return Home(tmp_path)


def test_a_report_is_found_by_the_beginning_of_its_digest_and_without_one_the_newest(home: Home) -> None:
    assert find_report(home, "triage") == "aa1"
    assert find_report(home, "triage", "b") == "bc3"


@pytest.mark.parametrize(
    ("loop", "beginning", "said"), [("triage", "a", "2 reports"), ("triage", "x", "no reports"), ("other", "", "none: ")]
)
def test_what_names_no_one_report_is_refused_with_those_there_are(home: Home, loop: str, beginning: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find_report(home, loop, beginning)


def test_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path))
    refused = CliRunner().invoke(app, ["recompute", "voice_commands"])
    assert (refused.exit_code, "materialize eval_report first" in refused.output, "Traceback" in refused.output) == (1, True, False)
