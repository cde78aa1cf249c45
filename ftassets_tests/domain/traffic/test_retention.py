import math

from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.traffic.retention import DAY, DayOfTraffic, cut, day_of

NOW = 100.5 * DAY
DAYS = st.dictionaries(st.integers(0, 101), st.tuples(st.integers(1, 50), st.integers(1, 1000)), max_size=12).map(
    lambda found: [DayOfTraffic(day, rows, float(size)) for day, (rows, size) in sorted(found.items())]
)


def days(*sizes: float) -> list[DayOfTraffic]:
    """One row a day up to today, of these sizes in bytes."""
    return [DayOfTraffic(101 - len(sizes) + n, 1, size) for n, size in enumerate(sizes)]


@given(
    found=DAYS,
    needed=st.floats(0, 100 * DAY),
    keep=st.none() | st.floats(DAY, 90 * DAY),
    most=st.none() | st.integers(1, 5000),
)
def test_what_is_left_is_within_the_limits_or_still_needed(
    found: list[DayOfTraffic], needed: float, keep: float | None, most: float | None
) -> None:
    made = cut(found, NOW, needed, keep, most)
    left = [day for day in found if day.begin >= made.before]
    assert made.before == -math.inf or made.before % DAY == 0, "days are deleted whole"
    for day in found:
        assert day.end <= made.before or day.begin >= made.before
    assert made.before <= needed, "nothing of the time that is needed is deleted"
    free = [day for day in found if day.end <= day_of(needed) * DAY]
    allowed = most is None or sum(day.bytes for day in left) <= most
    assert allowed or not any(day in left for day in free)
    assert keep is None or not any(day.end <= NOW - keep for day in left if day in free)
    if keep is not None and made.before > -math.inf and most is None:
        assert all(day.begin < NOW - keep for day in found if day not in left), "no day is deleted before its time"
    if most is not None and keep is None and (gone := [day for day in found if day not in left]):
        assert sum(day.bytes for day in [gone[-1], *left]) > most, "no day more than necessary"


def test_a_day_is_deleted_once_all_of_it_is_older() -> None:
    assert cut(days(1, 1, 1), NOW, NOW, 1.4 * DAY, None).before == 99 * DAY
    assert cut(days(1, 1, 1), NOW, NOW, 1.6 * DAY, None).before == 98 * DAY
    assert cut(days(1, 1, 1), NOW, NOW, 1.4 * DAY, None).reason == "older than traffic.keep"


def test_the_oldest_days_go_first_when_there_is_too_much() -> None:
    assert cut(days(5, 5, 5), NOW, NOW, None, 10).before == 99 * DAY
    assert cut(days(5, 5, 5), NOW, NOW, None, 15).before == -math.inf
    found = cut(days(5, 5, 500), NOW, NOW, None, 10)
    assert (found.before, found.reason) == (100 * DAY, "above traffic.max_gb, up to what reports and a running rollout still read")
    assert cut(days(5, 5, 5), NOW, 98.2 * DAY, None, 1).before == 98 * DAY
    assert cut(days(5, 5, 5), NOW, NOW, 1.4 * DAY, 14).reason == "older than traffic.keep"


def test_without_a_limit_nothing_is_deleted() -> None:
    assert cut(days(5, 5, 5), NOW, NOW, None, None).before == -math.inf
    assert cut([], NOW, NOW, DAY, 1).before == 99 * DAY


def test_what_is_older_than_1970_counts_as_its_first_day() -> None:
    assert (day_of(-5 * DAY), day_of(0), day_of(DAY - 1e-3), day_of(DAY)) == (0, 0, 0, 1)
    assert (DayOfTraffic(0, 1, 1).begin, DayOfTraffic(0, 1, 1).end, DayOfTraffic(2, 1, 1).begin) == (-math.inf, DAY, 2 * DAY)
