"""What auto would have done, counted and in words."""

from ftassets.domain.retrain import QUARTER
from ftassets.domain.shadow import ShadowRetrain, in_quarter, in_words


def made(at: float) -> ShadowRetrain:
    return ShadowRetrain(at=at, trigger="drift", reason="2 drift alarms in a row", new_labels=210, labels_commit="c")


def test_only_those_of_the_quarter_count_for_the_budget() -> None:
    ledger = [made(0.0), made(10.0), made(QUARTER)]
    assert [in_quarter(ledger, now) for now in (0.0, QUARTER, QUARTER + 5.0, QUARTER + 11.0)] == [1, 3, 2, 1]


def test_the_words_say_how_often_and_why() -> None:
    assert in_words([], 0.0) == ""
    said = in_words([made(0.0)], 1.0)
    assert said.startswith("auto would have retrained once, 1 of them in the last 91 days")
    assert said.endswith("the newest had 210 new labels: 2 drift alarms in a row")
