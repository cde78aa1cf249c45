import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import Prices
from ftassets.domain.spending.pricing import cost_of, dollars
from ftassets.domain.spending.usage import Usage

PRICES = Prices(
    usd_per_cpu_hour=0.04, usd_per_gpu_hour=2.5, usd_per_million_run_tokens_in=2.0, usd_per_million_run_tokens_out=8.0
)  # fmt: skip


def test_a_sum_added_up_by_hand() -> None:
    usage = Usage(cpu_seconds=9000, gpu_seconds=1800, tokens_trained=10**9, api_tokens_in=3_000_000, api_tokens_out=500_000)
    # 2.5 h x 0.04 + 0.5 h x 2.5 + 3 x 2.0 + 0.5 x 8.0; tokens that the loop's own processes handle are paid by the hour
    assert cost_of(usage, PRICES).usd == pytest.approx(0.1 + 1.25 + 6.0 + 4.0)
    assert cost_of(usage, PRICES).sentence == "11.35 USD"


def test_what_has_no_price_is_never_0() -> None:
    usage = Usage(cpu_seconds=3600, gpu_seconds=60)
    found = cost_of(usage, Prices(usd_per_cpu_hour=1.0))
    assert (found.usd, found.priced_usd, found.not_priced) == (None, 1.0, ("60 GPU seconds",))
    assert found.sentence == "1.00 USD and, not priced, 60 GPU seconds"
    assert cost_of(usage, Prices()).sentence == "not priced: 3,600 CPU seconds, 60 GPU seconds"
    assert cost_of(Usage(cpu_seconds=3600), Prices(usd_per_cpu_hour=1.0)).usd == 1.0  # no GPU was used
    assert cost_of(usage, Prices(usd_per_cpu_hour=0, usd_per_gpu_hour=3.6)).usd == pytest.approx(0.06)  # 0 is a price
    assert cost_of(Usage(), Prices()).usd == 0.0


def test_answers_whose_tokens_nobody_counted_have_no_price() -> None:
    assert cost_of(Usage(api_answers_uncounted=1), PRICES).not_priced == ("1 answer of endpoints that count no tokens",)


def test_answers_whose_tokens_nobody_counted_cost_nothing_where_no_token_does() -> None:
    free = Prices(usd_per_million_run_tokens_in=0, usd_per_million_run_tokens_out=0)
    assert cost_of(Usage(api_answers_uncounted=3), free).usd == 0


def test_a_small_amount_does_not_look_like_nothing() -> None:
    assert [dollars(usd) for usd in (0, 0.00012, 0.01, 1234.5)] == ["0.00 USD", "0.00012 USD", "0.01 USD", "1,234.50 USD"]


_usage = st.builds(Usage, cpu_seconds=st.floats(0, 1e7), gpu_seconds=st.floats(0, 1e7), api_tokens_in=st.integers(0, 10**9))


@given(_usage, _usage)
def test_two_usages_together_cost_what_they_cost_apart(one: Usage, other: Usage) -> None:
    apart = cost_of(one, PRICES).priced_usd + cost_of(other, PRICES).priced_usd
    assert cost_of(one + other, PRICES).priced_usd == pytest.approx(apart)
