"""Whether there are enough rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.dataset.curation.size import GOALS, SizeVerdict, check_size, preflight
from ftassets_tests.domain.dataset.curation.sample import config, pool, row


@pytest.mark.parametrize(
    ("goal", "low", "high"), [("style", 200, 500), ("vocabulary", 500, 1_500), ("task", 1_000, 5_000), ("instruction", 2_000, 10_000)]
)
def test_each_goal_has_its_range(goal: str, low: int, high: int) -> None:
    dataset = config(goal=goal).dataset
    verdicts = [preflight(rows, dataset).verdict for rows in (0, low - 1, low, high, high + 1)]
    assert verdicts == ["REFUSED", "REFUSED", "WARN", "WARN", "OK"]
    assert f"{low:,} to {high:,}" in preflight(low, dataset).sentence


@pytest.mark.parametrize(
    ("rows", "min_rows", "verdict", "words"),
    [
        (999, None, "REFUSED", "999 rows are too few: a task goal usually needs 1,000 to 5,000"),
        (399, 400, "REFUSED", "the loop asks for 400"),
        (400, 400, "WARN", "pass only because the loop file lowers what is asked for to 400"),
        (1_000, 400, "WARN", "More would help"),
        (1_500, 2_000, "REFUSED", "the loop asks for 2,000"),
        (5_001, 400, "OK", "enough"),
        (10_001, None, "OK", "quality counts more than volume"),
    ],
)
def test_the_loop_may_ask_for_less_or_more_and_the_sentence_says_so(rows: int, min_rows: int | None, verdict: str, words: str) -> None:
    found = preflight(rows, config(min_rows=min_rows).dataset)
    assert found.verdict == verdict
    assert words in found.sentence


def test_volume_is_only_mentioned_above_ten_thousand() -> None:
    assert "volume" not in preflight(10_000, config().dataset).sentence


@given(st.integers(0, 30_000), st.sampled_from(sorted(GOALS)), st.none() | st.integers(1, 20_000))
def test_more_rows_are_never_worse(rows: int, goal: str, min_rows: int | None) -> None:
    order = [SizeVerdict.REFUSED, SizeVerdict.WARN, SizeVerdict.OK]
    dataset = config(goal=goal, min_rows=min_rows).dataset
    assert order.index(preflight(rows, dataset).verdict) <= order.index(preflight(rows + 1, dataset).verdict)


def test_the_step_counts_the_rows_left() -> None:
    given_ = pool([row(i) for i in range(10)])
    given_.index = [1, 2, 3]
    outcome = check_size(given_, config(min_rows=3))
    assert (outcome.result.rows, outcome.result.verdict, outcome.dropped) == (3, "WARN", {})
