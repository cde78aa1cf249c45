"""A release's pack as files, and what `verify` says of it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.assets._shared.release_pack import make_pack
from ftassets.backends.artifacts.reports import store_eval_report
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.control.releases import Releases
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.signer.folder import FolderSigner
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop_files import LoopFiles
from ftassets.config.profiles import artifacts, control
from ftassets.domain.release.pack import pack_statement
from ftassets.testing.releases import attest, loop_config, make_version, released
from ftassets_tests.domain.release.packs import REPORT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    loops = {"support": loop_config()}
    monkeypatch.setattr("ftassets.config.loops_folder.read_loop_files", lambda folder: LoopFiles(loops, {}, []))
    return Home(tmp_path / "home")


@pytest.fixture
def version(home: Home) -> str:
    """A release with its pack, whose dataset has no description."""
    digest = make_version(home, "a", loop="support", dataset_commit=REPORT.dataset_commit)
    store = GitDatasetStore(home.root / "datasets.git")
    dataset = store.publish("run", {"support/x": b"x"}, "a dataset without a card", {}).commit
    report = REPORT.model_copy(update={"candidate": digest, "dataset_commit": dataset})
    attest(home, "support", digest, report_digest=store_eval_report(artifacts(home), report))
    signer, manifest = FolderSigner(home.keys), load_manifest(artifacts(home), digest)
    payload = Releases(control(home), signer).payload("support", digest)
    make_pack(artifacts(home), control(home), store, signer, loop_config(), manifest, report, payload)
    return digest


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_a_pack_is_written_and_holds(version: str, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    made = json.loads(run("export", "support", "--pack", str(out), "--json").stdout)
    assert (made["version"], made["folder"]) == (version, str(out))
    assert sorted(path.name for path in out.iterdir()) == made["files"]
    found = json.loads(run("verify", made["manifest"], "--json").stdout)
    assert (found["holds"], found["kind"], found["attested"]["version"]) == (True, "pack", version)
    assert "not empty" in run("export", "support", "--pack", str(out), code=1).output
    assert version[:12] in run("export", "support", "--pack", str(out), "--version", version[:8], "--force").stdout
    assert "not for" not in run("verify", made["manifest"], "--loop", "support").output
    assert "it is for loop 'support', not 'other'" in run("verify", made["manifest"], "--loop", "other", code=1).output


def test_verify_names_the_number_that_differs_from_the_report_even_if_somebody_signed_it(home: Home, version: str, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    run("export", "support", "--pack", str(out))
    card = out / "README.md"
    card.write_text(card.read_text().replace("value: 0.85\n", "value: 0.95\n"))
    said = json.loads(run("verify", str(out / "pack.dsse.json"), "--json", code=1).stdout)["objections"]
    assert said == [
        "README.md is not the file that was signed",
        "README.md, model-index: exact_match on golden is 0.95, in the report 0.85",
    ]
    signer = FolderSigner(home.keys)
    payload = Releases(control(home), signer).payload("support", version)
    files = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "pack.dsse.json"}
    (out / "pack.dsse.json").write_bytes(signer.sign(pack_statement("support", version, payload, files)))
    said = json.loads(run("verify", str(out / "pack.dsse.json"), "--json", code=1).stdout)["objections"]
    assert said == ["README.md, model-index: exact_match on golden is 0.95, in the report 0.85"]


def test_a_pack_without_its_attestation_and_without_the_report(home: Home, version: str, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    run("export", "support", "--pack", str(out))
    [report] = (home.reports / "support").glob("eval-*.json")
    report.unlink()
    assert "the numbers cannot be compared" in run("verify", str(out / "pack.dsse.json"), code=1).output
    (out / "attestation.dsse.json").write_text("{}")
    assert "attestation.dsse.json" in run("verify", str(out / "pack.dsse.json"), code=1).output
    (out / "attestation.dsse.json").unlink()
    assert "is not in the folder of the manifest" in run("verify", str(out / "pack.dsse.json"), code=1).output


def test_a_release_without_a_pack_says_how_to_get_one(home: Home, tmp_path: Path) -> None:
    old = released(home, "b")
    said = " ".join(run("export", "support", "--pack", str(tmp_path / "out"), code=1).output.split())
    assert f"the release of version {old[:12]} has no pack" in said
    assert "materialize support/release again" in said
    path = home.releases / "support" / f"{old}.dsse.json"
    assert "holds" in run("verify", str(path)).stdout, "a release without a pack is as valid"


def test_one_thing_is_exported_at_a_time(home: Home, tmp_path: Path) -> None:
    said = run("export", "support", "--pack", str(tmp_path / "a"), "--ollama", str(tmp_path / "b"), code=1).output
    assert "give --out for a dataset, or --ollama" in said
