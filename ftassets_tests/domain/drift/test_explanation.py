import numpy as np
import pytest

from ftassets.domain.drift import Explanation, Reference, compare, explain, not_enough_data
from ftassets.domain.drift.explanation import keywords, words_of_several
from ftassets_tests.domain.drift.topics import ALL, EVEN, KNOWN, queries, topics

WORDS = [f"topic{letter}" for letter in "abcdefghijklmnopqrst"]
WORDS += [f"new{word}" for word in WORDS]


def texts_of(numbers: np.ndarray) -> list[str]:
    return [f"please turn my {WORDS[topic]} number {i}" for i, topic in enumerate(numbers)]


def explained(reference: Reference, weights: np.ndarray, **known: dict[int, list[str]]) -> tuple[Explanation, np.ndarray]:
    window, numbers = queries(400, weights, seed=6), topics(400, weights, seed=6)
    return explain(reference, compare(reference, window, 0.01, 50), window, texts_of(numbers), **known), numbers


def test_each_new_topic_is_one_line_with_its_share_and_words(reference: Reference) -> None:
    weights = np.concatenate([np.ones(KNOWN), np.zeros(ALL - KNOWN)])
    weights[[25, 31]] = 5.0, 2.5
    result, numbers = explained(reference, weights)
    assert [topic.keywords[0] for topic in result.new] == [WORDS[25], WORDS[31]]
    for topic, number in zip(result.new, (25, 31), strict=True):
        assert topic.share == pytest.approx((numbers == number).mean(), abs=0.02)
        assert (numbers[list(topic.members)] == number).all()
        assert len(topic.examples) == 3
        assert all(WORDS[number] in example for example in topic.examples)


def test_nothing_new_is_no_topic(reference: Reference) -> None:
    result, _ = explained(reference, EVEN)
    assert sum(topic.share for topic in result.new) < 0.05
    assert result.moved == ()


def test_a_topic_that_grew_is_named(reference: Reference) -> None:
    result, _ = explained(reference, np.where(np.arange(KNOWN) == 7, 20.0, 1.0))
    grown = [moved for moved in result.moved if moved.cluster.window_share > moved.cluster.reference_share]
    assert grown
    assert all(moved.keywords[0] == WORDS[7] and WORDS[7] in moved.examples[0] for moved in grown)


def test_a_topic_that_went_away_is_named_by_reference_queries(reference: Reference) -> None:
    weights = np.where(np.arange(KNOWN) == 7, 30.0, 1.0)
    window, numbers = queries(600, weights, seed=6), topics(600, weights, seed=6)
    known_topics = texts_of(topics(2000, EVEN, seed=1))  # the queries the reference was built from
    known: dict[int, list[str]] = {}
    for row, cluster in zip(reference.rows, reference.clusters, strict=True):
        known.setdefault(int(cluster), []).append(known_topics[row])
    comparison = compare(reference, window, 0.01, 50)
    result = explain(reference, comparison, window, texts_of(numbers), known)
    assert result.moved
    assert all(moved.keywords and moved.examples for moved in result.moved)


def test_keywords_tell_a_group_from_the_others() -> None:
    groups = {"timers": ["set a timer", "start the timer now"], "lights": ["set the light", "the light now"]}
    found = keywords(groups)
    assert (found["timers"][0], found["lights"][0]) == ("timer", "light")
    assert "लाइट" in keywords({"timers": ["टाइमर चलाओ"], "lights": ["लाइट जलाओ"]})["lights"]
    assert keywords({"empty": ["123 !"], "one": ["a word"]})["empty"] == ()
    assert keywords({}) == {}


def test_what_was_not_compared_is_not_explained(reference: Reference) -> None:
    assert explain(reference, not_enough_data("few"), np.empty((0, 32)), []) == Explanation((), ())


def test_texts_of_another_window_are_refused(reference: Reference) -> None:
    window = queries(60, EVEN, 1)
    with pytest.raises(ValueError, match="60 vectors, 1 texts"):
        explain(reference, compare(reference, window, 0.01, 50), window, ["one"])


def test_only_words_of_several_users_are_shown() -> None:
    said = [
        ("a", "cancel my parcel"),
        ("b", "Cancel it, my friend"),
        ("c", "my dog says cancel"),
        ("c", "Smith Smith Smith"),
        ("c", "parcel"),
    ]
    assert words_of_several(said) == {"cancel", "my"}
