from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.budget import balance, month_of
from ftassets.domain.spending.usage import Usage, UsageEntry
from ftassets_tests.domain.spending.conftest import entry, loop_with

BERLIN = ZoneInfo("Europe/Berlin")
MAY = datetime(2026, 5, 1, tzinfo=BERLIN).timestamp()
NOW = datetime(2026, 5, 20, 12, tzinfo=BERLIN).timestamp()
NODES = ("curated_dataset", "adapter")


def test_a_month_is_that_of_the_loop_s_time_zone_also_over_new_year_and_summer_time() -> None:
    assert month_of(NOW, "Europe/Berlin") == (MAY, datetime(2026, 6, 1, tzinfo=BERLIN).timestamp())
    december = datetime(2026, 12, 31, 23, 30, tzinfo=BERLIN)
    assert month_of(december.timestamp(), "Europe/Berlin") == tuple(
        datetime(*first, 1, tzinfo=BERLIN).timestamp() for first in ((2026, 12), (2027, 1))
    )
    first, after = month_of(datetime(2026, 3, 31, tzinfo=BERLIN).timestamp(), "Europe/Berlin")
    assert after - first == 31 * 86400 - 3600


def test_what_the_month_cost_counts_and_what_was_before_it_does_not(loop: LoopConfig) -> None:
    entries = [entry("old", "adapter", MAY - 1, 9000.0, "failed"), entry("new", "adapter", MAY, 4000.0, "failed")]
    found = balance(loop, entries, NODES, NOW)
    assert found
    assert (found.spent, found.expected, found.why, found.month) == (pytest.approx(4.0), 0.0, None, "May 2026")


def test_a_run_is_refused_with_the_number_once_the_budget_is_spent_by_whatever_runs(loop: LoopConfig) -> None:
    killed = entry("a", "adapter", MAY, 6000.0, None)
    watching = entry("b", "drift_report", MAY + 9, 4000.0, "cancelled")
    found = balance(loop, [killed, watching], NODES, NOW)
    assert found
    assert found.why == (
        "runs of May 2026 cost 10.00 USD, budget.usd_per_month is 10.00 USD: raise it, or wait for the next month"
    )  # fmt: skip


def test_a_run_that_would_go_beyond_the_budget_is_refused_before_it_starts(loop: LoopConfig) -> None:
    last = [entry("a", "curated_dataset", MAY - 99, 1000.0), entry("a", "adapter", MAY - 90, 5000.0)]
    assert balance(loop, [*last, entry("b", "drift_report", MAY, 4000.0)], NODES, NOW).why is None  # type: ignore[union-attr]
    found = balance(loop, [*last, entry("b", "drift_report", MAY, 4001.0)], NODES, NOW)
    assert found
    assert found.expected == pytest.approx(6.0)
    assert found.why
    assert "one more like the last costs 6.00 USD" in found.why
    # that it was refused last time does not make it cheap
    refused = entry("c", "adapter", MAY + 5, 0.0, "over_budget")
    assert balance(loop, [*last, entry("b", "drift_report", MAY, 4001.0), refused], NODES, NOW).why  # type: ignore[union-attr]
    # a part of it alone may run
    assert balance(loop, [*last, entry("b", "drift_report", MAY, 4001.0)], ["adapter"], NOW).why is None  # type: ignore[union-attr]


def test_what_has_no_price_leaves_no_room(loop: LoopConfig) -> None:
    found = balance(loop, [entry("a", "adapter", MAY, usage=Usage(gpu_seconds=1))], NODES, NOW)
    assert found
    assert found.spent is None
    assert found.why
    assert "1 GPU seconds" in found.why
    before = balance(loop, [entry("a", "adapter", MAY - 9, usage=Usage(gpu_seconds=1))], NODES, NOW)
    assert before
    assert before.why  # the next run would use a GPU too


def test_without_a_budget_nothing_is_compared_and_a_budget_without_prices_is_no_loop_file() -> None:
    assert balance(loop_with(budget=None), [entry("a", "adapter", MAY, 1e9)], NODES, NOW) is None
    with pytest.raises(ValueError, match=r"budget needs prices\.usd_per_cpu_hour"):
        loop_with(prices={})
    judge = {"url": "https://judge.example.com/v1", "model": "m", "rubric": "good"}
    with pytest.raises(ValueError, match=r"runs ask the endpoint of monitors\.llm_judge"):
        loop_with(monitors={"llm_judge": judge})
    free = {"usd_per_cpu_hour": 1, "usd_per_million_run_tokens_in": 0, "usd_per_million_run_tokens_out": 0}
    assert loop_with(monitors={"llm_judge": judge}, prices=free).budget


@given(st.lists(st.tuples(st.floats(-40 * 86400, 19 * 86400), st.floats(0, 5000), st.sampled_from(["done", "failed", None])), max_size=8))
def test_nothing_starts_on_a_spent_budget(used: list[tuple[float, float, str | None]]) -> None:
    entries: list[UsageEntry] = [entry(str(n), "adapter", MAY + at, cpu, ended) for n, (at, cpu, ended) in enumerate(used)]
    found = balance(loop_with(), entries, NODES, NOW)
    assert found
    spent = sum(each.usage.cpu_seconds for each in entries if each.at >= MAY) * 3.6 / 3600
    assert found.spent == pytest.approx(spent)
    if found.why is None:
        assert spent < 10
