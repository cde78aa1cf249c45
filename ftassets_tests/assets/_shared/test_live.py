from datetime import timedelta
from pathlib import Path

import pytest

from ftassets.assets._shared import live
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.loop import Monitors
from ftassets.domain.traffic.exchange import Exchange
from ftassets.testing.releases import loop_config


def exchange(number: int, at: float, version: str = "v") -> Exchange:
    return Exchange(f"{number:04}", "support", version, "u", "p", "[]", "{}", 200, at, 1.0, None, None, None, 1.0)


@pytest.mark.parametrize("moments", [1, 3, 50])
def test_pages_hold_every_answer_once_even_when_many_have_the_same_time(
    tmp_path: Path, moments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PAGE", 4)
    log = SqliteTrafficLog(tmp_path / "traffic.db")
    log.append([exchange(number, float(number * moments // 50), "v" if number % 3 else "other") for number in range(50)])
    found = [e.id for e in live.answers_of(log, "support", "v", 0.0, 1e9)]
    assert sorted(found) == [f"{number:04}" for number in range(50) if number % 3]
    assert [e.at for e in live.answers_of(log, "support", "v", 0.0, 1e9)] == sorted(float(int(i) * moments // 50) for i in found)
    assert {e.at for e in live.answers_of(log, "support", "v", 10.0, 20.0)} <= set(range(10, 20))


@pytest.mark.parametrize(("cron", "hours"), [("0 7 * * *", 24), ("0 * * * *", 1), ("0 7 * * 1", 168), ("0 9 * * 1-5", 24)])
def test_freshness_allows_one_missing_look_of_the_schedule_and_no_more(cron: str, hours: int) -> None:
    loop = loop_config().model_copy(update={"monitors": Monitors(every=cron)})
    policy = live.freshness(loop)
    assert policy.deadline_cron == cron  # type: ignore[attr-defined]
    assert policy.lower_bound_delta == timedelta(hours=hours)  # type: ignore[attr-defined]
