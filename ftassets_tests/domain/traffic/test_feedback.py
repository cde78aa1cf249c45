import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.traffic.feedback import Feedback, FeedbackVerdict, added_up, tags_text

EVENTS = st.lists(
    st.builds(
        Feedback,
        st.sampled_from(["a", "b"]),
        st.sampled_from([1.0, 2.0, 3.0]),
        st.sampled_from(["up", "down", "", None]),
        st.sampled_from(["x", "y", "", None]),
    ),
    max_size=10,
)
UP, DOWN, CORRECTION = FeedbackVerdict.THUMBS_UP, FeedbackVerdict.THUMBS_DOWN, FeedbackVerdict.CORRECTION


def said(*events: tuple[str | None, str | None]) -> Feedback:
    """What these ratings and corrections add up to, given one after the other."""
    return added_up(Feedback("a", float(at), *event) for at, event in enumerate(events))["a"]


@pytest.mark.parametrize(
    ("events", "verdict", "correction"),
    [
        ([("up", None)], UP, None),
        ([("down", None)], DOWN, None),
        ([("up", None), ("down", None)], DOWN, None),
        ([("down", None), ("up", None)], UP, None),
        ([(None, "x")], CORRECTION, "x"),
        ([("down", None), (None, "x")], CORRECTION, "x"),
        ([(None, "x"), ("up", None)], CORRECTION, "x"),
        ([(None, "x"), ("down", None)], CORRECTION, "x"),
        ([("down", "x"), ("up", None), ("down", None)], CORRECTION, "x"),
        ([(None, "x"), (None, "y"), ("up", None)], CORRECTION, "y"),
        ([(None, "y"), ("up", "x")], CORRECTION, "x"),
        ([("up", ""), (None, None)], UP, None),
        ([("shrug", None)], None, None),
        ([(None, None)], None, None),
    ],
)
def test_what_users_say_one_after_the_other_adds_up(
    events: list[tuple[str | None, str | None]], verdict: FeedbackVerdict | None, correction: str | None
) -> None:
    found = said(*events)
    assert (found.verdict, found.correction, found.at) == (verdict, correction, len(events) - 1)


def test_of_texts_given_at_one_time_the_one_that_was_stored_last_counts() -> None:
    first, second = Feedback("a", 1.0, "down", "x", "b", "c"), Feedback("a", 1.0, "up", "y", "a", "d")
    assert added_up([first, second])["a"] == second
    assert added_up([second, first])["a"] == first
    assert added_up([second, replace(first, comment=None)])["a"] == replace(first, comment="a")


@given(events=EVENTS, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_events_of_different_times_does_not_count(events: list[Feedback], shuffle: random.Random) -> None:
    ordered = [replace(event, at=float(number)) for number, event in enumerate(events)]
    assert added_up(shuffle.sample(ordered, len(ordered))) == added_up(ordered)


@given(events=EVENTS)
def test_each_field_is_the_newest_that_says_something(events: list[Feedback]) -> None:
    found = added_up(events)
    assert found.keys() == {event.request_id for event in events}
    for answer, total in found.items():
        own = [event for event in events if event.request_id == answer]
        assert total.at == max(event.at for event in own)
        for name in ("rating", "correction"):
            given_at = {event.at: [] for event in own if getattr(event, name)}
            for event in own:
                if getattr(event, name):
                    given_at[event.at].append(getattr(event, name))
            assert getattr(total, name) == (given_at[max(given_at)][-1] if given_at else None)


@given(events=EVENTS)
def test_what_was_added_up_can_be_added_to_an_event_that_came_later(events: list[Feedback]) -> None:
    later = Feedback("a", 9.0, "down", "z")
    known = list(added_up(events).values())
    assert added_up([*known, later])["a"] == added_up([*events, later])["a"] == replace(later)


def test_tags_are_written_in_one_way() -> None:
    assert tags_text([" rude", "wrong  queue", "rude"]) == "rude, wrong queue"
    assert tags_text([]) is None
    for bad in (["a,b"], [" "], ["x" * 51], ["a\0b"], [str(n) for n in range(21)]):
        with pytest.raises(ValueError, match=r"is not a tag|21 tags: at most 20"):
            tags_text(bad)
    said = Feedback("r", 1.0, "down", None, "it was late", "rude, wrong queue")
    assert (said.note, said.tagged(["Wrong Queue"]), said.tagged(["queue"]), said.tagged([])) == (
        "rude, wrong queue: it was late", "wrong queue", None, None,
    )  # fmt: skip
