"""One text that an embedder cannot embed takes no other with it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.backends.embedder.base import EMPTY, EmbedderError
from ftassets.testing.hash_embedder import HashEmbedder


class Picky(HashEmbedder):
    """Refuses texts with `!`, gives those with `#` no finite vector; `words` are calls until it does not answer any more."""

    def __init__(self, words: int = 10**9) -> None:
        super().__init__(16)
        self.words, self.calls = words, 0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.calls += 1
        if self.calls > self.words:
            raise EmbedderError("the embedder does not answer")
        if any("!" in text for text in texts):
            raise EmbedderError("the embedder answered 400")
        vectors = super().encode(texts)
        vectors[["#" in text for text in texts]] = np.nan
        return vectors


@given(st.lists(st.sampled_from(["lamp", "door", "a!", "b#", "", "\ud83d"]), max_size=12))
def test_all_but_those_texts_have_their_vectors(texts: list[str]) -> None:
    vectors, failed = Picky().embed_each(texts)
    assert failed.keys() == {place for place, text in enumerate(texts) if "!" in text or "#" in text}
    assert all(("answered 400" if "!" in texts[place] else "not finite") in reason for place, reason in failed.items())
    good = [place for place in range(len(texts)) if place not in failed]
    assert not vectors[list(failed)].any()
    np.testing.assert_array_equal(vectors[good], HashEmbedder(16).embed([texts[place] for place in good]))


def test_an_embedder_that_does_not_answer_is_not_the_fault_of_a_text() -> None:
    with pytest.raises(EmbedderError, match="does not answer"):
        Picky(words=0).embed_each(["lamp", "door"])
    with pytest.raises(EmbedderError, match="does not answer"):
        Picky(words=4).embed_each(["lamp", "door", "a!", "cat"])


def test_few_calls_find_one_text_among_many() -> None:
    picky = Picky()
    _, failed = picky.embed_each([*(f"lamp {n}" for n in range(1000)), "a!"])
    assert (list(failed), picky.calls < 40) == ([1000], True)


def test_a_word_is_embedded_where_all_texts_fail() -> None:
    vectors, failed = Picky().embed_each(["a!", "b!"])
    assert (vectors.shape, len(failed)) == ((2, 16), 2)
    assert Picky().embed([EMPTY]).any()


def test_of_a_set_that_must_be_whole_the_rows_that_are_not_taken_are_named() -> None:
    rows = [("g1", "lamp"), ("g2", "door")]
    np.testing.assert_array_equal(Picky().embed_all(rows, "the golden set"), HashEmbedder(16).embed(["lamp", "door"]))
    refused = [*rows, *((f"bad{n}", "a!") for n in range(5))]
    with pytest.raises(
        EmbedderError, match=r"row bad0, bad1, bad2 and 2 more of the golden set, .* change or remove it there.*answered 400"
    ):
        Picky().embed_all(refused, "the golden set")
