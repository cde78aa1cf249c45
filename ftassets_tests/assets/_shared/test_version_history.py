"""All versions of a loop, from what is stored of them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ftassets.assets._shared.version_history import version_history
from ftassets.backends.artifacts.packs import pack_key, store_pack
from ftassets.backends.artifacts.reports import store_eval_report
from ftassets.backends.control.releases import Releases
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS, LoopFiles
from ftassets.config.profiles import artifacts, control
from ftassets.domain.release.pack import pack_files
from ftassets.testing.releases import attest, loop_config, make_version
from ftassets_tests.backends.artifacts.test_packs import envelope
from ftassets_tests.domain.release.packs import MANIFEST, REPORT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Four versions: released with a pack and without one, adopted, and with a report that is gone."""
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FTASSETS_LOOPS", str(LOOPS))
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    monkeypatch.setattr("ftassets.config.loops_folder.read_loop_files", lambda folder: LoopFiles({"support": loop_config()}, {}, []))
    home = Home(tmp_path / "home")
    stored = store_eval_report(artifacts(home), REPORT)
    for number, (name, said) in enumerate(
        {"packed": {"report_digest": "1" * 64}, "plain": {"report_digest": stored}, "adopted": {"report_digest": None}, "lost": {}}.items()
    ):
        digest = make_version(home, name)
        attest(home, "support", digest, issued_at=1000 + number, **said)
        if name == "packed":  # the report itself is not there: nothing reads it
            payload = Releases(control(home), FolderSigner(home.keys)).payload("support", digest)
            files = pack_files(loop_config(), MANIFEST, REPORT, payload, b"", None, [], "3.11", None)
            store_pack(artifacts(home), pack_key("support", payload), files, envelope())
    return home


def test_scores_come_from_the_pack_or_else_from_the_report(home: Home) -> None:
    found = version_history(
        artifacts(home), control(home), FolderSigner(home.keys), SqliteTrafficLog(home.traffic_db), loop_config(), 2000.0
    )
    assert [each.released.at for each in found] == [1000.0, 1001.0, 1002.0, 1003.0]
    packed, plain, adopted, lost = (each.released for each in found)
    assert packed.scores == plain.scores
    assert packed.scores["golden"].model_dump() == {"value": 0.85, "low": 0.621073, "high": 0.967929}
    assert (adopted.scores, adopted.problem, lost.scores) == ({}, None, {})
    assert "its scores are not known: the report eeeeeeeeeeee cannot be read" in str(lost.problem)


def test_a_release_that_was_changed_is_said_not_to_count(home: Home) -> None:
    first = sorted((home.releases / "support").glob("*.dsse.json"))[0]
    first.write_bytes(first.read_bytes().replace(b'"payload"', b'"payl0ad"'))
    result = CliRunner().invoke(app, ["versions", "support"])
    assert result.exit_code == 0, result.output
    assert f"version {first.name[:12]}: its release does not count" in result.output
    shown = json.loads(CliRunner().invoke(app, ["versions", "support", "--json"]).stdout)
    assert len(shown) == 4
    assert "its release does not count" in next(
        each["released"]["problem"] for each in shown if first.name.startswith(each["released"]["version"])
    )
