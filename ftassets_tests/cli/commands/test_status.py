"""What `status` prints of a monitor: its verdict, and what it compares with or waits for; and of a candidate in shadow."""

import json
from pathlib import Path

from ftassets.cli.commands.status import _copies, lines_of
from ftassets.config.home import Home
from ftassets.config.profiles import traffic_log
from ftassets.domain.health.health import Health, Monitor
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.testing.contracts.traffic_log import exchange, shadow_answer
from ftassets.testing.releases import loop_config

NOW, DAY, P = 1_800_000_000.0, 86_400.0, "a" * 64
NOTE = "no drift can be seen since 2027-01-14 08:00, until about 2027-01-21 08:00"


def lines(version: str) -> list[str]:
    monitor = Monitor(
        name="drift_report", at=NOW - DAY, verdict="NOT ENOUGH DATA", version=version, unmeasured_since=NOW - 2 * DAY, note=NOTE
    )
    health = Health(at=NOW, mode="auto", production=P, monitors=(monitor,))
    return [line for line, _ in lines_of(health.model_dump(mode="json"), {}, "UTC")]


def test_what_a_monitor_compares_with_stands_below_it() -> None:
    found = lines(P)
    place = next(place for place, line in enumerate(found) if "NOT ENOUGH DATA" in line)
    assert "without data since 2027-01-13" in found[place]
    assert found[place + 1] == f"  {NOTE}"


def test_what_was_said_of_another_version_is_not_said_of_this_one() -> None:
    assert not [line for line in lines("b" * 64) if NOTE in line]


def test_a_candidate_in_shadow_is_told_with_its_pairs(tmp_path: Path) -> None:
    home, loop = Home(tmp_path), loop_config("voice", rollout={"shadow": {"min_requests": 9}})
    state = EndpointState(production="v1", candidate="v2", since=1.0, lease_until=1e9)
    log = traffic_log(home)
    log.append([exchange(n) for n in range(2, 6)])
    log.append_shadow([shadow_answer(n, agrees=n != 3) for n in range(2, 6)])
    found, [said] = _copies(home, loop, state, 7201.0)
    assert said.startswith("in shadow for 2.0 h: HOLD: 4 good answers to 4 copies in shadow, 9 are needed; the phase may last 46.0 h more")
    assert "3 of 4 pairs agree, 75.0%" in said
    assert "no feedback" in said
    assert json.loads(json.dumps(found))["counts"]["copies"] == 4
    assert _copies(home, loop, EndpointState(production="v1"), 7201.0) == (None, [])
