"""Commands on releases and keys, as a person types them, with nothing running."""

import json
import re
import time
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.backends.artifacts.reports import store_eval_report
from ftassets.backends.control.error_budget import within_budget
from ftassets.backends.control.latest import record_latest
from ftassets.backends.control.releases import Releases
from ftassets.backends.signer.folder import FolderSigner
from ftassets.cli.commands.doctor import _keys
from ftassets.cli.commands.status import describe, warnings
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop_files import LoopFiles
from ftassets.config.profiles import artifacts, control
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.testing.releases import attest, loop_config, make_version, released
from ftassets_tests.domain.gates.reports import report as eval_report

RULES = {"people": {"anna": "lead", "ben": "intern"}, "approve": ["lead"], "override": ["lead"]}
LOOPS = {"support": loop_config(mode="propose", release=RULES)}
YES = ("--name", "anna", "--reason", "looks right")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    monkeypatch.setattr("ftassets.config.loops_folder.read_loop_files", lambda folder: LoopFiles(LOOPS, {}, []))
    return Home(tmp_path / "home")


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_the_newest_release_is_approved_and_it_shows(home: Home) -> None:
    attest(home, "support", make_version(home, "a"), issued_at=1000)
    newest = released(home, "b")
    assert f"{newest[:12]} approved by anna (lead): looks right" in run("approve", "support", *YES).stdout
    [approval] = describe(home)["loops"]["support"]["approvals"]
    assert (approval["version"], approval["report_digest"], approval["role"]) == (newest, "e" * 64, "lead")
    assert describe(home)["loops"]["support"]["notes"] == [f"version {newest[:12]}: approved by anna (lead): looks right"]
    path = home.releases / "support" / f"{newest}.approval.dsse.json"
    assert "holds" in run("verify", str(path)).stdout


def test_status_says_what_is_left_of_the_error_budget(home: Home) -> None:
    loop, now = LOOPS["support"], time.time()
    assert describe(home)["loops"]["support"]["error_budget"]["level"] == 0.05
    assert "error budget" not in run("status").stdout, "before the first decision there is nothing to say"
    for number in range(12):
        made = eval_report([], []).model_copy(update={"loop": "support", "candidate": f"candidate {number}"})
        made = within_budget(artifacts(home), control(home), loop, made, now - 3600)
    found = describe(home)["loops"]["support"]["error_budget"]
    assert (found["decisions"], found["per_year"]) == (12, 1.0)
    assert found["level"] < 0.001
    assert found["left"] + found["spent"] == pytest.approx(0.2, abs=0.001)
    assert f"error budget: {found['sentence']}" in " ".join(run("status").stdout.split())
    assert found["full_in"] > 60
    (home.root / "budgets" / "support.json").write_text("{")
    status = describe(home)["loops"]["support"]
    assert status["error_budget"] is None
    assert "its error budget is unknown, and no report can be made" in status["notes"][0]
    (home.root / "budgets" / "support.json").unlink()
    store_eval_report(artifacts(home), made)
    assert "support.json is gone: the decision of report" in describe(home)["loops"]["support"]["notes"][0]
    begun = run("start-budget", "support", "--reason", "the disk was lost", "--by", "anna")
    assert begun.stdout == "support: the error budget is full again; recorded as by anna: the disk was lost\n"
    status = describe(home)["loops"]["support"]
    assert (status["error_budget"]["left"], status["error_budget"]["decisions"]) == (0.2, 0)
    [note] = [note for note in status["notes"] if "error budget" in note]
    assert re.fullmatch(r"anna began its error budget anew on \d{4}-\d\d-\d\d: the disk was lost", note)
    again = json.loads(run("start-budget", "support", "--reason", "once more", "--json").stdout)
    assert [start["reason"] for start in again["starts"]] == ["the disk was lost", "once more"]


def test_status_says_what_the_newest_reports_found(home: Home) -> None:
    alarm = LatestReport(at=60, version="a" * 64, verdict="ALARM", values={"mmd": 0.5, "psi": 0.1}, limits={"mmd": 0.2, "psi": 0.3})
    golden = LatestReport(at=60, version="a" * 64, verdict="FAIL", values={"share": 0.5, "low": 0.4}, limits={"share": 0.8})
    quality = LatestReport(at=60, version="a" * 64, verdict="PASS", values={"chrf": 0.7}, limits={"chrf": 0.6})
    since = LatestReport(at=60, version=None, verdict="NOT ENOUGH DATA")
    found = {"drift_report": alarm, "live_golden_report": golden, "quality_report": quality, "since_evaluation": since}
    for name, report in found.items():
        record_latest(control(home), "support", name, report)
    when = datetime.fromtimestamp(60).strftime("%F %T")
    status = describe(home)["loops"]["support"]
    assert status["notes"] == [
        f"drift report of version aaaaaaaaaaaa, {when}: ALARM: mmd 0.500 is above 0.200",
        f"live golden report of version aaaaaaaaaaaa, {when}: FAIL: share 0.500 is below 0.800",
    ]
    assert {name: (each["at"], each["verdict"]) for name, each in status["reports"].items()} == {
        "drift_report": (60, "ALARM"),
        "live_golden_report": (60, "FAIL"),
        "quality_report": (60, "PASS"),
        "since_evaluation": (60, "NOT ENOUGH DATA"),
    }
    assert "drift report of version" in run("status").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "carl", "--reason", "x"], "release.people"),
        (["--name", "ben", "--reason", "x"], "release.approve"),
        (["--name", "anna", "--reason", "  "], "one sentence"),
        (["zzz", *YES], "'zzz' names no release of support"),
    ],
)
def test_who_may_not_or_says_nothing_is_refused_and_nothing_is_written(home: Home, arguments: list[str], words: str) -> None:
    released(home, "a")
    assert words in run("approve", "support", *arguments, code=1).output
    assert not list(home.releases.rglob("*.approval.*"))


def test_what_could_not_start_anyway_is_not_approved(home: Home) -> None:
    assert "was released yet" in run("approve", "support", *YES, code=1).output
    attest(home, "support", make_version(home, "a"), expires_at=int(time.time()) - 1)
    assert "has expired" in run("approve", "support", *YES, code=1).output


def test_an_override_needs_an_evaluated_version(home: Home) -> None:
    digest = released(home, "a")
    assert "names no evaluated version of support" in run("override", "support", digest, *YES, "--expires", "24h", code=1).output
    assert "not a duration" in run("override", "support", digest, *YES, "--expires", "soon", code=1).output
    for length in ("0s", "366d", "99999999d"):
        assert "at most 365 days" in run("override", "support", digest, *YES, "--expires", length, code=1).output
    assert not list(home.releases.rglob("*.override.*"))


def test_verify_says_what_is_attested_and_compares_the_files(home: Home) -> None:
    digest = released(home, "a")
    path = str(home.releases / "support" / f"{digest}.dsse.json")
    said = run("verify", path).stdout
    assert "signed by" in said
    assert "exact_match_better" in said
    assert "for loop 'support', not 'voice'" in run("verify", path, "--loop", "voice", code=1).output
    assert "name their folder" in run("verify", path, "--files", str(home.root / "nonesuch"), code=1).output
    weights = home.versions / digest / "merged" / "model.safetensors"
    weights.write_text("changed")
    found = json.loads(run("verify", path, "--json", code=1).stdout)
    assert found["objections"] == ["merged/model.safetensors is not the attested file"]
    assert (found["kind"], found["holds"], found["revoked"]) == ("release", False, None)


def test_the_serve_gate_is_an_exit_code_and_needs_no_loop_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftassets.config.loops_folder.read_loop_files", None)
    digest = released(home, "a")
    folder = str(home.versions / digest)
    assert "it may be loaded" in run("verify", "--serve-gate", folder, "--loop", "support").stdout
    found = json.loads(run("verify", "--serve-gate", folder, "--loop", "support", "--json").stdout)
    assert (found["holds"], found["version"], found["objections"]) == (True, digest, [])
    said = run("verify", "--serve-gate", folder, "--loop", "voice", code=1).stderr
    assert "materialize voice/release" in said
    assert f"{folder} must not be loaded for voice" in said
    found = json.loads(run("verify", "--serve-gate", f"{folder}/merged", "--loop", "support", "--json", code=1).stdout)
    assert (found["holds"], found["version"]) == (False, None)
    assert "with --loop LOOP" in run("verify", "--serve-gate", folder, code=1).output
    assert "give a signed file" in run("verify", code=1).output


@pytest.mark.parametrize("content", ["", "{}", "no envelope"])
def test_verify_of_what_is_not_signed_does_not_hold(home: Home, content: str) -> None:
    released(home, "a")
    path = home.root / "file.json"
    path.write_text(content)
    assert "not signed by a trusted key" in run("verify", str(path), code=1).output


def test_keys_are_rotated_and_revoked_and_releases_say_so(home: Home) -> None:
    assert "no keys yet" in run("keys", "list").stdout
    digest = released(home, "a")
    old = FolderSigner(home.keys).key_id
    run("keys", "rotate")
    states = {key["key_id"]: key["active"] for key in json.loads(run("keys", "list", "--json").stdout)}
    assert states.pop(old) is False
    assert list(states.values()) == [True]
    path = str(home.releases / "support" / f"{digest}.dsse.json")
    run("verify", path)
    assert "'zz' names no key" in run("keys", "revoke", "zz", "--reason", "x", code=1).output
    run("keys", "revoke", old[:12], "--reason", "laptop lost")
    assert "revoked: laptop lost" in run("keys", "list").stdout
    assert f"its key {old[:12]} was revoked: laptop lost" in run("verify", path, code=1).output
    state = EndpointState(production=digest, candidate="c" * 64, weight=5)
    notes = list(warnings(Releases(control(home), FolderSigner(home.keys)), "support", state, time.time()))
    assert "REVOKED (laptop lost): it serves until something else is released" in notes[0]
    assert "no sound release" in notes[1]


def test_doctor_looks_at_the_signing_key(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> tuple[bool, str]:
        [finding] = _keys(home)
        return finding.ok, finding.text

    assert found() == (True, "the first release makes it")
    released(home, "a")
    key = FolderSigner(home.keys).key_id
    assert found() == (True, f"{key[:12]} signs, 1 known, 0 revoked")
    run("keys", "revoke", key, "--reason", "laptop lost")
    assert found() == (False, f"{key[:12]} was revoked (laptop lost): ftassets keys rotate")
    for name in ("LAKEFS_ENDPOINT", "LAKEFS_ACCESS_KEY", "LAKEFS_SECRET_KEY", "LAKEFS_REPOSITORY", "QDRANT_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    monkeypatch.delenv("FTASSETS_SIGNING_KEY", raising=False)
    monkeypatch.delenv("FTASSETS_SIGNING_KEY_FILE", raising=False)
    assert found()[0] is False
    assert "FTASSETS_SIGNING_KEY_FILE" in run("keys", "rotate", code=1).output
