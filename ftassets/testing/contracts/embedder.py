"""What every embedder must do."""

from collections.abc import Callable

import numpy as np
import pytest

from ftassets.backends.embedder.base import Embedder

MakeEmbedder = Callable[[], Embedder]
TEXTS = ["turn on the kitchen lights", "switch the kitchen lights on", "what is the capital of France"]
# longer than any embedder of the suite takes
CONVERSATION = "".join(f"user: my order number {n} has not arrived yet, where is it?\nassistant: I look it up.\n" for n in range(400))


class EmbedderContract:
    """Subclass it with a fixture `make`: a function that makes the embedder, the same one at each call.

    `knows_words` is False for a model with random weights, whose vectors mean nothing.
    """

    knows_words = True

    @pytest.fixture
    def make(self) -> MakeEmbedder:
        raise NotImplementedError("a contract is run by a subclass with a fixture `make`")

    @pytest.fixture
    def embedder(self, make: MakeEmbedder) -> Embedder:
        return make()

    def test_unit_vectors_of_one_shape(self, embedder: Embedder) -> None:
        vectors = embedder.embed([*TEXTS, "", " \n", "x" * 5000, "\u00e9\U0001f4a1", "half a pair \ud83d", "\0"])
        assert (vectors.shape[0], vectors.ndim, vectors.dtype) == (9, 2, np.float32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)

    def test_no_texts_give_no_rows_of_the_same_width(self, embedder: Embedder) -> None:
        assert embedder.embed([]).shape == (0, embedder.embed(["a"]).shape[1])

    def test_close_texts_are_closer_than_others(self, embedder: Embedder) -> None:
        lights, same, other = embedder.embed(TEXTS)
        assert not self.knows_words or lights @ same > lights @ other + 0.2

    def test_a_text_does_not_depend_on_its_neighbours(self, embedder: Embedder) -> None:
        alone = embedder.embed([TEXTS[0]])[0]
        np.testing.assert_allclose(embedder.embed(["a much longer text than the others " * 5, *TEXTS])[1], alone, atol=1e-5)

    def test_many_texts_keep_their_order(self, embedder: Embedder) -> None:
        texts = [f"lamp {n} of {7 * n % 50}" for n in range(100)]
        vectors = embedder.embed(texts)
        for place in (0, 31, 32, 63, 64, 99):
            np.testing.assert_allclose(vectors[place], embedder.embed([texts[place]])[0], atol=1e-5)

    def test_the_end_of_a_long_text_counts(self, embedder: Embedder) -> None:
        cancel, refund, again = embedder.embed(
            [f"{CONVERSATION}cancel it", f"{CONVERSATION}refund my card", f"hi\n{CONVERSATION}cancel it"]
        )
        assert np.abs(cancel - refund).max() > 1e-4, "two requests that differ in their end only are two requests"
        assert cancel @ again > cancel @ refund

    def test_blank_texts_are_one_request(self, embedder: Embedder) -> None:
        empty, blank, lamp = embedder.embed(["", " \n\t", "dim the lamp"])
        np.testing.assert_allclose(empty, blank, atol=1e-5)
        assert empty @ lamp < 0.9999

    def test_the_id_stays(self, make: MakeEmbedder) -> None:
        assert make().id == make().id != ""
