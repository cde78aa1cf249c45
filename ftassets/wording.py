"""Numbers, durations and times in sentences."""

from datetime import UTC, datetime


def amount(number: int, one: str, many: str | None = None) -> str:
    """The number with its noun: 1 row, 2 rows, 1,000 queries. The noun may bring its verb; `many` defaults to `one` with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def span(seconds: float) -> str:
    """A duration in the unit a person would use."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def iso(at: float) -> str:
    """A time in epoch seconds as documents of others have it (RFC 3339), in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%FT%TZ")


def utc(at: float) -> str:
    """A time in epoch seconds as people read it; any number, for a file may be signed with one."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%F %T UTC")
    except (OverflowError, ValueError):
        return f"{at} seconds after 1970"
