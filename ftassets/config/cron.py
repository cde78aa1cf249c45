"""Cron expressions of five fields and time zones, checked where Dagster, which uses them, is not there."""

import re
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_SPECIAL = {"day of the month": "l", "day of the week": rf"l[0-7]|([0-7]|{'|'.join(_DAYS)})#[1-5]"}  # the last, or the Nth of the month
_WRITTEN_OUT = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_FIRST, _DAYS_COUNTED = date(2025, 1, 1), 1461  # four years
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d{1,3}))?", re.ASCII)


def cron(expression: str) -> str:
    """The expression, which has to be one: minute, hour, day, month, weekday. Raises ValueError without the expression in it."""
    if expression in _WRITTEN_OUT:
        return expression
    parts = expression.lower().split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"a cron expression has five fields, not {len(parts)}: for example 0 6 * * * for 6:00 every day")
    values = [_values(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    if min(values[2]) > max(_LONGEST[month - 1] for month in values[3]):
        raise ValueError("the cron expression names a day that its months do not have")
    return expression


@lru_cache
def ticks_a_day(expression: str) -> float:
    """How often a valid expression falls due on an average day, change of clocks aside.

    Of the last day of a month and the Nth weekday, which few expressions name, every day is counted.
    """
    minutes, days = _due(expression)
    return len(minutes) * len(days) / _DAYS_COUNTED


@lru_cache
def longest_pause(expression: str) -> float:
    """Seconds between two times at which a valid expression falls due, at most: at weekdays only three days. As `ticks_a_day`."""
    minutes, days = _due(expression)
    overnight = [1440 * (later - day) + minutes[0] - minutes[-1] for day, later in pairwise([*days, days[0] + _DAYS_COUNTED])]
    return 60.0 * max(overnight + [later - minute for minute, later in pairwise(minutes)])


def _due(expression: str) -> tuple[list[int], list[int]]:
    """Minutes of a day, and days of the `_DAYS_COUNTED`, at which an expression falls due."""
    parts = _WRITTEN_OUT.get(expression, expression).lower().split()
    minutes, hours, days, months, weekdays = (_values(part, *field) for part, field in zip(parts, _FIELDS, strict=True))
    weekdays = {day % 7 for day in weekdays}  # Sunday is 0 and 7
    any_day, any_weekday = parts[2].startswith("*"), parts[4].startswith("*")

    def due(day: date) -> bool:
        in_month, in_week = day.day in days, day.isoweekday() % 7 in weekdays
        both = in_month and in_week if any_day or any_weekday else in_month or in_week
        return day.month in months and both

    of_day = sorted(60 * hour + minute for hour in hours for minute in minutes)
    return of_day, [each for each in range(_DAYS_COUNTED) if due(_FIRST + timedelta(days=each))]


def _values(text: str, name: str, lowest: int, highest: int, names: dict[str, int]) -> set[int]:
    """The values that one field stands for."""
    if re.fullmatch(_SPECIAL.get(name, "(?!)"), text):
        return set(range(lowest, highest + 1))
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        first, last, step = match.groups() if match else ("?", None, None)
        start = lowest if first is None else _number(first, names)
        end = highest if first is None or (step and last is None) else _number(last or first, names)
        if not (lowest <= start <= highest and lowest <= end <= highest) or step is not None and not 1 <= int(step) <= highest:
            listed = f" or {min(names, key=names.__getitem__)} to {max(names, key=names.__getitem__)}" if names else ""
            raise ValueError(f"the {name} of the cron expression must be *, or of {lowest} to {highest}{listed}: a value, 1-5, 1,3 or */2")
        found.update(range(start, end + 1, int(step or 1)) if start <= end else [*range(start, highest + 1), *range(lowest, end + 1)])
    return found


def _number(text: str, names: dict[str, int]) -> int:
    return int(text) if text.isdecimal() else names.get(text, -1)


def timezone(name: str) -> str:
    """The name, which has to be one of the IANA time zone database. Raises ValueError."""
    if name == "UTC":  # also where no database is installed
        return name
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # no zone, a path, or a folder of zones
        raise ValueError("this is not a time zone: write a name of the IANA database, for example Europe/Berlin or UTC") from None
    return name


TimeZone = Annotated[str, AfterValidator(timezone)]
Cron = Annotated[str, AfterValidator(cron)]
