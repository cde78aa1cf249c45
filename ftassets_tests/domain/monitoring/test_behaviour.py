import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.drift import DriftOrigin, Statistic
from ftassets.domain.monitoring.behaviour import behaviour_statistics, class_shares, origin, pairs_of, uncertain

RNG = np.random.default_rng(3)
WORDS = ["the", "lamp", "in", "kitchen", "is", "now", "on", "and", "fan", "off", "while", "door", "stays", "open"]


def answers(count: int, length: int = 8, prefix: str = "") -> list[str]:
    return [prefix + " ".join(RNG.choice(WORDS, RNG.integers(length - 3, length + 4))) for _ in range(count)]


def moved(baseline: list[str], window: list[str], before: list[str] | None = None, now: list[str] | None = None) -> set[str]:
    found = behaviour_statistics(baseline, window, before or ["On"] * len(baseline), now or ["On"] * len(window))
    assert all(s.informs_only for s in found)
    return {s.name for s in found if s.above}


def test_answers_of_the_same_kind_did_not_move() -> None:
    assert moved(answers(200), answers(200)) == set()


def test_longer_answers_move_the_length() -> None:
    assert "text_length" in moved(answers(200), answers(200, length=16))


def test_hedging_moves_the_uncertainty_and_refusing_the_refusals() -> None:
    hedged = answers(160) + answers(40, prefix="I\N{RIGHT SINGLE QUOTATION MARK}m not sure, ")
    assert "uncertain_share" in moved(answers(200), hedged)
    refused = answers(160) + answers(40, prefix="I'm sorry, ")
    assert "refusal_share" in moved(answers(200), refused)


@pytest.mark.parametrize(
    ("text", "hedges"), [("It is PROBABLY on.", True), ("The lamp is on.", False), ("", False), ("I don't know", True)]
)
def test_uncertainty_is_found_by_its_phrases(text: str, hedges: bool) -> None:
    assert bool(uncertain([text])[0]) is hedges


def test_a_class_that_takes_over_moves_the_mix_and_a_harmless_wander_does_not() -> None:
    before = ["On"] * 100 + ["Off"] * 100
    texts = answers(200)
    assert "class_mix" not in moved(texts, texts, before, ["On"] * 115 + ["Off"] * 85)
    assert "class_mix" in moved(texts, texts, before, ["On"] * 10 + ["Off"] * 10 + ["Timer"] * 180)


def test_one_class_has_no_mix_and_few_answers_no_statistics() -> None:
    texts = answers(20)
    assert "class_mix" not in {s.name for s in behaviour_statistics(texts, texts, ["On"] * 20, ["On"] * 20)}
    assert behaviour_statistics(texts, texts[:9], ["On"] * 20, ["On"] * 9) == ()


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("bcd"), max_size=30))
def test_class_shares_add_up_and_the_largest_change_comes_first(before: list[str], now: list[str]) -> None:
    shares = class_shares(before, now)
    assert {c.name for c in shares} == set(before) | set(now)
    assert sum(c.baseline for c in shares) == pytest.approx(1.0 if before else 0.0)
    assert sum(c.window for c in shares) == pytest.approx(1.0 if now else 0.0)
    changes = [abs(c.window - c.baseline) for c in shares]
    assert changes == sorted(changes, reverse=True)


def test_pairs_are_means_and_shares_of_both_sides() -> None:
    assert pairs_of(["ab"], ["ab cd", "perhaps"])[0] == ("length, characters", 2.0, 6.0)
    assert pairs_of(["ab"], ["ab cd", "perhaps"])[3] == ("uncertain", 0.0, 0.5)


UP, DOWN = Statistic("x", 2.0, 1.0, 0.001), Statistic("y", 0.5, 1.0, 0.5)


@pytest.mark.parametrize(
    ("inputs", "outputs", "side", "words"),
    [
        ([DOWN], [DOWN], DriftOrigin.NONE, "as they were"),
        ([UP], [DOWN], DriftOrigin.INPUT, "the queries moved, the answers did not"),
        ([DOWN], [UP], DriftOrigin.OUTPUT, "its base"),
        ([UP], [UP], DriftOrigin.BOTH, "and the answers with them"),
        (None, [UP], None, "outputs: x moved"),
        ([UP], [], None, "too few answers"),
    ],
)
def test_drift_of_inputs_is_told_from_drift_of_outputs(
    inputs: list[Statistic] | None, outputs: list[Statistic], side: DriftOrigin | None, words: str
) -> None:
    found, sentence = origin(inputs, outputs)
    assert found is side
    assert words in sentence
