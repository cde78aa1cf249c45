"""The audit chain from the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.backends.control.audit import seal
from ftassets.backends.control.journal import JOURNAL, Journal
from ftassets.backends.signer.folder import FolderSigner
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.profiles import control
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.processes.backup import back_up
from ftassets.testing.releases import attest, make_version


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("FTASSETS_HOME", str(home.root))
    Journal(control(home)).record("support", "start", "ben", "first", EndpointState(), 1.0)
    return home


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, ["audit", *words])
    assert "Traceback" not in result.output
    return result


def test_a_chain_that_holds_is_exported_and_a_changed_journal_is_named(home: Home, tmp_path: Path) -> None:
    assert "the chain holds: 1 entry" in run("verify").stdout
    out = tmp_path / "chain.jsonl"
    assert json.loads(run("export", "--out", str(out), "--json").stdout)["entries"] == 1
    [line] = out.read_text().splitlines()
    assert json.loads(line)["says"] == "support: start by ben: first"
    assert run("export", "--out", str(out)).exit_code == 1, "nothing is written over"
    control(home).write(JOURNAL, control(home).lines(JOURNAL)[0].replace(b"first", b"other") + b"\n")
    refused = run("verify", "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["holds"]) == (1, False)
    assert "is not what it was when entry 1 was made" in run("verify").stdout


def test_a_chain_that_was_removed_is_named_against_a_backup(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "disk")
    control(home).delete("audit/chain.jsonl")
    assert run("verify", "--backup", str(tmp_path / "disk")).exit_code == 1
    assert run("verify").exit_code == 0


def test_the_backup_that_was_compared_is_named_and_a_folder_without_one_is_refused(home: Home, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    refused = run("verify", "--backup", str(disk))
    assert (refused.exit_code, "has no backup that can be read" in refused.stderr) == (1, True)
    first, second = back_up(home, disk).name, back_up(home, disk).name
    (disk / "backups" / f"{second}.json").write_text("{}")
    found = run("verify", "--backup", str(disk))
    assert (found.exit_code, f"compared with backup {first}" in found.stdout) == (0, True)
    assert f"a newer backup was not compared: {second}.json was changed" in found.stderr
    said = json.loads(run("verify", "--backup", str(disk), "--json").stdout)
    assert (said["backup"], len(said["unreadable_backups"])) == (first, 1)
    (disk / "backups" / f"{first}.json").write_text("{}")
    assert f"{first}.json was changed" in run("verify", "--backup", str(disk)).stderr


def test_a_chain_that_was_cut_is_named_against_a_release_that_was_kept_elsewhere(home: Home, tmp_path: Path) -> None:
    Journal(control(home)).record("support", "ramp", "ben", "second", EndpointState(), 2.0)
    signer = FolderSigner(home.keys)
    head = seal(control(home), signer, 3.0)
    digest = make_version(home, "a")
    kept = tmp_path / "attestation.dsse.json"
    kept.write_bytes(attest(home, "support", digest, audit=head.document()).read_bytes())
    (home.releases / "support" / f"{digest}.dsse.json").unlink()
    assert f"when the chain had {head.number} entries" in run("verify", "--release", str(kept)).stdout
    control(home).delete("audit/chain.jsonl")
    refused = run("verify", "--release", str(kept), "--json")
    assert refused.exit_code == 1
    [fault] = json.loads(refused.stdout)["faults"]
    assert fault.startswith(f"{kept} names an entry {head.number} that the chain does not have")
    assert run("verify").exit_code == 0
    old = attest(home, "support", digest)
    assert "does not name the end of the audit chain" in run("verify", "--release", str(old)).stderr
