"""How many rows of each class training uses."""

from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.dataset.curation.balance import class_shares, weigh_classes
from ftassets_tests.domain.dataset.curation.sample import call, config, pool, row

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
