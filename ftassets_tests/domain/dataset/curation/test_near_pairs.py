"""Near pairs are those of a comparison of all with all."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.dataset.curation.connected import Components
from ftassets.domain.dataset.curation.near_pairs import PERMUTATIONS, Fingerprints, fingerprints, near_pairs

TEXT = "turn set the a lights lamp on off kitchen hall please timer for five nine minutes now and then play stop music"
WORDS = TEXT.split()


def grams(text: str) -> set[str]:
    return {text[start : start + 5] for start in range(len(text) - 4)}


def all_with_all(texts: list[str], limit: float) -> dict[tuple[int, int], float]:
    pairs = {}
    for j, other in enumerate(texts):
        for i, one in enumerate(texts[:j]):
            a, b = grams(one), grams(other)
            if a and b and len(a & b) / len(a | b) >= limit:
                pairs[i, j] = len(a & b) / len(a | b)
    return pairs


def found(texts: list[str], limit: float, **options: object) -> dict[tuple[int, int], float]:
    pairs: dict[tuple[int, int], float] = {}
    for left, right, index in near_pairs(fingerprints(texts), limit, **options):  # type: ignore[arg-type]
        for i, j, value in zip(left.tolist(), right.tolist(), index.tolist(), strict=True):
            assert (i, j) not in pairs  # each pair once
            pairs[i, j] = value
    return pairs


def sentences(count: int, seed: int = 0, words: int = 9) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, words))) for _ in range(count)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.6, 0.8, 1.0]))
def test_pairs_and_their_index_are_those_of_all_with_all(seed: int, limit: float) -> None:
    texts = sentences(60, seed)
    texts += [f"{text} please" for text in texts[:20]] + ["", "abc", "abcd", "abcde", "abcde", "\U0001f600" * 7, "\U0001f600" * 7]
    assert found(texts, limit) == pytest.approx(all_with_all(texts, limit))


def test_texts_of_very_different_lengths_are_compared_too() -> None:
    texts = sentences(40) + [" ".join(sentences(100, seed=1))] * 2 + [" ".join(sentences(99, seed=1))]
    assert found(texts, 0.6) == pytest.approx(all_with_all(texts, 0.6))


def test_keys_keep_texts_apart() -> None:
    texts = sentences(200)
    keys = np.arange(200, dtype=np.uint64) % np.uint64(3)
    assert found(texts, 0.5, keys=keys).keys() == {(i, j) for i, j in all_with_all(texts, 0.5) if i % 3 == j % 3}


def test_pairs_nobody_wants_are_not_told() -> None:
    texts = sentences(200)
    wanted = found(texts, 0.5, wanted=lambda left, right: (left < 50) & (right >= 50))
    assert wanted.keys() == {(i, j) for i, j in all_with_all(texts, 0.5) if i < 50 <= j}


def test_buckets_too_large_for_all_with_all_still_link_their_texts() -> None:
    texts = [f"set a timer for {n} minutes and tell me when it is over please" for n in range(2000)]
    components = Components(len(texts))
    compared = 0
    for left, right, _ in near_pairs(fingerprints(texts), 0.6, wanted=components.apart):
        components.unite(left, right)
        compared += len(left)
    assert len(set(components.labels().tolist())) == 1
    assert compared < 2000 * 1999 / 4


def test_estimates_are_unbiased() -> None:
    texts = sentences(200, words=14)
    prints = fingerprints(texts)
    pairs = all_with_all(texts, 0.2)
    left, right = map(np.array, zip(*pairs, strict=True))
    estimate = (prints.signatures[left] == prints.signatures[right]).mean(axis=1)
    error = estimate - np.array(list(pairs.values()))
    assert abs(error.mean()) < 0.02
    assert error.std() < 1.3 * np.sqrt(0.25 / PERMUTATIONS)


def test_fingerprints_are_taken_without_a_copy_of_their_hashes() -> None:
    texts = [*sentences(50), *(f"{text} please" for text in sentences(20))]
    made: Fingerprints = fingerprints(texts)
    order = np.random.default_rng(0).permutation(70)[:60]
    shuffled = [texts[i] for i in order]
    taken = made.take(np.arange(70)).take(order)
    pairs = {(i, j): v for l, r, x in near_pairs(taken, 0.5) for i, j, v in zip(l.tolist(), r.tolist(), x.tolist(), strict=True)}  # noqa: E741
    assert pairs == pytest.approx(all_with_all(shuffled, 0.5))
    assert pairs
    assert taken.signatures is made.signatures
    assert taken.hashes is made.hashes


@pytest.mark.parametrize("texts", [[], ["abcdef"], ["a", "b"]])
def test_too_little_to_compare(texts: list[str]) -> None:
    assert found(texts, 0.6) == {}
