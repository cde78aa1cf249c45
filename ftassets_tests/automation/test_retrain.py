"""What starts a retrain: what each tick reads, requests, reports that it waits for, and keeps."""

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from ftassets.assets._shared.run_nodes import LOOP
from ftassets.automation import retrain
from ftassets.automation.jobs import TRIGGER, endpoint_job_name, retrain_job_name
from ftassets.automation.ownership import DIED
from ftassets.automation.schedules import next_retrain
from ftassets.backends.control.usage import close
from ftassets.backends.dataset_store.base import Unreachable
from ftassets.cli.commands.replay import replay
from ftassets.config.loop import Budget, LoopConfig, Prices
from ftassets.config.profiles import artifacts, control
from ftassets.domain.formats import KINDS
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.spending.usage import Usage, UsageEntry
from ftassets.durable import file_digest
from ftassets_tests.automation.conftest import AUTO, NAME, Bench, P, S, loop_of, requested, skipped

DAY = 86400.0


def triggered_by(**retrain_on: Any) -> LoopConfig:
    return loop_of(retrain_on={"cooldown": "1h", "min_new_labels": 3, **retrain_on})


def decisions(bench: Bench) -> list[Path]:
    return sorted((bench.home.reports / NAME).glob("decision-*.json"), key=lambda path: path.stat().st_mtime_ns)


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """What the sensor takes for the time."""
    now = time.time() + seconds
    monkeypatch.setattr(retrain, "time", SimpleNamespace(time=lambda: now))


# Drift alarms


def test_without_a_report_there_is_nothing_to_decide(bench: Bench) -> None:
    assert skipped(bench.retrain()) == "NO: no drift report yet"


def test_without_production_the_bootstrap_is_due(bench: Bench) -> None:
    bench.serving.now = EndpointState()
    assert "no version is in production" in skipped(bench.retrain())


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (("QUIET",), "NO: the newest drift report raises no alarm"),
        (("ALARM", "QUIET"), "NO: the newest drift report raises no alarm"),
        (("QUIET", "ALARM"), "NO: 1 alarm in a row, 2 are needed"),
        (("ALARM", "QUIET", "ALARM"), "NO: 1 alarm in a row, 2 are needed"),
        (("ALARM", "ALARM", "NOT ENOUGH DATA"), "WAIT (drift): 0 new labelled answers, 3 are needed"),
        (("ALARM", "NOT ENOUGH DATA", "ALARM"), "WAIT (drift): 0 new labelled answers, 3 are needed"),
    ],
)
def test_counts_alarms_in_a_row(bench: Bench, verdicts: tuple[str, ...], words: str) -> None:
    bench.reports(*verdicts)
    assert skipped(bench.retrain()).startswith(words)


def test_alarms_of_overlapping_windows_and_reports_made_twice_count_once_however_many(bench: Bench) -> None:
    for hour in range(49):  # the first and the last window meet; it is more than a page of events
        begin, end = (dg.MetadataValue.timestamp((480_000 + each) * 3600.0) for each in (hour, hour + 48))
        for _ in range(2):
            bench.materialize("drift_report", f"r{hour}", verdict="ALARM", production=P, window_begin=begin, window_end=end)
        enough = hour == 48
        if hour in (1, 47, 48):
            words = "WAIT (drift): 0 new labelled answers, 3 are needed" if enough else "NO: 1 alarm in a row, 2 are needed"
            assert skipped(bench.retrain()).startswith(words)


def test_alarms_about_an_earlier_production_version_were_answered_by_its_successor(bench: Bench) -> None:
    bench.reports("ALARM", "ALARM", production="f" * 64)
    bench.traffic.correct(3)
    assert skipped(bench.retrain()) == "NO: the newest drift report raises no alarm"
    bench.reports("ALARM")
    assert skipped(bench.retrain()) == "NO: 1 alarm in a row, 2 are needed"


def test_an_alarm_stays_pending_until_there_are_labels(bench: Bench) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(2)
    words = "WAIT (drift): 2 new labelled answers, 3 are needed (2 labels a day; 3 in 0 days; they expire after 30 days)"
    assert skipped(bench.retrain()).startswith(f"{words}; the drift alarm stays pending: offer a labelling batch")
    bench.traffic.correct(1)
    request = requested(bench.retrain())
    assert request.run_key == "first:0"
    assert request.tags == {
        TRIGGER: "drift",
        retrain.DRIFT_REPORT: "report1",
        retrain.REASON: "2 drift alarms in a row; 3 new labelled answers",
        retrain.DECISION: decisions(bench)[-1].stem.removeprefix("decision-"),
    }


def test_the_same_situation_has_the_same_key_at_each_tick(bench: Bench) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    assert requested(bench.retrain()).run_key == requested(bench.retrain()).run_key


@pytest.mark.parametrize("status", [S.NOT_STARTED, S.STARTED])
def test_no_second_retrain_while_one_runs(bench: Bench, status: S) -> None:
    bench.run(retrain_job_name(NAME), status)
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    assert skipped(bench.retrain()) == "WAIT (drift): a retrain of this loop is under way"


def test_a_retrain_of_another_loop_is_no_obstacle(bench: Bench) -> None:
    bench.run(retrain_job_name("other"), S.STARTED, {LOOP: "other"})
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    assert requested(bench.retrain())


def test_alarms_count_from_the_last_retrain_that_ran_its_course_and_it_cools_down(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    time.sleep(0.02)
    run = bench.run(retrain_job_name(NAME), S.SUCCESS)
    assert skipped(bench.retrain()) == "NO: the newest drift report raises no alarm"
    time.sleep(0.02)
    bench.reports("ALARM", "ALARM")
    assert skipped(bench.retrain()).startswith("WAIT (drift): cooling down for another 60.0 min")
    later(monkeypatch, 3700)
    assert requested(bench.retrain()).run_key == f"{run.run_id}:0"


@pytest.mark.parametrize("status", [S.FAILURE, S.CANCELED])
def test_a_run_without_a_verdict_takes_neither_alarms_nor_labels_and_is_tried_again_after_a_pause_that_grows(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, status: S
) -> None:
    loop = triggered_by(max_retrains=1)
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    for number, pause in enumerate([600, 2400, 3600, 3600]):
        bench.dataset(f"tried{number}")  # it failed in training, after it had read the labels
        bench.run(retrain_job_name(NAME), status, {TRIGGER: "drift"})
        later(monkeypatch, 1)
        assert "and took no labels: tried again in" in skipped(bench.retrain(loop))
        later(monkeypatch, pause - 10)
        assert skipped(bench.retrain(loop)).startswith("WAIT (drift): the last ")
        later(monkeypatch, pause + 10)
        assert requested(bench.retrain(loop)).run_key == f"first:{number + 1}"


def test_labels_that_a_refused_training_had_stay_new_to_production_and_start_no_second_one_like_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.traffic.correct(30)
    bench.dataset("refused")
    bench.refused()
    time.sleep(0.02)
    bench.reports("ALARM", "ALARM")
    later(monkeypatch, 3700)
    assert skipped(bench.retrain()).startswith("WAIT (drift): the newest training had all but 0 of the 30 labels that production was not")
    bench.traffic.correct(3)
    assert "all but 3 of the 33 labels" in skipped(bench.retrain())
    bench.traffic.correct(1)
    assert "34 new labelled answers" in requested(bench.retrain()).tags[retrain.REASON]


def test_a_rollback_brings_the_labels_of_the_version_before_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.dataset("first")
    before = bench.promote("before", first)
    bench.traffic.correct(5)
    second = bench.dataset("second")
    bench.run(retrain_job_name(NAME), S.SUCCESS)
    bench.promote("after", second)
    time.sleep(0.02)
    later(monkeypatch, 3700)
    bench.reports("ALARM", "ALARM", production=bench.serving.now.production or "")
    assert skipped(bench.retrain()).startswith("WAIT (drift): 0 new labelled answers, 3 are needed")
    bench.serving.now = EndpointState(production=before)
    bench.reports("ALARM", "ALARM", production=before)
    assert "all but 0 of the 5 labels" in skipped(bench.retrain())
    bench.traffic.correct(1)
    assert "6 new labelled answers" in requested(bench.retrain()).tags[retrain.REASON]


def test_a_run_that_moves_traffic_comes_first(bench: Bench) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    bench.run(endpoint_job_name(NAME), S.STARTED)
    assert skipped(bench.retrain()) == "WAIT (drift): a rollout of this loop is under way"


def test_a_canary_comes_first(bench: Bench) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    bench.canary()
    assert skipped(bench.retrain()) == "WAIT (drift): a rollout of this loop is under way"


def test_observe_says_what_it_would_do(bench: Bench) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    assert skipped(bench.retrain(loop_of(mode="observe"))).startswith("NO (drift): would retrain now")


def test_pause_holds_it_with_the_reason(bench: Bench) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    bench.pause("audit")
    assert skipped(bench.retrain()) == "WAIT (drift): the loop is paused: audit"


def test_what_does_not_answer_is_no_reason_to_train(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)

    def silent(*_: Any) -> None:
        raise Unreachable("the dataset store does not answer")

    monkeypatch.setattr(bench.store, "resolve", silent)
    assert skipped(bench.retrain()) == "the dataset store does not answer"
    bench.serving.error = "the gateway does not answer"
    assert skipped(bench.retrain()) == "the gateway does not answer"


def test_a_retrain_whose_process_died_is_tried_again_and_no_more_than_five_times(bench: Bench) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    for number in range(5):
        assert requested(bench.retrain()).run_key == f"first:{number}"
        bench.run(retrain_job_name(NAME), S.FAILURE, {TRIGGER: "drift", DIED: "true"})
    assert "died 5 times" in skipped(bench.retrain())


# Other triggers


def test_feedback_starts_a_retrain_by_itself(bench: Bench) -> None:
    bench.traffic.correct(4)
    loop = triggered_by(feedback=5, min_new_labels=200)
    assert skipped(bench.retrain(loop)) == "NO: no drift report yet; 4 new labelled answers of 5"
    bench.traffic.correct(1)
    request = requested(bench.retrain(loop))
    assert request.tags[TRIGGER] == "feedback"
    assert retrain.DRIFT_REPORT not in request.tags


def test_a_scheduled_retrain_falls_due_a_period_after_the_first_version_and_then_after_each_retrain(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = triggered_by(schedule="weekly")
    assert skipped(bench.retrain(loop)) == "NO: no drift report yet"  # no version to count from
    bench.materialize("release", P)
    bench.traffic.correct(3)
    assert skipped(bench.retrain(loop)).endswith("the next scheduled retrain is due in 7.0 d")
    later(monkeypatch, 7.1 * DAY)
    assert requested(bench.retrain(loop)).tags[TRIGGER] == "schedule"
    bench.promote("next", bench.dataset("next"))
    bench.refused()  # it was a retrain too
    later(monkeypatch, 6 * DAY)
    assert skipped(bench.retrain(loop)).endswith("the next scheduled retrain is due in 24.0 h")
    later(monkeypatch, 8 * DAY)
    assert skipped(bench.retrain(loop)).endswith("nothing to learn")


def test_schedules_are_weekly_biweekly_or_a_cron_in_the_loops_time_zone() -> None:
    monday = 1763942400.0  # 2025-11-24 00:00 UTC
    assert next_retrain("weekly", monday, "UTC") == monday + 7 * DAY
    assert next_retrain("biweekly", monday, "UTC") == monday + 14 * DAY
    assert next_retrain("0 4 * * 1", monday + 1, "UTC") == monday + 4 * 3600
    assert next_retrain("0 4 * * 1", monday + 4 * 3600 + 1, "UTC") == monday + 7 * DAY + 4 * 3600
    assert next_retrain("0 4 * * 1", monday + 1, "Europe/Berlin") == monday + 3 * 3600, "04:00 there is 03:00 UTC in winter"
    assert next_retrain("0 4 * * 1", monday + 200 * DAY, "Europe/Berlin") % DAY == 2 * 3600, "and 02:00 UTC in summer"


@pytest.mark.parametrize("schedule", ["monthly", "0 25 * * *", "0 0 31 2 *", ""])
def test_an_invalid_schedule_is_an_error_of_the_loop_file(schedule: str) -> None:
    with pytest.raises(ValueError, match="write weekly, biweekly or a cron expression"):
        retrain.build(triggered_by(schedule=schedule))


def test_a_fall_of_quality_about_production_starts_a_retrain(bench: Bench) -> None:
    loop = triggered_by(quality_drop="5%")
    bench.traffic.correct(3)
    assert skipped(bench.retrain(loop)).endswith("no lasting drop of live quality is proved")
    bench.materialize("quality_report", "1", quality=0.88, baseline=0.9, production=P)
    assert skipped(bench.retrain(loop)).endswith("quality 0.880, baseline 0.900")
    bench.materialize("quality_report", "2", quality=0.5, baseline=0.9, production="f" * 64)
    assert skipped(bench.retrain(loop)).endswith("no lasting drop of live quality is proved")
    bench.materialize("quality_report", "3", quality=0.84, baseline=0.9)
    request = requested(bench.retrain(loop))
    assert request.tags[TRIGGER] == "quality"
    assert "quality 0.840 is 0.060 below its baseline 0.900" in request.tags[retrain.REASON]
    assert skipped(bench.retrain(AUTO)) == "NO: no drift report yet"  # not asked for


def test_a_spent_budget_leaves_retrains_to_a_person_for_the_rest_of_the_quarter(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = triggered_by(feedback=3, max_retrains=2)
    bench.run(retrain_job_name(NAME), S.SUCCESS, {TRIGGER: "bootstrap"})  # the first version is no retrain
    bench.run(retrain_job_name(NAME), S.FAILURE, {TRIGGER: "drift", DIED: "true"})  # nor is one that never ended
    bench.run(retrain_job_name(NAME), S.FAILURE, {TRIGGER: "drift"})  # nor one without a verdict
    bench.run(retrain_job_name(NAME), S.CANCELED, {TRIGGER: "drift"})
    bench.refused({TRIGGER: "drift"})
    later(monkeypatch, 2 * DAY)
    time.sleep(0.02)
    bench.traffic.correct(3)
    assert requested(bench.retrain(loop))
    bench.run(retrain_job_name(NAME), S.SUCCESS)
    time.sleep(0.02)
    bench.traffic.correct(3)
    assert skipped(bench.retrain(loop)).startswith("WAIT (feedback): 2 retrains in the last 91 days, max_retrains is 2: a person may start")
    later(monkeypatch, 92 * DAY)
    bench.traffic.correct(3)
    loop = loop.model_copy(update={"dataset": loop.dataset.model_copy(update={"production_window": 100 * DAY})})
    assert requested(bench.retrain(loop))


def test_the_reason_names_what_training_took_and_how_new_the_window_is(bench: Bench) -> None:
    bench.traffic.correct(100)
    bench.reports("ALARM", "ALARM", novelty_share=0.31)
    assert requested(bench.retrain()).tags[retrain.REASON].endswith("100 new labelled answers; 31% new queries")
    bench.materialize("adapter", P, train_seconds=750.0, rows=500)
    # 100 labels, 80 of them to train on, 80 known rows replayed, 1.5 s a row
    assert requested(bench.retrain()).tags[retrain.REASON].endswith("about 4.0 min of training against 31% new queries")


# Records


def test_a_decision_is_kept_when_its_kind_changes_and_not_at_each_tick(bench: Bench) -> None:
    cursor = None
    seen = []

    def tick() -> None:
        nonlocal cursor
        cursor = bench.retrain(cursor=cursor).cursor
        seen.append(len(decisions(bench)))

    tick()
    tick()
    bench.reports("ALARM", "ALARM")
    tick()
    bench.traffic.correct(2)  # another number in the same reason
    tick()
    bench.pause("audit")
    tick()
    tick()
    assert seen == [1, 1, 2, 2, 3, 3]
    found = [json.loads(path.read_bytes())["decision"] for path in decisions(bench)]
    assert [(d["action"], d["cause"]) for d in found] == [("NO", "no_trigger"), ("WAIT", "few_labels"), ("WAIT", "paused")]


def test_a_request_that_is_made_again_names_the_decision_that_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    later(monkeypatch, 0)  # the clock stands still: both times the same situation
    monkeypatch.setitem(KINDS, "retrain_decision", replace(KINDS["retrain_decision"], version=3))
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    first = bench.retrain()
    again = bench.retrain(cursor=first.cursor)
    assert requested(again).tags == requested(first).tags
    assert [path.stem for path in decisions(bench)] == [f"decision-{requested(again).tags[retrain.DECISION]}"]


def test_every_run_s_decision_is_kept_even_right_after_one_that_died(bench: Bench) -> None:
    bench.reports("ALARM", "ALARM")
    bench.traffic.correct(3)
    first = bench.retrain()
    bench.run(retrain_job_name(NAME), S.FAILURE, {TRIGGER: "drift", DIED: "true"})
    second = bench.retrain(cursor=first.cursor)
    for result in (first, second):
        assert (bench.home.reports / NAME / f"decision-{requested(result).tags[retrain.DECISION]}.json").exists()
    assert len(decisions(bench)) == 2


def test_a_kept_decision_is_made_again_byte_by_byte(bench: Bench) -> None:
    bench.materialize("release", P)
    bench.materialize("adapter", P, train_seconds=751.3, rows=487)
    bench.reports("ALARM", "ALARM")
    loop = triggered_by(schedule="biweekly", feedback=50, quality_drop=0.05, max_retrains=3, cooldown=3600)
    bench.retrain(loop)
    bench.traffic.correct(3)
    bench.retrain(loop)
    kept = decisions(bench)
    assert len(kept) == 2
    for path in kept:
        assert replay(artifacts(bench.home), [NAME], path.stem.removeprefix("decision-")[:12]).same
        assert path.stem == f"decision-{file_digest(path)}"


def test_a_month_that_cost_its_budget_holds_retrains_with_the_number(bench: Bench) -> None:
    loop = triggered_by(feedback=3).model_copy(update={"prices": Prices(usd_per_cpu_hour=4), "budget": Budget(usd_per_month=10)})
    bench.traffic.correct(3)
    used = UsageEntry(
        id="x", loop=NAME, run_id="x", node="drift_report", for_release=False, at=time.time(), until=time.time(), ended="done",
        usage=Usage(cpu_seconds=9000),
    )  # fmt: skip
    close(control(bench.home), used)
    said = skipped(bench.retrain(loop))
    assert said.startswith("WAIT (feedback): runs of ")
    assert "cost 10.00 USD, budget.usd_per_month is 10.00 USD: raise it, or wait for the next month" in said
    assert requested(bench.retrain(loop.model_copy(update={"budget": Budget(usd_per_month=11)})))
