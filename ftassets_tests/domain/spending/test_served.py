from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.spending.served import ALL, KEPT, MINUTE, Served, ServedDay, ServedMinute
from ftassets.domain.traffic.retention import DAY

FIRST = 20_000 * DAY


def minute(number: int, version: str = "a", answers: int = 1, tokens: int = 10) -> ServedMinute:
    return ServedMinute(version, int(FIRST / MINUTE) + number, answers, 1, 0, 2 * tokens, tokens, 1500.0)


def test_days_are_added_up_and_the_busiest_minute_is_that_of_all_versions_together() -> None:
    found = Served().with_minutes([minute(0), minute(0, "b", tokens=15), minute(1, tokens=20), minute(1440)], FIRST + 2 * DAY)
    assert sorted(found.days) == [FIRST, FIRST + DAY]
    assert found.days[int(FIRST)]["a"] == ServedDay(
        answers=2, failed=2, tokens_in=60, tokens_out=30, engine_seconds=3.0, busy_minutes=2, peak_tokens=20
    )
    everything = found.days[int(FIRST)][ALL]
    assert (everything.answers, everything.tokens_out, everything.busy_minutes, everything.peak_tokens) == (3, 45, 2, 25)
    assert found.since(FIRST + DAY)[ALL].tokens_out == 10
    assert found.since(FIRST)[ALL].tokens_out == 55


def test_old_days_are_left_out() -> None:
    found = Served().with_minutes([minute(0)], FIRST + DAY)
    assert found.with_minutes([], FIRST + KEPT).days == found.days
    assert found.with_minutes([], FIRST + KEPT + 1).days == {}


_minutes = st.lists(st.builds(minute, st.integers(0, 3000), st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 50)), max_size=20)


@given(_minutes, st.integers(0, 3001))
def test_counted_in_two_steps_it_is_as_counted_in_one(minutes: list[ServedMinute], middle: int) -> None:
    unique = list({(each.minute, each.version): each for each in minutes}.values())
    cut = FIRST / MINUTE + middle
    end = FIRST + 3 * DAY
    parts = Served().with_minutes([each for each in unique if each.minute < cut], cut * MINUTE)
    parts = parts.with_minutes([each for each in unique if each.minute >= cut], end)
    assert parts == Served().with_minutes(unique, end)
    assert Served.parse(parts.document()) == parts
