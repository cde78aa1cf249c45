"""Our check of a cron expression against Dagster's, which runs it."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from dagster._utils.schedules import cron_string_iterator, get_next_cron_tick, is_valid_cron_string
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.config.cron import cron, longest_pause, ticks_a_day, timezone

VALUES = st.sampled_from(["*", "0", "1", "5", "7", "12", "13", "24", "29", "30", "31", "59", "60", "mon", "jan", "sunday", "l", "5#2", ""])
PARTS = st.builds(
    "{}{}{}".format, VALUES, st.just("") | VALUES.map("-{}".format), st.sampled_from(["", "", "/0", "/2", "/15", "/90"])
) | st.just("*")  # fmt: skip


@settings(max_examples=500)
@given(st.lists(st.lists(PARTS, min_size=1, max_size=2).map(",".join), min_size=4, max_size=6).map(" ".join))
def test_what_we_take_dagster_takes_and_can_run(expression: str) -> None:
    try:
        cron(expression)
    except ValueError:
        return
    assert is_valid_cron_string(expression)
    assert get_next_cron_tick(expression, datetime(2026, 1, 1, tzinfo=UTC), "UTC")


@pytest.mark.parametrize(
    "expression",
    [
        "0 6 * * *",
        "*/15 * * * *",
        "0 4 * * 1",
        "0 22-2 * * mon-fri",
        "5,35 0/2 1 jan,JUL *",
        "@daily",
        "0 0 L * *",
        "0 0 * * 5#2",
        "0 0 29 2 *",
    ],
)
def test_usual_expressions_are_taken(expression: str) -> None:
    assert cron(expression) == expression
    assert is_valid_cron_string(expression)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nonsense", "a cron expression has five fields, not 1: for example 0 6 * * * for 6:00 every day"),
        ("60 * * * *", "the minute of the cron expression must be *, or of 0 to 59: a value, 1-5, 1,3 or */2"),
        ("0 0 * * funday", "the day of the week of the cron expression must be *, or of 0 to 7 or sun to sat: a value, 1-5, 1,3 or */2"),
        ("0 0 * */0 *", "the month of the cron expression must be *, or of 1 to 12 or jan to dec: a value, 1-5, 1,3 or */2"),
        ("0 0 31 4 *", "the cron expression names a day that its months do not have"),
    ],
)
def test_what_is_wrong_is_named_without_the_expression(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cron(expression)


@pytest.mark.parametrize(
    ("expression", "ticks"),
    [("0 6 * * *", 1), ("0,30 9-17 * * *", 18), ("@hourly", 24), ("@weekly", 1 / 7), ("0 0 l * *", 1), ("0 0 29 2 *", 1 / 1461)],
)
def test_ticks_of_a_day(expression: str, ticks: float) -> None:
    assert ticks_a_day(expression) == pytest.approx(ticks, rel=0.005)


@pytest.mark.parametrize("expression", ["0 8-18/5 * * 1-5", "0 6 1,15 * *", "0 6 13 * fri", "5 4 * jan,jul *", "@monthly"])
def test_ticks_of_a_day_are_those_that_dagster_makes(expression: str) -> None:
    at, end, found = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), list[datetime]()
    while (at := get_next_cron_tick(expression, at, "UTC")) < end:
        found.append(at)
        at += timedelta(seconds=1)
    assert ticks_a_day(expression) == pytest.approx(len(found) / 730, rel=0.02)
    pauses = [later - earlier for earlier, later in pairwise(found)]
    assert longest_pause(expression) in (max(pauses).total_seconds(), max(pauses).total_seconds() + 86_400), "or a leap day longer"


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_time_zone_of_the_database_is_taken(name: str) -> None:
    assert timezone(name) == name


@pytest.mark.parametrize("name", ["", "Berlin", "Europe", "europe/nowhere", "+02:00", "../UTC", "/etc/localtime", "Europe/Berlin\0", "MEZ"])
def test_any_other_name_is_no_time_zone(name: str) -> None:
    with pytest.raises(ValueError, match="this is not a time zone: write a name of the IANA database, for example Europe/Berlin or UTC"):
        timezone(name)


@pytest.mark.parametrize(
    ("expression", "hours"),
    [("* * * * *", 1 / 60), ("0 7 * * *", 24), ("*/30 8-18 * * *", 13.5), ("0 6 * * 1-5", 72), ("0 0 * * 0", 168), ("0 0 1 * *", 31 * 24)],
)
def test_the_longest_pause_of_a_schedule(expression: str, hours: float) -> None:
    assert longest_pause(expression) == pytest.approx(hours * 3600)


@given(st.sampled_from(["0", "3,50"]), st.sampled_from(["*", "*/5", "4-9"]), st.sampled_from(["*", "1-5", "0"]))
@settings(max_examples=15, deadline=None)
def test_the_longest_pause_is_the_one_between_dagster_s_own_ticks(minute: str, hour: str, weekday: str) -> None:
    expression = f"{minute} {hour} * * {weekday}"
    ticks = cron_string_iterator(1_700_000_000.0, expression, "UTC")
    first, longest = next(ticks), 0.0
    before = first
    while (before - first).days < 16 and longest <= 8 * 86400:
        after = next(ticks)
        longest, before = max(longest, (after - before).total_seconds()), after
    assert longest_pause(expression) == longest
