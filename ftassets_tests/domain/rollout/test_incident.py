"""Which changes of an endpoint are incidents, and what is told of them."""

from itertools import count

import pytest

from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.incident import RECENT, Incident, recent_incidents
from ftassets.domain.rollout.transition import Transition

A, B, C = "a" * 64, "b" * 64, "c" * 64


class Story:
    """A journal, told with the transitions of the endpoint."""

    def __init__(self) -> None:
        self.state, self.journal, self._numbers = EndpointState(), list[Transition](), count(1)

    def then(self, action: str, state: EndpointState, at: float) -> None:
        self.state = state
        self.journal.append(Transition(next(self._numbers), at, "support", action, "anna", "because", state))

    def found(self, now: float, noted: frozenset[int] = frozenset()) -> list[Incident]:
        return recent_incidents(self.journal[::-1], now, noted)


@pytest.fixture
def story() -> Story:
    story = Story()
    story.then("start", story.state.start(A, 5, 60, 0), 0)
    story.then("start", story.state.start(B, 5, 60, 100), 100)
    story.then("ramp", story.state.ramp(40, 60, 200), 200)
    return story


def test_a_rollback_of_a_candidate_is_told_from_its_start(story: Story) -> None:
    assert story.found(250) == []
    story.then("stage", story.state.stage(C, 900), 250)
    story.then("rollback", story.state.rollback(300), 300)
    [found] = story.found(310)
    assert (found.version, found.share, [each.action for each in found.timeline]) == (B, 40, ["start", "ramp", "stage", "rollback"])
    assert story.found(310, frozenset({5})) == []
    assert story.found(300 + RECENT) == []


def test_a_rollback_to_the_standby_a_second_one_and_a_lease_that_ended(story: Story) -> None:
    story.then("promote", story.state.ramp(100, 60, 300), 300)
    story.then("rollback", story.state.rollback(400), 400)
    story.then("start", story.state.start(C, 10, 60, 500), 500)
    story.then("expire", story.state.expire(600), 600)
    lease, standby = story.found(610)
    assert (lease.version, lease.share, [each.action for each in lease.timeline]) == (C, 10, ["start", "expire"])
    assert (standby.version, standby.share, len(standby.timeline)) == (B, 100, 4)


def test_staged_versions_that_end_lose_nothing(story: Story) -> None:
    story.then("stage", story.state.stage(C, 300), 250)
    story.then("expire", story.state.model_copy(update={"staged": {}}), 300)
    assert story.found(310) == []


def test_a_journal_that_begins_in_the_middle_is_enough(story: Story) -> None:
    story.then("rollback", story.state.rollback(300), 300)
    [found] = recent_incidents(story.journal[:1:-1], 310, frozenset())
    assert [each.action for each in found.timeline] == ["ramp", "rollback"]
    assert recent_incidents(story.journal[:2:-1], 310, frozenset()) == []


def test_what_came_since_tells_whether_traffic_moved_and_the_note_waits_for_it(story: Story) -> None:
    story.then("rollback", story.state.rollback(300), 300)
    [found] = story.found(310)

    def told(answers: dict[str, int]) -> tuple[bool | None, list[bool]]:
        incident = Incident(found.version, found.share, found.transition, found.timeline, None, answers)
        return incident.moved, [incident.due(now) for now in (310, 330, 601)]

    assert told({A: 0, B: 0}) == (None, [False, False, True])
    assert told({A: 7, B: 0}) == (True, [False, True, True])
    assert told({A: 7, B: 1}) == (False, [False, True, True])


def test_it_reads_no_further_back_than_it_must(story: Story) -> None:
    for number in range(1000):
        story.then("stage", story.state.stage(C, 1e9), 201 + number)
    story.then("rollback", story.state.rollback(2e6), 2e6)
    read = []

    def newest_first():
        for each in story.journal[::-1]:
            read.append(each)
            yield each

    assert recent_incidents(newest_first(), 2e6 + 30, frozenset({len(story.journal)})) == []
    assert len(read) == 2
    read.clear()
    [found] = recent_incidents(newest_first(), 2e6 + 30, frozenset())
    assert (len(found.timeline), len(read)) == (201, 201)
