"""`ftassets plan LOOP --monitors`: the volume of the log, and the table."""

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.control.journal import Journal
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.traffic_log.base import Exchange, Feedback
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.commands.plan_monitors import Volume, describe, reference_of, run, volume_of
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import LOOPS, read_loops
from ftassets.config.profiles import control
from ftassets.domain.rollout.endpoint import EndpointState

NOW, DAY, P = 1_800_000_000.0, 86_400.0, "a" * 64


@pytest.fixture(scope="module")
def loop() -> LoopConfig:
    return read_loops(LOOPS)["support_triage"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def log_of(home: Home, loop: LoopConfig, days: int, a_day: int) -> SqliteTrafficLog:
    """So many days with requests by as many users, half of them in the expected form, a fifth with feedback, of which half is good."""
    log = SqliteTrafficLog(home.traffic_db)
    for number in range(days * a_day):
        at, name = NOW - (number % days + 0.5) * DAY, uuid.uuid4().hex
        exchange = Exchange(
            id=name, loop=loop.name, version=P, user=f"user {number}", prompt="p", messages="[]", answer="{}", status=200, at=at,
            latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
        )  # fmt: skip
        log.append([exchange])
        if (number // days) % 5 == 0:
            log.add_feedback(Feedback(name, at, "up" if (number // days) % 10 else "down", None))
    return log


def test_volume_is_that_of_the_log_of_the_version_in_production(home: Home, loop: LoopConfig) -> None:
    log = log_of(home, loop, days=10, a_day=40)
    Journal(control(home)).record(loop.name, "start", "test", "why", EndpointState(production=P), NOW)
    found = volume_of(loop, log, control(home), NOW)
    assert found.requests == pytest.approx(40, rel=0.1)
    assert found.users["without_error"] == pytest.approx(40, rel=0.1)
    assert found.users["not_disliked"] == pytest.approx(8, rel=0.1)
    assert (found.levels["not_disliked"], found.levels["without_error"]) == (0.5, 1.0)
    assert {"not_disliked", "without_error"} <= set(found.measured)


def test_what_is_given_takes_the_place_of_the_log_and_what_is_assumed_is_named(home: Home, loop: LoopConfig) -> None:
    log = SqliteTrafficLog(home.traffic_db)
    assumed, given = (volume_of(loop, log, control(home), NOW, *each) for each in ((), (500.0, 0.1)))
    assert (assumed.requests, assumed.users["not_disliked"], assumed.measured) == (1000.0, 20.0, ())
    assert (given.requests, given.users["not_disliked"], given.users["without_error"]) == (500.0, 50.0, 500.0)
    assert reference_of(loop, GitDatasetStore(home.datasets), control(home)) is None


def test_each_monitor_has_a_line_with_false_alerts_and_days_in_seconds(loop: LoopConfig) -> None:
    began = time.process_time()
    plan = run(
        loop, Volume(600.0, {"not_disliked": 12.0, "without_error": 600.0}, {"not_disliked": 0.9, "without_error": 0.98}, (), 6 * 3600.0)
    )
    assert time.process_time() - began < 30
    assert json.loads(json.dumps(plan)) == plan
    names = ["not_disliked", "without_error", "golden floor", "golden regression", "drift alarm"]
    assert [each["monitor"] for each in plan["monitors"]] == names
    lines = describe(plan).splitlines()
    rows: dict[str, Any] = {name: next(line for line in lines if line.startswith(name)) for name in names}
    assert "not_disliked: a drop of less than 2.5% is not noticed, however long it lasts; feedback counts up to 6.0 h" in describe(plan)
    assert rows["without_error"].split()[1:3] == ["600", "users"]
    assert rows["drift alarm"].split()[-3:] == ["-", "-", "-"]
    assert "<=" in rows["golden floor"]
    assert "assumed of not_disliked, without_error: a level of 0.9" in lines[0]
