"""Alarms in a row: windows that overlap, reports made twice, and gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.drift import DriftVerdict
from ftassets.domain.drift.alarms import MOST, WindowVerdict, alarms_in_a_row

ALARM, QUIET, NO_DATA = DriftVerdict.ALARM, DriftVerdict.QUIET, DriftVerdict.NOT_ENOUGH_DATA
GAP = 7


def reports(length: int, *verdicts: tuple[float, DriftVerdict]) -> list[WindowVerdict]:
    """Newest first, of windows of so many days that end then."""
    return [WindowVerdict(end - length, end, verdict) for end, verdict in reversed(verdicts)]


@pytest.mark.parametrize(
    ("length", "verdicts", "count"),
    [
        (1, [(1, ALARM), (2, ALARM), (3, ALARM)], 3),
        (1, [(1, ALARM), (2, QUIET), (3, ALARM)], 1),
        (1, [(1, ALARM), (2, NO_DATA), (3, ALARM)], 2),
        (1, [(2, ALARM), (2, ALARM), (2, ALARM)], 1),  # the same report three times
        (7, [(day, ALARM) for day in range(7, 14)], 1),  # one bad day in seven windows
        (7, [(day, ALARM) for day in range(7, 15)], 2),
        (1, [(1, ALARM), (9, ALARM)], 2),  # seven days between them
        (1, [(1, ALARM), (9.1, ALARM)], 1),
        (1, [(1, ALARM), (5, NO_DATA), (9.1, ALARM)], 1),
        (1, [(number / 24, ALARM) for number in range(24, 49)], 2),  # a day's window each hour
        (1, [(1, ALARM), (2, ALARM), (9, NO_DATA)], 2),  # seven days without data since the last
        (1, [(1, ALARM), (2, ALARM), (9.1, NO_DATA)], 0),
        (1, [(day, ALARM) for day in range(100)], MOST),
        (1, [], 0),
        (1, [(1, NO_DATA)], 0),
    ],
)
def test_alarms_of_disjoint_windows_count(length: int, verdicts: list[tuple[float, DriftVerdict]], count: int) -> None:
    assert alarms_in_a_row(reports(length, *verdicts), GAP) == count


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(DriftVerdict)), max_size=30), st.integers(1, 5))
def test_a_report_that_is_made_twice_counts_once(verdicts: list[tuple[int, DriftVerdict]], length: int) -> None:
    ordered = sorted({end: verdict for end, verdict in verdicts}.items())
    twice = [each for each in ordered for _ in range(2)]
    assert alarms_in_a_row(reports(length, *twice), GAP) == alarms_in_a_row(reports(length, *ordered), GAP)


def test_no_more_reports_are_read_than_decide() -> None:
    def endless():  # type: ignore[no-untyped-def]
        yield from reports(1, (1, QUIET), (2, ALARM))
        raise AssertionError("read on")

    assert alarms_in_a_row(endless(), GAP) == 1


@pytest.mark.parametrize("verdict", [ALARM, NO_DATA])
def test_of_a_year_of_hourly_reports_no_more_are_read_than_a_month_has(verdict: DriftVerdict) -> None:
    read = 0

    def year():  # type: ignore[no-untyped-def]
        nonlocal read
        for hour in range(365 * 24, 0, -1):
            read += 1
            yield WindowVerdict(hour / 24 - 1, hour / 24, verdict)

    assert alarms_in_a_row(year(), GAP) == (MOST if verdict is ALARM else 0)
    assert read <= MOST * 24 + 1
