"""The nearest texts by words, against scikit-learn's TF-IDF."""

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from ftassets.domain.dataset.nearest import nearest

TEXTS = ["turn on the kitchen light", "turn off the light", "set a timer for five minutes", "the the the light", "", "add milk to the list"]


@pytest.mark.parametrize("text", ["turn on the light", "light light kitchen", "a timer"])
def test_cosines_are_those_of_scikit_learn(text: str) -> None:
    vectors = TfidfVectorizer(token_pattern=r"\w+")
    cosines = (vectors.fit_transform(TEXTS) @ vectors.transform([text]).T).toarray()[:, 0]
    found = nearest(text, TEXTS, len(TEXTS))
    assert dict(found) == pytest.approx({place: value for place, value in enumerate(cosines) if value > 0})
    assert [value for _, value in found] == sorted(dict(found).values(), reverse=True)
    assert nearest(text, TEXTS, 1) == found[:1]


@pytest.mark.parametrize("text", ["", "zebra", "?!"])
def test_a_text_without_a_word_in_common_has_no_neighbour(text: str) -> None:
    assert nearest(text, TEXTS, 3) == []
    assert nearest("light", [], 3) == []


def test_letters_of_another_case_or_width_are_the_same() -> None:
    assert nearest("LIGHT", ["ｌｉｇｈｔ"], 1) == [(0, pytest.approx(1.0))]
