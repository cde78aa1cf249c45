"""All decisions of a loop are made again by one command, from the home that a release has left behind."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.backends.artifacts.reports import report_digests, report_key, store_report
from ftassets.backends.control.releases import Releases
from ftassets.backends.signer.folder import FolderSigner
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts, control
from ftassets.domain.release.attestation import statement
from ftassets.domain.release.statement import read_statement
from ftassets_tests import ROOT
from ftassets_tests.domain.drift.test_verdict_again import compared, report
from ftassets_tests.samples.make import LOOP

SAMPLE = ROOT / "ftassets_tests" / "samples" / "v3"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    shutil.copytree(SAMPLE / "home", tmp_path / "home")
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FTASSETS_LOOPS", str(SAMPLE / "loop"))
    home = Home(tmp_path / "home")
    stored = {**report(compared([0.1, 0.9, 0.1, 0.1])), "window_end": 1_700_000_000.0}
    store_report(artifacts(home), LOOP, "drift", stored)
    return home


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["replay", *arguments])
    assert "Traceback" not in result.output
    return result


def test_every_kind_comes_out_the_same(home: Home) -> None:
    result = run(LOOP, "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["not_same"], found["reports_without_verdicts"]) == (0, [], 0)
    counted = {"retrain": 1, "gates": 2, "release": 2, "rollout": 1, "drift": 1}
    assert found["kinds"] == {kind: {"decisions": n, "same": n, "differ": 0, "unknown": 0, "damaged": 0} for kind, n in counted.items()}
    text = run(LOOP)
    assert (text.exit_code, "decisions" in text.stdout) == (0, True)
    recent = json.loads(run(LOOP, "--json", "--since", "1d").stdout)["kinds"]
    assert [recent[kind]["decisions"] for kind in ("retrain", "gates", "drift")] == [0, 0, 0]


def test_an_attestation_that_claims_another_verdict_than_its_report_is_named(home: Home) -> None:
    signer = FolderSigner(home.keys)
    signer.rotate()  # the sample has no private key
    releases = Releases(control(home), signer)
    version = releases.versions(LOOP)[0]
    _, files, said = read_statement(releases.read(LOOP, version).payload)
    forged = {**said, "verdicts": dict.fromkeys(said["verdicts"], "FAIL"), "golden_commit": "e" * 40}
    releases.write(LOOP, version, "release", statement(LOOP, version, files, forged))
    result = run(LOOP)
    assert result.exit_code == 1
    assert "golden_commit: stored 'eeeeee" in result.stdout
    assert "verdicts: stored" in result.stdout


def test_verdicts_that_do_not_follow_from_their_report_are_named(home: Home) -> None:
    stores = artifacts(home)
    for digest in report_digests(stores, LOOP, "gates"):
        document = json.loads(stores.get(report_key(LOOP, "gates", digest)))
        document["results"][0]["verdict"] = "PASS" if document["results"][0]["verdict"] != "PASS" else "FAIL"
        stores.remove(report_key(LOOP, "gates", digest))
        store_report(stores, LOOP, "gates", document)
    found = json.loads(run(LOOP, "--json").stdout)
    assert found["kinds"]["gates"]["differ"] == 2
    assert {each["kind"] for each in found["not_same"]} == {"gates"}


def test_what_cannot_be_made_again_is_unknown_and_no_difference(home: Home) -> None:
    for digest in report_digests(artifacts(home), LOOP, "eval"):
        artifacts(home).remove(report_key(LOOP, "eval", digest))
    result = run(LOOP, "--json")
    kinds = json.loads(result.stdout)["kinds"]
    assert (result.exit_code, kinds["gates"]["unknown"], kinds["release"]["unknown"]) == (0, 2, 2)


def test_damaged_evidence_is_told_apart_and_is_a_fault(home: Home) -> None:
    stores = artifacts(home)
    for kind in ("eval", "decision"):
        for digest in report_digests(stores, LOOP, kind):
            changed = {**json.loads(stores.get(report_key(LOOP, kind, digest))), "loop": "another"}
            stores.remove(report_key(LOOP, kind, digest))
            stores.put(report_key(LOOP, kind, digest), json.dumps(changed).encode())
    statement = next(iter((home.releases / LOOP).glob("*.dsse.json")))
    statement.write_bytes(statement.read_bytes().replace(b'"payload": "', b'"payload": "A').replace(b'"payload":"', b'"payload":"A'))
    result = run(LOOP, "--json")
    found = json.loads(result.stdout)
    damaged = {kind: counts["damaged"] for kind, counts in found["kinds"].items()}
    assert (result.exit_code, damaged) == (1, {"retrain": 1, "gates": 2, "release": 2, "rollout": 0, "drift": 0})
    assert "rests on damaged evidence: the report" in run(LOOP).stdout


def test_since_is_for_a_loop(home: Home) -> None:
    result = run("abc", "--since", "90d")
    assert (result.exit_code, "--since goes with the name of a loop" in result.stderr) == (1, True)
