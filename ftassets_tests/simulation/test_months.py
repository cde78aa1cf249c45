"""Months of a loop through its real sensor, monitors and stores: what must happen in them, by scenario."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.simulation.months import Day, Simulation, costs
from ftassets.simulation.scenario import Scenario
from ftassets.testing.releases import FEW_USERS, loop_config

Simulated = Callable[..., Simulation]
DRIFT = {"sample": 100, "min_sample": 50, "reference_requests": 500}  # a fifth of the defaults, for speed
CORRECTED = {"feedback": 0.4, "learns_from": 10}
BLIND = ("monitor-without-data", False)
GATES = [
    {"metric": "exact_match", "better_than": "production"},
    {"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.08},
]
TIMERS = {"day": 10, "topic": "timers", "share": 0.3}


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Simulated]:
    """Makes a simulation of a loop in mode auto, with settings, and a scenario."""
    with dg.DagsterInstance.ephemeral() as instance:

        def make(scenario: dict[str, Any], mode: str = "auto", shadow: dict[str, Any] | None = None, **retrain_on: Any) -> Simulation:
            settings: dict[str, Any] = {
                "rollout": {"min_requests": 10, "steps": [20, 100], "guardrails": FEW_USERS, "shadow": shadow},
                "gates": GATES,
            }
            loop: LoopConfig = loop_config("support", mode=mode, retrain_on={"drift": DRIFT, **retrain_on}, **settings)
            return Simulation(loop, Scenario.model_validate({"requests": 300, "golden": 1000, **scenario}), Home(tmp_path), instance)

        yield make


def told(days: list[Day]) -> list[tuple[str, bool]]:
    return [(alert.subject, alert.resolved) for day in days for alert in day.alerts]


def alarms(days: list[Day]) -> list[int]:
    return [day.day for day in days if day.drift == "ALARM"]


def test_steady_weeks_with_weekends_and_an_outage_alert_nobody_and_train_nothing(simulated: Simulated) -> None:
    scenario = {"week": [1, 1, 1, 1, 1, 0.3, 0.3], "events": [{"day": 20, "outage": 0.6}, {"day": 24, "traffic": 5}]}
    simulation = simulated(scenario, quality_drop="5%", min_new_labels=10)
    days = list(simulation.days(35))
    assert told(days) in ([], [BLIND]), "two percent of users with feedback are few"
    assert simulation.trained == []
    assert len(alarms(days)) <= 1
    assert {day.quality for day in days[21:]} <= {"PASS", "NOT ENOUGH DATA"}


def test_few_corrections_tell_people_within_14_days_and_once(simulated: Simulated) -> None:
    simulation = simulated({"events": [TIMERS | {"share": 0.5}]})
    before = list(simulation.days(10))
    after = list(simulation.days(14))
    assert (told(before), simulation.trained) == ([], [])
    [alert] = [alert for day in after for alert in day.alerts if alert.subject == "retrain-waits"]
    assert "labels a day" in alert.text
    assert "ftassets label export support --out batch.jsonl --limit" in alert.text
    assert ("retrain-waits", False) not in told(list(simulation.days(15))), "not once more"


def test_with_more_corrections_the_topic_is_learnt_and_the_alarm_ends_and_what_people_were_told_is_resolved(simulated: Simulated) -> None:
    simulation = simulated({"feedback": 0.3, "events": [TIMERS]}, notify_after="1d", min_new_labels=110)
    days = list(simulation.days(24))
    [(learnt, end)] = simulation.trained
    assert end == "trained"
    assert 11 <= learnt <= 10 + 14
    assert "training 1 (drift): learns timers, is released" in days[learnt].happened
    assert days[learnt + 1].happened == ["version 1 has 20 % of requests", "version 1 is promoted"]
    assert [each for each in told(days) if each[0] == "retrain-waits"] == [("retrain-waits", False), ("retrain-waits", True)]
    assert alarms(days)[0] < learnt
    assert alarms(days)[-1] <= learnt + 2
    assert days[-1].unknown == 0
    assert costs(simulation, days)["trainings"] == {"released": 1}
    assert costs(simulation, days)["rollouts"] == {"promoted": 1}
    assert [each for each in told(days) if each[0] == "drift-alarm"] == [("drift-alarm", False), ("drift-alarm", True)]


def test_a_worse_candidate_is_refused_by_its_gate_and_a_broken_one_rolled_back(simulated: Simulated) -> None:
    trainings = ["worse", "breaks", "trained"]
    simulation = simulated({**CORRECTED, "quality": 0.95, "trainings": trainings, "events": [TIMERS]}, min_new_labels=40, cooldown="1d")
    first = simulation.serving.now.production
    days = list(simulation.days(24))
    happened = [line for day in days for line in day.happened]
    [refused] = [line for line in happened if "is refused" in line]
    assert refused.startswith("training 1 (drift): learns timers, is refused: exact_match")
    [back] = [line for line in happened if "is rolled back" in line]
    assert back.startswith("version 2 is rolled back: the candidate is worse than production for more users (errors: e-value ")
    paid = costs(simulation, days)
    assert (paid["trainings"], paid["rollouts"]) == ({"refused": 1, "released": 2}, {"rolled back": 1, "promoted": 1})
    assert (simulation.serving.now.standby, "version 3 is promoted" in happened) == (first, True)


def test_a_broken_candidate_is_found_in_shadow_before_a_user_has_it(simulated: Simulated) -> None:
    simulation = simulated({"requests": 200, "feedback": 0}, shadow={"sample": 1, "min_requests": 60})
    production = simulation.serving.now.production
    broken, sound = (simulation._version(name, simulation.knows[production], []) for name in ("broken", "sound"))
    simulation._ended |= {broken: "breaks", sound: "trained"}
    happened = []
    for version in (broken, sound):
        simulation.history.materialized("release", version)
        happened += [line for day in simulation.days(3) for line in day.happened]
    assert "in shadow the candidate is worse than production on the same requests (errors: " in happened[0]
    assert [transition.action for transition in simulation.serving.transitions[1:]] == ["shadow", "rollback", "shadow", "start", "promote"]
    assert (simulation.moved["rolled back"], simulation.moved["promoted"], simulation.serving.now.production) == (1, 1, sound)
    assert {each.version for each in simulation.traffic.exchanges("support")} == {production, sound}


def test_an_unrelated_promotion_does_not_silence_an_alarm(simulated: Simulated) -> None:
    simulation = simulated({"feedback": 0, "events": [TIMERS, {"day": 16, "promotion": "unrelated"}]})
    days = list(simulation.days(24))
    assert days[16].happened == ["a person promotes a version that learnt nothing new"]
    assert all(day.drift == "ALARM" for day in days[12:]), [day.drift for day in days]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_run_without_a_verdict_keeps_its_labels_and_is_tried_again_with_a_pause(simulated: Simulated, end: str) -> None:
    quiet = {"day": 12, "days": 30, "feedback": 0}  # nothing is corrected any more: only the labels of before can be used
    simulation = simulated({**CORRECTED, "trainings": [end, end, "trained"], "events": [TIMERS, quiet]}, min_new_labels=40)
    list(simulation.days(18))
    assert [each for _, each in simulation.trained] == [end, end, "trained"]
    list(simulation.days(3))
    assert simulation.knows[simulation.serving.now.production or ""] > simulation.knows[simulation.serving.now.standby or ""]


def test_a_refusal_is_not_followed_by_the_same_training_week_after_week(simulated: Simulated) -> None:
    scenario = {**CORRECTED, "trainings": ["refused"], "events": [TIMERS, {"day": 14, "days": 60, "feedback": 0.002}]}
    simulation = simulated(scenario, min_new_labels=40, cooldown="7d")
    list(simulation.days(40))
    assert 1 <= len(simulation.trained) <= 3


def test_spam_starts_nothing(simulated: Simulated) -> None:
    scenario = {"requests": 100, "feedback": 0.01, "events": [{"day": 1, "days": 2, "spam": 200}, TIMERS | {"share": 0.8}]}
    simulation = simulated(scenario, feedback=100, cooldown="1d")
    days = list(simulation.days(25))
    assert simulation.trained == []
    assert any("not counted: exact" in alert.text for day in days for alert in day.alerts)


@pytest.mark.parametrize("users", [1, 20])
def test_one_request_with_another_word_in_each_starts_nothing(simulated: Simulated, users: int) -> None:
    spam = {"day": 1, "days": 2, "spam": 300, "users": users, "varied": True}
    simulation = simulated({"requests": 100, "feedback": 0.01, "events": [spam, TIMERS | {"share": 0.8}]}, feedback=100, cooldown="1d")
    list(simulation.days(20))
    assert simulation.trained == []


def test_observe_plays_cooldown_budget_and_labels_through_as_auto_would(simulated: Simulated) -> None:
    simulation = simulated({**CORRECTED, "events": [TIMERS]}, mode="observe", max_retrains=2, min_new_labels=40)
    list(simulation.days(30))
    assert simulation.trained == []
    assert simulation.ledger == 2


def test_a_lasting_drop_is_one_ticket_and_one_resolve(simulated: Simulated) -> None:
    simulation = simulated({"feedback": 0.5, "events": [{"day": 16, "days": 14, "quality": -0.3}]})
    days = list(simulation.days(42))
    subjects = [each for each in told(days) if each[0] == "quality-drop"]
    names = {alert.detail for day in days for alert in day.alerts if alert.subject == "quality-drop"}
    assert sorted(subjects) == sorted([("quality-drop", over) for over in (False, True) for _ in names])
    first = next(day.day for day in days if ("quality-drop", False) in told([day]))
    assert 16 <= first <= 22


def test_praise_that_comes_days_after_complaints_is_no_drop_and_a_drop_is_found_once_praise_had_its_time(simulated: Simulated) -> None:
    """With what each day has so far, the newest days had complaints alone."""
    late = {"feedback": 0.4, "late": 3, "complaints_late": 0}
    simulation = simulated({**late, "events": [{"day": 40, "days": 30, "quality": -0.3}]}, quality_drop="5%")
    days = list(simulation.days(60))
    tickets = [(day.day, alert.detail) for day in days for alert in day.alerts if alert.subject == "quality-drop"]
    assert {name for _, name in tickets} >= {"not_disliked", "not_corrected"}
    assert all(45 <= day <= 52 for day, name in tickets), tickets
    assert all(day >= 45 for day, _ in simulation.trained), simulation.trained
    assert simulation._series.series["not_disliked"].age in (5 * 86_400.0, 7 * 86_400.0)


def test_a_pause_holds_trainings_back_and_a_rollback_brings_the_old_topics_back(simulated: Simulated) -> None:
    scenario = {
        **CORRECTED,
        "events": [TIMERS, {"day": 11, "days": 6, "pause": "holidays"}, {"day": 22, "rollback": True}, {"day": 24, "labels": 5}],
    }
    simulation = simulated(scenario, min_new_labels=40)
    days = list(simulation.days(26))
    assert days[11].happened == ["the loop is paused: holidays"]
    assert "the loop is resumed" in days[17].happened
    assert days[14].decision == "WAIT (drift): the loop is paused: holidays"
    assert [day for day, _ in simulation.trained][0] == 17
    assert days[22].happened[0] == "a person goes back to the version before"
    assert (days[21].unknown, days[24].unknown > 0.2) == (0, True)
    assert days[24].labels >= 5
