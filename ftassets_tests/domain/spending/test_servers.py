import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ftassets.domain.spending.served import ALL, ServedDay
from ftassets.domain.spending.servers import Demand, Tariff, compare, hints, hours_up, replicas_needed

HOUR = 3600.0


def test_hours_of_servers_are_those_between_the_changes_within_the_time() -> None:
    changes = [(0.0, {"a"}), (4 * HOUR, {"a", "b"}), (5 * HOUR, {"b"}), (6 * HOUR, set())]
    assert hours_up(changes, 0.0, 8 * HOUR) == {"a": 5.0, "b": 2.0}
    assert hours_up(changes, 3 * HOUR, 4.5 * HOUR) == {"a": 1.5, "b": 0.5}
    assert hours_up(changes, 7 * HOUR, 8 * HOUR) == {}
    assert hours_up([(0.0, {"a"})], 10 * HOUR, 12 * HOUR) == {"a": 2.0}  # it began before, and still runs
    assert hours_up([], 0.0, HOUR) == {}


def test_the_examples_of_the_page() -> None:
    """7 billion tokens at 0.00003 USD a thousand are 210 USD; 2 billion answer tokens a day need 20 servers of 1,200 a second."""
    at_an_even_rate = Demand(tokens_in=5e9, tokens_out=2e9, peak_per_second=2e9 / 86400)
    found = compare(at_an_even_rate, 1200.0, Tariff(replica_hour=1.0, api_in=0.03, api_out=0.03, runs_a_day=0.0), invested=0.0)
    assert found.api_a_day == pytest.approx(210)
    assert found.replicas == 20
    assert "23,148.1 answer tokens a second at the peak / 1,200.0 of one server = 19.29: 20 servers" in found.calculation
    assert [replicas_needed(load, 100.0) for load in (0.0, 100.0, 100.1)] == [1, 1, 2]


def test_a_comparison_added_up_by_hand() -> None:
    demand = Demand(tokens_in=40e6, tokens_out=20e6, peak_per_second=1000.0)
    found = compare(demand, 600.0, Tariff(replica_hour=1.0, api_in=1.0, api_out=4.0, runs_a_day=2.0), invested=350.0)
    assert found.replicas == 2  # 1000 / 600
    assert found.own_a_day == 2 * 24 + 2
    assert found.api_a_day == 40 + 80
    assert found.saved_a_day == 70
    assert found.break_even_days == 5
    # one server writes 600 / 1000 of the day's 20e6; an answer token costs 120 / 20e6 by the API; (24 + 2) / 6e-6
    assert found.break_even_tokens == pytest.approx(26 / 6e-6)
    assert found.calculation == (
        "1,000.0 answer tokens a second at the peak / 600.0 of one server = 1.67: 2 servers",
        "own: 2 x 24 h x 1.00 USD + runs 2.00 USD = 50.00 USD a day",
        "API: 40,000,000 tokens in x 1 + 20,000,000 out x 4 USD a million = 120.00 USD a day",
    )


def test_what_is_never_cheaper_says_so() -> None:
    dear = compare(Demand(1e6, 1e6, 100.0), 100.0, Tariff(10.0, 0.1, 0.1, 1.0), invested=5.0)
    assert (dear.break_even_days, dear.break_even_tokens) == (None, None)
    assert dear.saved_a_day < 0
    free = compare(Demand(1e6, 1e6, 100.0), 100.0, Tariff(0.0, 0.0, 0.0, 0.0), invested=0.0)
    assert (free.saved_a_day, free.break_even_tokens) == (0.0, None)


@given(
    st.floats(1e3, 1e9), st.floats(1.0, 20.0), st.floats(1.0, 1e4), st.floats(0.0, 10.0), st.floats(0.01, 100.0), st.floats(0.0, 100.0)
)  # fmt: skip
def test_at_break_even_both_cost_the_same_and_a_little_less_is_dearer(
    tokens: float, peaks: float, of_one: float, replica_hour: float, api_out: float, runs: float
) -> None:
    tariff = Tariff(replica_hour, 0.0, api_out, runs)

    def at(volume: float) -> tuple[float, float]:
        found = compare(Demand(0.0, volume, peaks * volume / 86400), of_one, tariff, 0.0)
        return found.own_a_day, found.api_a_day

    even = compare(Demand(0.0, tokens, peaks * tokens / 86400), of_one, tariff, 0.0).break_even_tokens
    if even is None:
        for volume in (tokens, 10 * tokens, 1e12):
            own, api = at(volume)
            assert api <= own * (1 + 1e-9)
        return
    assume(even > 1e-3)
    own, api = at(even * (1 - 1e-9))  # at a full server rounding might ask for one more
    assert api == pytest.approx(own, rel=1e-6)
    own, api = at(even * 0.99)
    assert api < own


def test_hints_name_what_does_not_fit_the_load() -> None:
    busy = {"a": ServedDay(answers=9, busy_minutes=2000), ALL: ServedDay(answers=9, busy_minutes=2000)}
    assert hints({"a": 48.0}, busy, 1) == []
    assert hints({}, {}, None) == []
    [more] = hints({"a": 48.0}, busy, 3)
    assert more.startswith("the busiest minute needs 3 servers")
    idle, without = hints({"a": 48.0, "b": 40.0}, {"a": ServedDay(answers=1), ALL: ServedDay(busy_minutes=144)}, 1)
    assert idle.startswith("there were requests in 5.0% of all minutes")
    assert without == "40 of 88 server hours were of versions that answered nothing"
