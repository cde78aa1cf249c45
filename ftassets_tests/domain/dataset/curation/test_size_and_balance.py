"""Whether there are enough rows, and how many of each class are used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.dataset.curation.balance import class_shares, weigh_classes
from ftassets.domain.dataset.curation.size import GOALS, SizeVerdict, check_size, preflight
from ftassets_tests.domain.dataset.curation.sample import call, config, pool, row


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


CLASSES = st.dictionaries(st.text(max_size=3), st.integers(1, 500), max_size=8)


@given(CLASSES, st.floats(0.05, 1))
def test_no_class_holds_more_than_its_share_and_no_row_is_cut_without_need(rows: dict[str, int], limit: float) -> None:
    shares = class_shares(rows, limit)
    total = sum(rows.values())
    if shares is None:
        assert len(rows) * limit < 1 + 1e-6
        return
    used = {name: round(shares.get(name, 1.0) * count) for name, count in rows.items()}
    assert all(count <= limit * sum(used.values()) + 1e-6 for count in used.values())
    assert all(0 < share < 1 for share in shares.values())
    if all(count <= limit * total for count in rows.values()):
        assert shares == {}
    elif shares:  # one row more of each cut class would be too many
        more = {name: count + (name in shares) for name, count in used.items()}
        assert max(more[name] for name in shares) > limit * sum(more.values())


def test_classes_and_lengths_are_counted_and_nothing_is_dropped() -> None:
    rows = [row(i, intent, prompt="x" * (10 + i)) for i, intent in enumerate(["On", "On", "On", "Off"])]
    outcome = weigh_classes(pool(rows), config())
    size = len(call("On"))
    assert outcome.counts == {
        "class On": 3, "class Off": 1,
        "characters at 25 %": size + 10, "characters at 50 %": size + 11, "characters at 75 %": size + 12,
    }  # fmt: skip
    assert (outcome.dropped, outcome.changed, outcome.result) == ({}, {}, {})


def test_the_rows_training_may_use_are_counted() -> None:
    outcome = weigh_classes(pool([row(i, "On" if i < 8 else "Off") for i in range(12)]), config(max_class_share=0.5))
    assert outcome.result == {"On": 0.5}
    assert outcome.counts["rows training may use"] == 8


def test_a_share_no_cut_can_reach_is_said() -> None:
    outcome = weigh_classes(pool([row(i, "On" if i < 8 else "Off") for i in range(12)]), config(max_class_share=0.4))
    assert outcome.skipped == "2 classes cannot each hold at most 40% of the rows"
    assert outcome.result == {}
