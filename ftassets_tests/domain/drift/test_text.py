import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.drift import Statistic, text_statistics
from ftassets.domain.drift.text import diversity, lengths


def answers(n: int, seed: int, words: int = 12, refused: float = 0.02, repeated: bool = False) -> list[str]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        count = 1 + rng.poisson(words)
        text = " ".join(f"w{rng.integers(3 if repeated else 400)}" for _ in range(count))
        made.append("I'm sorry, but I can't help with that." if rng.random() < refused else text)
    return made


def above(reference: list[str], window: list[str]) -> set[str]:
    return {s.name for s in text_statistics(reference, window) if s.above}


REFERENCE = answers(1000, seed=0)


def test_texts_that_hold_stay_below_their_thresholds() -> None:
    false = sum(bool(above(REFERENCE, answers(200, seed))) for seed in range(1, 41))
    assert false <= 3  # 1 % expected


@pytest.mark.parametrize(
    ("window", "name"),
    [
        (answers(200, 1, words=18), "text_length"),
        (answers(200, 2, repeated=True), "text_diversity"),
        (answers(200, 3, refused=0.2), "refusal_share"),
    ],
)
def test_each_change_is_seen_by_its_statistic(window: list[str], name: str) -> None:
    assert name in above(REFERENCE, window)


def test_statistics_only_inform_and_agree_with_their_p_values() -> None:
    seen = set()
    for seed in range(20):
        for s in text_statistics(REFERENCE, answers(150, seed, words=12 + seed % 3, refused=0.02 * (seed % 4))):
            assert isinstance(s, Statistic)
            assert s.informs_only
            assert not s.alarm
            assert s.above == (s.p_value <= 0.01 / 3) or abs(s.p_value - 0.01 / 3) < 1e-3
            seen.add(bool(s.above))
    assert seen == {True, False}


def test_refusals_that_fall_away_are_no_alarm() -> None:
    many = answers(1000, 0, refused=0.5)
    share = next(s for s in text_statistics(many, answers(200, 1, refused=0.0)) if s.name == "refusal_share")
    assert not share.above
    assert share.p_value > 0.9


def test_diversity_by_hand() -> None:
    assert diversity(["one two Two one", "a b c d", "", "!", "हिन्दी हिन्दी"]) == pytest.approx([1.0, 2.0, 0.0, 0.0, 0.5**0.5])


def test_length_is_in_characters() -> None:
    assert lengths(["", "abc"]).tolist() == [0, 3]


@given(st.lists(st.text(max_size=30), max_size=25), st.lists(st.text(max_size=30), max_size=25))
def test_any_texts_can_be_measured(reference: list[str], window: list[str]) -> None:
    found = text_statistics(reference, window)
    always = {"text_length", "text_diversity", "refusal_share"} if min(len(reference), len(window)) >= 10 else set()
    assert always <= {s.name for s in found} <= always | ({"other_language_share"} if always else set())
    assert all(0 <= s.p_value <= 1 and np.isfinite(s.value) and np.isfinite(s.threshold) for s in found)


def test_another_language_is_told() -> None:
    english = [f"please switch the lamp in room number {n} on for me now" for n in range(40)]
    german = [f"bitte schalte jetzt die Lampe im Zimmer Nummer {n} für mich ein" for n in range(20)]
    mixed = {s.name: s for s in text_statistics(english, english[:20] + german)}
    assert mixed["other_language_share"].above
    assert mixed["other_language_share"].value == pytest.approx(0.5, abs=0.1)
    assert not next(s for s in text_statistics(english, english[20:]) if s.name == "other_language_share").above
