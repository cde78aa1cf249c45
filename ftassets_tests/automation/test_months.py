"""Months of a loop in seconds: its retrain sensor, label counts and decisions on simulated days, with Dagster's clock set."""

import itertools
import json
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from ftassets.automation import retrain
from ftassets.automation.jobs import TRIGGER, retrain_job_name
from ftassets.backends.control.shadow import read_shadow
from ftassets.backends.traffic_log.base import Exchange, Feedback
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import control
from ftassets.domain.shadow import in_words
from ftassets_tests.automation.conftest import NAME, Bench, S, loop_of

DAY = 86400.0
START = 1_800_000_000.0


@dataclass
class Months:
    """A loop whose days pass: traffic with feedback, a drift report, ticks of the retrain sensor, and runs as the test says they end."""

    bench: Bench
    loop: LoopConfig
    monkeypatch: pytest.MonkeyPatch
    ends: Iterator[str] = field(default_factory=lambda: itertools.repeat("promoted"))
    day: int = 0
    new_since: int | None = None  # day from which a tenth of the requests are of a topic production does not know
    learnt: int | None = None  # day on which a version that knows the topic came into production
    runs: list[tuple[int, str]] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    cursor: str | None = None

    def __post_init__(self) -> None:
        self.sensor = retrain.build(self.loop)

    def pass_days(self, days: int, requests: int = 0, feedback: float = 0.0, spam: int = 0) -> None:
        """Each day has so many requests, of which the share `feedback` is corrected, and so many equal corrections by one user."""
        for _ in range(days):
            now = START + self.day * DAY
            with ExitStack() as clock:
                clock.enter_context(freeze_time(datetime.fromtimestamp(now, UTC)))
                self.monkeypatch.setattr(retrain, "time", SimpleNamespace(time=lambda now=now: now))
                self.corrected(round(requests * feedback), now)
                self.corrected(spam, now, user="spammer", prompt="switch it off")
                unknown = self.new_since is not None and self.day >= self.new_since and self.learnt is None
                self.bench.reports("ALARM" if unknown else "QUIET", production=self.bench.serving.now.production or "")
                for _ in range(2):
                    self.tick(now)
            self.day += 1

    def corrected(self, count: int, at: float, **changes: Any) -> None:
        rows = []
        for _ in range(count):
            name = uuid.UUID(int=self.rng.getrandbits(128)).hex
            prompt = changes.get("prompt", f"switch lamp {name} off, please")
            rows.append(
                Exchange(
                    id=name, loop=NAME, version="v", user=changes.get("user", f"user {name}"), prompt=prompt,
                    messages=json.dumps([{"role": "user", "content": prompt}]), answer='{"intent": "On"}', status=200, at=at,
                    latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
                )
            )  # fmt: skip
        self.bench.traffic.arrives = at
        self.bench.traffic.append(rows)
        for row in rows:
            self.bench.traffic.add_feedback(Feedback(row.id, at, "down", '{"intent": "Off"}'))
        self.bench.traffic.arrives = None

    def tick(self, now: float) -> None:
        result = self.bench.tick(self.sensor, self.cursor)
        if isinstance(result, dg.SkipReason):
            return
        self.cursor = result.cursor
        for request in result.run_requests or ():
            self.ran(request, now)

    def ran(self, request: dg.RunRequest, now: float) -> None:
        """A run that was requested, ended as the next of `ends` says: promoted, refused, failed or cancelled."""
        end = next(self.ends)
        self.runs.append((self.day, end))
        commit = self.bench.dataset(f"run{len(self.runs)}", until=now)
        tags = {TRIGGER: request.tags[TRIGGER]}
        if end == "refused":
            self.bench.refused(tags)
        else:
            status = {"promoted": S.SUCCESS, "cancelled": S.CANCELED, "failed": S.FAILURE}[end]
            self.bench.run(retrain_job_name(NAME), status, tags)
        if end == "promoted":
            self.bench.promote(f"run{len(self.runs)}", commit)
            self.learnt = self.day


@pytest.fixture
def months(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Months:
    monkeypatch.setattr("ftassets_tests.automation.conftest.time", SimpleNamespace(time=lambda: START, sleep=time.sleep))
    return Months(bench, loop_of(retrain_on={}), monkeypatch)


def told(months: Months) -> list[str]:
    return [("resolved " if alert.resolved else "") + alert.subject for alert in months.bench.told.alerts]


def test_at_600_requests_a_day_and_few_corrections_people_are_told_within_14_days_and_once(months: Months) -> None:
    months.new_since = 10
    months.pass_days(10 + 14, requests=600, feedback=0.02 * 0.4)
    assert (told(months), months.runs) == (["retrain-waits"], [])
    [alert] = months.bench.told.alerts
    assert "(5.3 labels a day; they expire after 30 days, so there are never more than 15" in alert.text
    assert "ftassets label export triage --out batch.jsonl --limit" in alert.text
    assert "raise dataset.production_window to 4" in alert.text
    months.pass_days(126, requests=600, feedback=0.02 * 0.4)
    assert told(months) == ["retrain-waits"], "not once more in four months"


def test_with_more_corrections_the_topic_is_learnt_and_the_notice_is_resolved(months: Months) -> None:
    months.new_since = 10
    months.pass_days(40, requests=600, feedback=0.02)
    assert told(months) == ["retrain-waits", "resolved retrain-waits"]
    assert [end for _, end in months.runs] == ["promoted"]
    assert months.learnt is not None
    assert 10 <= months.learnt <= 10 + 14


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_run_without_a_verdict_keeps_its_labels_and_is_tried_again_and_not_in_a_hot_loop(months: Months, end: str) -> None:
    months.ends = itertools.chain([end] * 4, itertools.repeat("promoted"))
    months.new_since = 20
    months.pass_days(20, requests=600, feedback=0.02)
    assert months.runs == []
    months.pass_days(15)  # nothing is corrected any more: only the labels of before can be used
    assert [each for _, each in months.runs] == [end] * 4 + ["promoted"]
    assert [day for day, _ in months.runs][1:] == sorted({day for day, _ in months.runs})[-4:], "at most one at a tick, then after a pause"
    assert months.learnt is not None
    assert months.learnt <= 28


def test_a_refusal_is_not_followed_by_the_same_training_week_after_week(months: Months) -> None:
    months.ends = itertools.repeat("refused")
    months.new_since = 20
    months.pass_days(20, requests=600, feedback=0.02)
    months.pass_days(90, requests=50, feedback=0.02)
    assert len(months.runs) <= 4
    assert months.runs[0] == (21, "refused")


def test_spam_starts_nothing(months: Months) -> None:
    months.new_since = 5
    months.loop = loop_of(retrain_on={"feedback": 100, "cooldown": "1d"})
    months.sensor = retrain.build(months.loop)
    months.pass_days(2, spam=200)
    months.pass_days(60, requests=100, feedback=0.01)
    assert months.runs == []
    assert "not counted: exact" in months.bench.told.alerts[0].text


def test_observe_plays_cooldown_budget_and_labels_through_as_auto_would(months: Months) -> None:
    months.loop = loop_of(mode="observe", retrain_on={"max_retrains": 2, "min_new_labels": 100})
    months.sensor = retrain.build(months.loop)
    months.new_since = 10
    months.pass_days(60, requests=600, feedback=0.02)
    ledger = read_shadow(control(months.bench.home), NAME)
    assert months.runs == []
    assert [round((each.at - START) / DAY) for each in ledger] == [11, 19], "with 12 labels a day, not each day again"
    assert [each.new_labels for each in ledger] == [144, 108]
    assert in_words(ledger, START + 60 * DAY).startswith("auto would have retrained 2 times, 2 of them in the last 91 days")
