"""One person's sentence with another word in each form is one; other people's, other answers' and other sentences are not."""

import numpy as np

from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.dataset.variants import LONGEST, forms_of_one

BASE = "please switch the lamp in my hall off now"


def rows(*texts: str) -> list[Example]:
    return [Example(id=f"r{n}", messages=question(text), completion="{}") for n, text in enumerate(texts)]


def varied(count: int, base: str = BASE, seed: int = 0) -> list[str]:
    """Forms of a sentence, each with another word at a place of its own; the sentence itself is not among them."""
    rng = np.random.default_rng(seed)
    texts = []
    for number in range(count):
        words = base.split()
        words[rng.integers(len(words))] = f"word{number}"
        texts.append(" ".join(words))
    return texts


def test_forms_of_a_sentence_are_one_wherever_the_word_stands() -> None:
    assert forms_of_one(rows(*varied(100)), ["one"] * 100) == list(range(1, 100))


def test_each_key_has_its_own() -> None:
    assert len(forms_of_one(rows(*varied(100)), [n % 20 for n in range(100)])) == 80
    assert forms_of_one(rows(*varied(100)), list(range(100))) == []


def test_other_sentences_stay() -> None:
    texts = [BASE, "how long does the oven need", "open the garage door for me", "what is the weather like in the north"]
    assert forms_of_one(rows(*texts), ["one"] * 4) == []


def test_short_and_long_requests_are_left_to_other_steps() -> None:
    long = " ".join(f"w{n}" for n in range(LONGEST))
    assert forms_of_one(rows("lamp on", "lamp off", f"a {long}", f"b {long}"), ["one"] * 4) == []
    assert forms_of_one(rows("lamp on please", "lamp off please"), ["one"] * 2) == [1]


def test_what_stands_before_the_last_message_counts() -> None:
    same, other = ([*question(before), {"role": "assistant", "content": "Which?"}, *question(last)] for before, last in
                   (("a lamp", "the red one please"), ("a door", "the blue one please")))  # fmt: skip
    talks = [Example(id=f"r{n}", messages=messages, completion="{}") for n, messages in enumerate((same, other))]
    assert forms_of_one(talks, ["one"] * 2) == []
