"""A released version as `ollama create` reads it, and nothing else."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.backends.artifacts.version_folder import file_digests
from ftassets.backends.artifacts.versions import publish
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop_files import LoopFiles
from ftassets.config.profiles import artifacts
from ftassets.domain.release.version import VersionManifest
from ftassets.testing.releases import attest, loop_config
from ftassets.testing.tiny_model import make_tiny_model

pytestmark = pytest.mark.models


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FTASSETS_PROFILE", raising=False)
    loops = {"support": loop_config()}
    monkeypatch.setattr("ftassets.config.loops_folder.read_loop_files", lambda folder: LoopFiles(loops, {}, []))
    return Home(tmp_path / "home")


@pytest.fixture
def version(home: Home) -> str:
    staging = home.root / "staging"
    make_tiny_model(staging / "merged")
    generation: dict[str, float | int] = {"temperature": 0.7, "max_tokens": 32}
    files = file_digests(staging)
    made = VersionManifest(kind="full", base_model="tiny", files=files, tokenizer_digest=None, generation=generation, loop="support")
    return publish(artifacts(home), staging, made)


def export(out: Path, *more: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["export", "support", "--ollama", str(out), *more])
    assert result.exit_code == code, result.output
    return result


def test_weights_template_and_settings_of_the_release(home: Home, version: str, tmp_path: Path) -> None:
    attest(home, "support", version)
    made = json.loads(export(tmp_path / "out", "--json").stdout)
    assert (made["version"], made["note"]) == (version, "")
    out = tmp_path / "out"
    exported = {f"merged/{name}": digest for name, digest in file_digests(out / "model").items()}
    assert exported == {name: digest for name, digest in file_digests(home.versions / version).items() if name.startswith("merged/")}
    text = (out / "Modelfile").read_text()
    assert '{{ if eq .Role "system" }}{{ "<|im_start|>system\\n" }}{{ .Content }}{{ "<|im_end|>\\n" }}' in text
    assert 'SYSTEM """Answer with the tool call."""' in text
    for line in ("temperature 0.7", "num_predict 32", "repeat_penalty 1.0", "top_p 1.0", 'stop "<|im_end|>"'):
        assert f"PARAMETER {line}\n" in text
    assert (out / "README.md").read_text() == (
        f"Version {version} of support.\n`ollama create support -f Modelfile && ollama run support`\n"
    )
    assert "is not empty" in export(out, code=1).output
    export(out, "--force", "--version", version[:12])


def test_what_is_not_released_now_is_refused_and_nothing_is_written(home: Home, version: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "nothing of support was released yet" in export(out, code=1).output
    attest(home, "support", version, expires_at=int(time.time()) - 1)
    assert "the attestation has expired" in export(out, code=1).output
    attest(home, "support", version)
    (home.versions / version / "merged" / "config.json").write_text("{}")
    assert "merged/config.json is missing, changed" in export(out, code=1).output
    assert not out.exists()
    assert "give --out for a dataset, or --ollama" in CliRunner().invoke(app, ["export", "support"]).output
