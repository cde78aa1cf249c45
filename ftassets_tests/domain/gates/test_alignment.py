"""When a version that was trained on preferences becomes the candidate."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from ftassets.config.loop import Align
from ftassets.domain.gates.alignment import Alignment, Measured, decide, pair_wins, rating_comparisons, rating_wins, score_gains, too_few
from ftassets.domain.gates.result import Verdict

DPO, KTO = (Align.model_validate({"method": method, "margin": 0.05}) for method in ("dpo", "kto"))


def scores(tuned: int, aligned: int, n: int) -> list[Measured]:
    """So many of n rows right, those of one version among those of the other."""
    return [Measured(unit=f"row-{k}", tuned=float(k < tuned), aligned=float(k < aligned)) for k in range(n)]


def pairs(won: int, n: int) -> list[Measured]:
    return [Measured(unit=f"request-{k}", tuned=1.0, aligned=3.0 if k < won else -1.0) for k in range(n)]


def rated(up: float, down: float, n: int) -> list[Measured]:
    noise = np.random.default_rng(1).normal(scale=0.01, size=n)
    gains = [(up if k % 2 else down) + noise[k] for k in range(n)]
    return [Measured(unit=f"request-{k}", tuned=-5.0, aligned=-5.0 + gain, up=bool(k % 2)) for k, gain in enumerate(gains)]


def alignment(of_scores: list[Measured], preferences: list[Measured], method: str = "dpo") -> Alignment:
    names = {"loop": "voice", "run_id": "r", "tuned": "a", "aligned": "b", "dataset_commit": "c", "preferences_commit": "p"}
    return Alignment(**names, method=method, metric="exact_match", scores=of_scores, preferences=preferences)


@pytest.mark.parametrize(
    ("of_scores", "preferences", "verdict"),
    [
        (scores(190, 190, 200), pairs(80, 100), Verdict.PASS),
        (scores(190, 195, 200), pairs(80, 100), Verdict.PASS),
        (scores(190, 130, 200), pairs(100, 100), Verdict.FAIL),  # better at preferences and worse at the task
        (scores(190, 190, 200), pairs(20, 100), Verdict.FAIL),
        (scores(190, 190, 200), pairs(52, 100), Verdict.NOT_ENOUGH_DATA),
        (scores(190, 182, 200), pairs(80, 100), Verdict.NOT_ENOUGH_DATA),
    ],
)
def test_both_parts_must_hold(of_scores: list[Measured], preferences: list[Measured], verdict: Verdict) -> None:
    decision = decide(alignment(of_scores, preferences), DPO)
    assert decision.verdict is verdict, decision.sentence
    assert "held-out request" in decision.sentence
    assert "validation rows" in decision.sentence


def test_the_bounds_are_in_the_sentence_and_on_either_side_of_the_estimate() -> None:
    decision = decide(alignment(scores(190, 188, 200), pairs(70, 100)), DPO)
    assert decision.score is not None
    assert decision.preference is not None
    assert decision.score.lower < -0.01 < decision.score.upper
    assert decision.preference.lower < 0.7 < decision.preference.upper
    assert f"{decision.preference.lower:.3f}" in decision.sentence
    assert "mean margin +1.80 nats, before +1.00" in decision.sentence


def test_a_confidence_that_is_higher_needs_more() -> None:
    of = alignment(scores(190, 190, 200), pairs(60, 100))
    assert decide(of, DPO).verdict is Verdict.PASS
    assert decide(of, DPO.model_copy(update={"confidence": 0.999})).verdict is Verdict.NOT_ENOUGH_DATA


def test_answers_rated_up_must_gain_more_than_those_rated_down() -> None:
    assert decide(alignment(scores(190, 190, 200), rated(2.0, -2.0, 100), "kto"), KTO).verdict is Verdict.PASS
    assert decide(alignment(scores(190, 190, 200), rated(-2.0, 2.0, 100), "kto"), KTO).verdict is Verdict.FAIL
    both = decide(alignment(scores(190, 190, 200), rated(2.0, 2.0, 100), "kto"), KTO)  # all answers became more likely alike
    assert both.verdict is Verdict.NOT_ENOUGH_DATA


@pytest.mark.parametrize(("ups", "downs"), [(20, 20), (12, 60), (60, 12)])
def test_rating_wins_are_mann_whitney_where_each_is_compared_with_all(ups: int, downs: int) -> None:
    draw = np.random.default_rng(3)
    gains = [(True, float(draw.normal(0.5))) for _ in range(ups)] + [(False, float(draw.normal())) for _ in range(downs)]
    measured = [Measured(unit=f"{k:03}", tuned=0.0, aligned=gain, up=up) for k, (up, gain) in enumerate(gains)]
    wins = rating_wins(measured)
    assert len(wins) == min(ups, downs)
    up, down = ([gain for rating, gain in gains if rating is wanted] for wanted in (True, False))
    statistic = mannwhitneyu(up, down).statistic / (ups * downs)
    assert np.mean(wins) == pytest.approx(statistic, abs=0.2)  # the same quantity, from comparisons that do not depend on each other
    flipped = [each.model_copy(update={"up": not each.up}) for each in measured]
    assert np.mean(rating_wins(flipped)) == pytest.approx(1 - np.mean(wins))


def test_requests_count_once_however_many_pairs_they_have() -> None:
    many = [Measured(unit="one", tuned=0.0, aligned=1.0)] * 9 + [Measured(unit="other", tuned=0.0, aligned=-1.0)]
    assert pair_wins(many) == [1.0, 0.0]
    assert pair_wins([Measured(unit="same", tuned=1.0, aligned=1.0)]) == [0.5]
    assert score_gains([Measured(unit="talk", tuned=0.0, aligned=1.0), Measured(unit="talk", tuned=1.0, aligned=1.0)]) == [0.5]


def of_request(unit: str, *gains: tuple[bool, float]) -> list[Measured]:
    return [Measured(unit=unit, tuned=-3.0, aligned=-3.0 + gain, up=up) for up, gain in gains]


@pytest.mark.parametrize(
    ("measured", "wins"),
    [
        (of_request("one", *[(True, 1.0), (False, 0.0)] * 9), [1.0]),
        (of_request("one", (True, 1.0), (False, 0.0), (False, 2.0)), [0.5]),
        (of_request("one", *[(True, 1.0)] * 6) + of_request("other", *[(False, 0.0)] * 6), [1.0]),
        (of_request("one", (True, 1.0), (False, 2.0)) + of_request("two", (True, 1.0)) + of_request("three", (False, 1.0)), [0.0, 0.5]),
        (of_request("one", (True, 1.0)) + of_request("two", (True, 2.0)), []),
    ],
)
def test_a_request_is_in_one_comparison_however_many_answers_of_it_were_rated(measured: list[Measured], wins: list[float]) -> None:
    assert rating_wins(measured) == wins
    assert rating_comparisons((each.unit, bool(each.up)) for each in measured) == len(wins)


def test_what_was_measured_decides_how_it_is_read_whatever_the_loop_asks_for_by_now() -> None:
    of = alignment(scores(190, 190, 200), rated(2.0, 2.0, 100), "kto")  # answers rated down became as much more likely
    assert decide(of, DPO).verdict is Verdict.NOT_ENOUGH_DATA
    assert decide(of, DPO) == decide(of, KTO)


def test_what_could_prove_nothing_is_known_before_it_is_paid_for() -> None:
    assert too_few(59, 5, DPO) is None  # 0.5 ** 5 and 0.95 ** 59 are the chances of the best outcome where the claim does not hold
    assert "validation rows cannot show at 95 %" in (too_few(57, 5, DPO) or "")
    assert "held-out preferences cannot show" in (too_few(59, 4, DPO) or "")
    assert too_few(0, 0, DPO) is not None
    assert decide(alignment([], []), DPO).verdict is Verdict.NOT_ENOUGH_DATA


def test_what_is_stored_gives_the_decision_again() -> None:
    of = alignment(scores(190, 182, 200), rated(2.0, -2.0, 40), "kto")
    assert decide(Alignment.parse(of.document()), KTO) == decide(of, KTO)
