"""Cron expressions of five fields and time zones, checked where Dagster, which uses them, is not there."""

import re
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
_SHORT = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d{1,3}))?", re.ASCII)


def cron(expression: str) -> str:
    """The expression, which has to be one: minute, hour, day, month, weekday. Raises ValueError without the expression in it."""
    if expression in _SHORT:
        return expression
    parts = expression.lower().split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"a cron expression has five fields, not {len(parts)}: for example 0 6 * * * for 6:00 every day")
    values = [_values(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    if min(values[2]) > max(_LONGEST[month - 1] for month in values[3]):
        raise ValueError("the cron expression names a day that its months do not have")
    return expression


def ticks_a_day(expression: str) -> int:
    """How often a valid expression falls due on a day that it names, change of clocks aside."""
    if expression in _SHORT:
        return 24 if expression == "@hourly" else 1
    minutes, hours = (_values(part, *field) for part, field in zip(expression.lower().split()[:2], _FIELDS[:2], strict=True))
    return len(minutes) * len(hours)


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
