"""What `status` prints of a monitor: its verdict, and what it compares with or waits for."""

from ftassets.cli.commands.status import lines_of
from ftassets.domain.health.health import Health, Monitor

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
