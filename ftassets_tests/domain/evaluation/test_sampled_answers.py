from ftassets.domain.evaluation.sampled_answers import SAMPLED, with_sampled
from ftassets.domain.evaluation.scoring import Score


def scores(right: list[int]) -> list[Score]:
    return [Score(id=f"r{n}", slice="golden", exact=bool(each), fields=float(each), valid=True) for n, each in enumerate(right)]


def test_a_row_has_the_share_of_its_sampled_answers_that_are_right() -> None:
    found = with_sampled(scores([1, 0, 1]), [scores([1, 0]), scores([0, 0]), scores([1, 1]), scores([1, 0])])
    assert [score.values for score in found] == [{SAMPLED: 0.75}, {SAMPLED: 0.25}, {}]
    assert [score.exact for score in found] == [True, False, True]  # the greedy answer stays what it is


def test_without_samples_nothing_changes() -> None:
    assert with_sampled(scores([1, 0]), []) == scores([1, 0])
