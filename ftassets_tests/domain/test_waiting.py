"""When people are told that a trigger waits: once, after the time that the loop allows, and once that it is over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.retrain import Action, Cause, RetrainDecision, Trigger
from ftassets.domain.waiting import OWN, STEP, Waiting, after, notice, waits

DAY = 86400.0
ALLOWED = 3 * DAY
FEW = RetrainDecision(Action.WAIT, Trigger.DRIFT, Cause.FEW_LABELS, "5 new labels, 200 are needed")
COOLING = RetrainDecision(Action.WAIT, Trigger.DRIFT, Cause.COOLDOWN, "cooling down")
QUIET = RetrainDecision(Action.NO, None, Cause.NO_TRIGGER, "the newest drift report raises no alarm")
STARTS = RetrainDecision(Action.RETRAIN, Trigger.DRIFT, Cause.READY, "2 drift alarms in a row")


def played(*spans: tuple[RetrainDecision, float], every: float = 1800.0) -> list[tuple[float, str]]:
    """Days at which people are told of what, when each decision holds for so many days."""
    known, now = None, 0.0
    told: list[tuple[float, str]] = []
    for decision, days in spans:
        until = now + days * DAY
        while now < until:
            left = after(known, decision, now, ALLOWED)
            if said := notice(known, left, decision, now, ALLOWED):
                told.append((round(now / DAY, 1), said.subject))
                left = left and left.model_copy(update={"told": True, "tried_at": now})
            known = left
            now += every
    return told


@pytest.mark.parametrize(
    ("spans", "told"),
    [
        ([(FEW, 30)], [(3.0, "waits")]),
        ([(FEW, 2.9), (STARTS, 1)], []),
        ([(FEW, 10), (STARTS, 1), (COOLING, 7), (FEW, 2)], [(3.0, "waits"), (10.0, "over")]),
        ([(FEW, 10), (QUIET, 10)], [(3.0, "waits"), (13.0, "over")]),
        ([(FEW, 2), (QUIET, 2), (FEW, 2), (QUIET, 2), (FEW, 20)], [(4.0, "waits")]),  # an alarm that comes and goes is one
        ([(FEW, 2), (QUIET, 4), (FEW, 2.9)], []),
        ([(COOLING, 7), (FEW, 4)], [(10.0, "waits")]),  # the cooldown is not a wait that anybody could end
        ([(QUIET, 100)], []),
    ],
)
def test_people_are_told_once_and_once_that_it_is_over(spans: list[tuple[RetrainDecision, float]], told: list[tuple[float, str]]) -> None:
    assert played(*spans) == told


def test_a_notice_that_could_not_be_sent_is_tried_again_an_hour_later() -> None:
    known = Waiting(trigger="drift", cause="few_labels", reason="5 of 200", since=0.0, seen=4 * DAY, tried_at=4 * DAY)
    assert notice(known, known, FEW, 4 * DAY + STEP - 1, ALLOWED) is None
    assert notice(known, known, FEW, 4 * DAY + STEP, ALLOWED) is not None


def test_what_is_stored_changes_once_an_hour_and_when_the_cause_does() -> None:
    first = after(None, FEW, 0.0, ALLOWED)
    assert after(first, FEW, STEP - 1, ALLOWED) is first
    assert after(first, FEW, STEP, ALLOWED) != first
    spent = RetrainDecision(Action.WAIT, Trigger.DRIFT, Cause.BUDGET, "spent")
    changed = after(first, spent, 1.0, ALLOWED)
    assert (changed and changed.cause, changed and changed.since) == ("budget", 0.0)


def test_the_words_say_how_long_and_why() -> None:
    known = Waiting(trigger="drift", cause="few_labels", reason="5 of 200", since=0.0, seen=4 * DAY)
    said = notice(known, known, FEW, 4 * DAY, ALLOWED)
    assert (said and said.title, said and said.text) == (
        "the drift trigger has waited for 4.0 d: no retrain starts",
        "5 new labels, 200 are needed",
    )
    told = known.model_copy(update={"told": True})
    over = notice(told, None, STARTS, 9 * DAY, ALLOWED)
    assert over
    assert (over.subject, over.text) == ("over", "a retrain starts: 2 drift alarms in a row")


@given(st.lists(st.tuples(st.sampled_from([FEW, COOLING, QUIET, STARTS]), st.floats(0.1, 6)), max_size=12))
def test_notices_of_a_wait_and_of_its_end_alternate(spans: list[tuple[RetrainDecision, float]]) -> None:
    subjects = [subject for _, subject in played(*spans, every=7200.0)]
    assert subjects == [("waits", "over")[number % 2] for number in range(len(subjects))]


@pytest.mark.parametrize("cause", Cause)
def test_a_wait_that_ends_by_itself_is_not_one_for_people(cause: Cause) -> None:
    assert waits(RetrainDecision(Action.WAIT, Trigger.DRIFT, cause, "")) == (cause not in OWN)
