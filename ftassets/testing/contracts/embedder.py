"""What every embedder must do."""

from collections.abc import Callable

import numpy as np
import pytest

from ftassets.backends.embedder.base import Embedder

MakeEmbedder = Callable[[], Embedder]
TEXTS = ["turn on the kitchen lights", "switch the kitchen lights on", "what is the capital of France"]


class EmbedderContract:
    """Subclass it with a fixture `make`: a function that makes the embedder, the same one at each call."""

    @pytest.fixture
    def make(self) -> MakeEmbedder:
        raise NotImplementedError("a contract is run by a subclass with a fixture `make`")

    @pytest.fixture
    def embedder(self, make: MakeEmbedder) -> Embedder:
        return make()

    def test_unit_vectors_of_one_shape(self, embedder: Embedder) -> None:
        vectors = embedder.embed([*TEXTS, "", " \n", "x" * 5000, "\u00e9\U0001f4a1"])
        assert (vectors.shape[0], vectors.ndim, vectors.dtype) == (7, 2, np.float32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)

    def test_no_texts_give_no_rows_of_the_same_width(self, embedder: Embedder) -> None:
        assert embedder.embed([]).shape == (0, embedder.embed(["a"]).shape[1])

    def test_close_texts_are_closer_than_others(self, embedder: Embedder) -> None:
        lights, same, other = embedder.embed(TEXTS)
        assert lights @ same > lights @ other + 0.2

    def test_a_text_does_not_depend_on_its_neighbours(self, embedder: Embedder) -> None:
        alone = embedder.embed([TEXTS[0]])[0]
        np.testing.assert_allclose(embedder.embed(["a much longer text than the others " * 5, *TEXTS])[1], alone, atol=1e-5)

    def test_the_id_stays(self, make: MakeEmbedder) -> None:
        assert make().id == make().id != ""
