import json
import time
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.journal import Journal
from ftassets.backends.control.served import count_served
from ftassets.backends.control.spending import budget_now, spending
from ftassets.backends.control.usage import close, write_at_work
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.domain.release.attestation import statement
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.spending.cycles import Outcome
from ftassets.domain.spending.served import ALL, ServedMinute
from ftassets.domain.spending.usage import Usage
from ftassets.errors import StateDamaged
from ftassets.testing.contracts.traffic_log import exchange
from ftassets_tests.domain.spending.conftest import entry, loop_with

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC).timestamp()
DAY = 86400.0
PRICES = {
    "usd_per_cpu_hour": 3.6, "usd_per_gpu_hour": 36.0, "usd_per_replica_hour": 0.5, "api_usd_per_million_tokens_in": 100_000,
    "api_usd_per_million_tokens_out": 400_000,
}  # fmt: skip


class Clock:
    """The clock of a traffic log."""

    at = NOW

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def control(tmp_path: Path) -> FilesControl:
    return FilesControl(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> SqliteTrafficLog:
    return SqliteTrafficLog(tmp_path / "traffic.db", clock=clock)


def answer(log: SqliteTrafficLog, clock: Clock, number: int, at: float, version: str = "v1", **known: object) -> None:
    clock.at = at
    log.append([replace(exchange(number, loop="support", at=at - 1, version=version), latency_ms=1000.0, **known)])  # type: ignore[arg-type]


def test_only_what_is_new_is_read_and_each_row_counts_once(
    control: FilesControl, log: SqliteTrafficLog, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []
    read = log.served

    def noted(loop: str, since: float, until: float) -> list[ServedMinute]:
        asked.append((since, until))
        return read(loop, since, until)

    monkeypatch.setattr(log, "served", noted)
    assert count_served(control, log, "support", NOW).days == {}
    for number in range(5):
        answer(log, clock, number, NOW - 3 * DAY + number * 3600)
    assert count_served(control, log, "support", NOW).since(0)[ALL].answers == 5
    assert len(asked) == 3  # a query for each day
    asked.clear()
    answer(log, clock, 6, NOW + 30)
    found = count_served(control, log, "support", NOW + 60)
    assert (found.since(0)[ALL].answers, found.until) == (5, NOW - 60)  # its minute may not be over
    found = count_served(control, log, "support", NOW + 300)
    assert (found.since(0)[ALL].answers, found.since(0)["v1"].tokens_out) == (6, 54)
    assert all(since > NOW - 3 * DAY + 4 * 3600 - 1 for since, _ in asked)
    assert count_served(control, log, "support", NOW + 300) == found


def test_a_clock_that_was_ahead_leaves_no_row_out(control: FilesControl, log: SqliteTrafficLog, clock: Clock) -> None:
    answer(log, clock, 1, NOW - 600)
    count_served(control, log, "support", NOW + 10 * DAY)
    answer(log, clock, 2, NOW)
    assert count_served(control, log, "support", NOW + 600).since(0)[ALL].answers == 2


def test_damaged_sums_are_not_begun_anew_by_themselves(control: FilesControl, log: SqliteTrafficLog) -> None:
    control.write("usage/support/served.json", b"{")
    with pytest.raises(StateDamaged, match=r"served\.json cannot be read .*restore it, or remove it"):
        count_served(control, log, "support", NOW)


def test_a_loop_s_cost_is_what_one_adds_up_by_hand(control: FilesControl, log: SqliteTrafficLog, clock: Clock) -> None:
    loop = loop_with(prices=PRICES, budget={"usd_per_month": 100}, timezone="UTC")
    for each in (
        entry("before", "adapter", NOW - 400 * DAY, 1e6),
        entry("first", "adapter", NOW - 30 * DAY, 3000.0, made="v1"),
        entry("first", "release", NOW - 30 * DAY + 9, 10.0, made="v1"),
        entry("no", "adapter", NOW - 10 * DAY, made="v2", usage=Usage(cpu_seconds=1000, gpu_seconds=500, tokens_trained=70)),
        entry("no", "promotion_gates", NOW - 10 * DAY + 9, 0.0, "refused"),
        entry("watch", "drift_report", NOW - 2 * DAY, 200.0),
    ):
        close(control, each)
    write_at_work(control, entry("killed", "adapter", NOW - 5 * DAY, 700.0, None))
    journal = Journal(control)
    journal.record("support", "start", "run:first", "first", EndpointState(production="v1"), NOW - 20 * DAY)
    journal.record("other", "start", "run:x", "first", EndpointState(production="x"), NOW - 20 * DAY)
    for number in range(40):
        answer(log, clock, number, NOW - 4 * DAY + number)
    answer(log, clock, 50, NOW - 3 * DAY, status=502, tokens_in=None, tokens_out=None)
    found = spending(control, log, loop, NOW)

    assert found.runs.usage.cpu_seconds == 3000 + 10 + 1000 + 700 + 200
    assert found.runs.usd == pytest.approx((4910 * 3.6 + 500 * 36) / 3600)
    assert found.making.usd == pytest.approx((4710 * 3.6 + 500 * 36) / 3600)
    assert [(each.run_id, each.outcome, each.version) for each in found.cycles] == [
        ("first", Outcome.PROMOTED, "v1"), ("no", Outcome.REFUSED, "v2"), ("killed", Outcome.DIED, None)
    ]  # fmt: skip
    assert (found.promoted, found.per_promoted and found.per_promoted.usd) == (("v1",), found.making.usd)
    assert [(each.month, each.promoted) for each in found.months] == [("2026-04", 1), ("2026-05", 0)]
    assert sum(each.making.usd + each.watching.usd for each in found.months) == pytest.approx(found.runs.usd)  # type: ignore[operator]
    assert sum(each.usd for each in found.nodes.values()) == pytest.approx(found.runs.usd)  # type: ignore[type-var]
    assert found.balance
    assert found.balance.spent == pytest.approx((1900 * 3.6 + 500 * 36) / 3600)

    [version] = found.versions
    assert (version.served.answers, version.served.failed, version.served.tokens_out) == (40, 1, 360)
    assert version.served.engine_seconds == 41
    assert version.server_hours == pytest.approx(20 * 24)
    assert version.usd == pytest.approx(240)
    assert version.usd_per_answer == pytest.approx(6)

    against = found.against_api
    assert against
    days = 4.5 - 120 / DAY  # since the first day with traffic began
    assert against.api_a_day == pytest.approx((280 * 0.1 + 360 * 0.4) / days, rel=1e-3)
    assert against.own_a_day == pytest.approx(12 + found.runs.usd / 30)  # type: ignore[operator]
    assert against.replicas == 1
    more = spending(control, log, loop, NOW, tokens_per_day=100 * 360 / days).against_api
    assert more
    assert more.api_a_day == pytest.approx(100 * against.api_a_day)
    assert more.replicas == 100


def test_what_was_adopted_is_served_and_was_not_promoted(control: FilesControl, log: SqliteTrafficLog) -> None:
    close(control, entry("first", "adapter", NOW - 5 * DAY, 3000.0, made="v1"))
    journal = Journal(control)
    for version, at, predicate in (("v0", NOW - 9 * DAY, {"adopted": True}), ("v1", NOW - 4 * DAY, {"report_digest": "a"})):
        payload = b64encode(statement("support", version, {}, predicate)).decode()
        control.write(f"releases/support/{version}.dsse.json", json.dumps({"payload": payload}).encode())
        journal.record("support", "start", "run:first", "first", EndpointState(production=version), at)
    found = spending(control, log, loop_with(prices=PRICES, timezone="UTC"), NOW)
    assert found.promoted == ("v1",)
    assert found.per_promoted
    assert (found.per_promoted.models, found.per_promoted.usd) == (1, pytest.approx(3.0))
    assert sum(each.promoted for each in found.months) == 1
    assert {each.version for each in found.versions} == {"v0", "v1"}


@pytest.mark.parametrize(("now", "days"), [(NOW, 40), (NOW + 11 * 3600, 40), (NOW + 11 * 3600, 3)])
def test_a_steady_load_is_the_same_a_day_at_each_hour(
    control: FilesControl, log: SqliteTrafficLog, clock: Clock, now: float, days: int
) -> None:
    Journal(control).record("support", "start", "run:first", "first", EndpointState(production="v1"), now - days * DAY)
    for number in range(24 * days):  # one an hour, of 9 answer tokens
        answer(log, clock, number, now - days * DAY + number * 3600 + 60)
    found = spending(control, log, loop_with(prices=PRICES, timezone="UTC"), now).against_api
    assert found
    assert found.api_a_day == pytest.approx(24 * (7 * 0.1 + 9 * 0.4), rel=0.01)


def test_half_an_hour_across_midnight_is_not_a_day_of_traffic(control: FilesControl, log: SqliteTrafficLog, clock: Clock) -> None:
    midnight = NOW - 12 * 3600
    Journal(control).record("support", "start", "run:first", "first", EndpointState(production="v1"), midnight - 900)
    for number in range(30):
        answer(log, clock, number, midnight - 900 + 60 * number)
    found = spending(control, log, loop_with(prices=PRICES, timezone="UTC"), midnight + 1200)
    assert found.not_compared == "the traffic log has less than a day of answers whose tokens are known"


def test_what_is_missing_for_a_comparison_is_said(control: FilesControl, log: SqliteTrafficLog) -> None:
    found = spending(control, log, loop_with(prices={}, budget=None), NOW, months=1)
    assert found.not_compared == "prices has no usd_per_replica_hour, api_usd_per_million_tokens_in, api_usd_per_million_tokens_out"
    assert (found.runs.usd, found.per_promoted, found.balance) == (0.0, None, None)
    reference = {"url": "https://api.example.com/v1", "model": "m", "usd_per_million_in": 1, "usd_per_million_out": 2}
    loop = loop_with(prices={"usd_per_replica_hour": 1, "usd_per_cpu_hour": 1}, budget=None, reference_model=reference)
    assert spending(control, log, loop, NOW).not_compared == "the traffic log has less than a day of answers whose tokens are known"


def test_a_run_that_began_is_not_stopped_by_the_budget(control: FilesControl) -> None:
    loop = loop_with(budget={"usd_per_month": 1})
    close(control, entry("mine", "golden_set", time.time(), 2000.0))
    balance = budget_now(control, loop, ("adapter",), time.time(), "mine")
    assert balance
    assert balance.why
    close(control, entry("mine", "curated_dataset", time.time(), 10.0, "over_budget"))
    assert budget_now(control, loop, ("adapter",), time.time(), "mine")  # it was refused at its first node
    close(control, entry("mine", "curated_dataset", time.time(), 10.0))
    assert budget_now(control, loop, ("adapter",), time.time(), "mine") is None
    assert budget_now(control, loop, ("adapter",), time.time(), "other")
