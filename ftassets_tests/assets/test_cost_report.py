"""The page on what a loop costs, and the budget that stands before every run."""

import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ftassets.assets import cost_report
from ftassets.assets._shared.failures import OVER_BUDGET
from ftassets.assets._shared.node import asset
from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.usage import close, read_usage
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets_tests.domain.spending.conftest import entry, loop_with


@pytest.fixture
def control(tmp_path: Path) -> FilesControl:
    return FilesControl(tmp_path)


def materialize(control: FilesControl, tmp_path: Path, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    resources = {"control": control, "traffic_log": SqliteTrafficLog(tmp_path / "traffic.db")}
    return dg.materialize(list(assets), resources=resources, raise_on_error=False)


def test_the_page_has_the_sums_a_plot_and_numbers_that_dagster_plots(control: FilesControl, tmp_path: Path) -> None:
    close(control, entry("a", "adapter", time.time(), 3600.0))
    result = materialize(control, tmp_path, cost_report.build(loop_with()))
    [event] = result.asset_materializations_for_node("support__cost_report")
    found = {name: value.value for name, value in event.metadata.items()}
    assert found["usd"] == found["usd_this_month"] == pytest.approx(3.6, rel=0.01)  # its own seconds are in it
    assert found["cpu_hours"] == pytest.approx(1.0, rel=0.01)
    assert found["by_month"].startswith("![USD by month](data:image/png;base64,")
    assert str(found["runs"]).startswith("3.60 USD: 3,60")
    nodes = event.metadata["nodes"]
    assert isinstance(nodes, dg.TableMetadataValue)
    assert [record.data["node"] for record in nodes.records] == ["adapter", "cost_report"]


def test_without_prices_the_page_plots_hours(control: FilesControl, tmp_path: Path) -> None:
    close(control, entry("a", "adapter", time.time(), 3600.0))
    result = materialize(control, tmp_path, cost_report.build(loop_with(prices={}, budget=None)))
    [event] = result.asset_materializations_for_node("support__cost_report")
    assert "usd" not in event.metadata
    assert str(event.metadata["by_month"].value).startswith("![CPU hours by month]")


def nodes(loop: Any, ran: list[str], *names: str) -> list[dg.AssetsDefinition]:
    def made(name: str, before: list[str]) -> dg.AssetsDefinition:
        def body(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            ran.append(name)
            return dg.MaterializeResult()

        body.__name__ = name
        return asset(loop, "A node.", set(), deps=before)(body)

    return [made(name, list(names[:number][-1:])) for number, name in enumerate(names)]


@pytest.mark.parametrize("first", ["curated_dataset", "adapter", "eval_report", "synthetic_examples"])
def test_no_node_that_costs_much_begins_on_a_spent_budget_whatever_starts_it(control: FilesControl, tmp_path: Path, first: str) -> None:
    loop, ran = loop_with(), list[str]()
    close(control, entry("a", "drift_report", time.time(), 10_000.0, "failed"))
    result = materialize(control, tmp_path, *nodes(loop, ran, "seed_examples", first, "release"))
    assert not result.success
    assert ran == ["seed_examples"]
    failure = result.failure_data_for_node(f"support__{first}")
    assert failure
    assert failure.user_failure_data
    assert failure.user_failure_data.description
    assert failure.user_failure_data.description.startswith(f"{OVER_BUDGET}: runs of ")
    assert "cost 10.00 USD, budget.usd_per_month is 10.00 USD" in failure.user_failure_data.description
    refused = [each for each in read_usage(control, "support", 0, 4e9) if each.ended == "over_budget"]
    assert [each.node for each in refused] == [first]


def test_a_run_within_its_budget_goes_on_to_its_end_and_what_watches_is_never_refused(control: FilesControl, tmp_path: Path) -> None:
    loop, ran = loop_with(), list[str]()
    spent: dg.AssetsDefinition

    def expensive(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        close(control, entry("elsewhere", "adapter", time.time(), 20_000.0))
        return dg.MaterializeResult()

    expensive.__name__ = "curated_dataset"
    spent = asset(loop, "Spends.", set())(expensive)
    [_, adapter] = nodes(loop, ran, "curated_dataset", "adapter")
    assert materialize(control, tmp_path, spent, adapter).success
    assert ran == ["adapter"]
    assert materialize(control, tmp_path, *nodes(loop, ran, "drift_report", "endpoint", "release")).success
    assert not materialize(control, tmp_path, *nodes(loop, ran, "adapter")).success
