"""What a run is about, by its plan, and that a second one does not work on the same nodes at once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from ftassets.assets._shared.node import asset
from ftassets.assets._shared.run_nodes import ALONE, LOOP, about, nodes_of, unfinished
from ftassets.assets.graph import build
from ftassets.backends.control.files import FilesControl
from ftassets_tests.automation.conftest import loop_of

MINE = loop_of(name="mine")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def defined(*names: str, body: Callable[[], None] = lambda: None) -> dg.Definitions:
    """Nodes of a loop that do little, and an asset of somebody else; a check on the first node."""

    def made(name: str) -> dg.AssetsDefinition:
        def node(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            body()
            return dg.MaterializeResult()

        node.__name__ = name
        return asset(MINE, "A node.", {"python"})(node)

    @dg.asset
    def theirs() -> None: ...

    @dg.asset_check(asset=["mine", names[0]])
    def fine() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    jobs = [dg.define_asset_job("nightly"), dg.define_asset_job("checks", dg.AssetSelection.all_asset_checks())]
    control = dg.ResourceDefinition(lambda context: FilesControl(Path(context.instance.root_directory)))
    return dg.Definitions([*map(made, names), theirs], asset_checks=[fine], jobs=jobs, resources={"control": control})


def run(instance: dg.DagsterInstance, definitions: dg.Definitions, job: str, *selected: str) -> dg.DagsterRun:
    keys = [dg.AssetKey(key.split("/")) for key in selected]
    result = definitions.resolve_job_def(job).execute_in_process(instance=instance, asset_selection=keys or None, raise_on_error=False)
    found = instance.get_run_by_id(result.run_id)
    assert found is not None
    return found


def test_whatever_started_a_run_its_plan_says_what_it_is_about(instance: dg.DagsterInstance) -> None:
    definitions = defined("adapter", "release")
    everything = run(instance, definitions, "nightly")
    assert LOOP not in everything.tags
    assert (nodes_of(instance, everything, "mine"), about(instance, everything, "mine")) == ({"adapter", "release"}, True)
    assert not about(instance, everything, "other")
    selected = run(instance, definitions, "__ASSET_JOB", "mine/release", "theirs")
    assert (nodes_of(instance, selected, "mine"), about(instance, selected, "mine")) == ({"release"}, True)
    foreign = run(instance, definitions, "__ASSET_JOB", "theirs")
    assert (nodes_of(instance, foreign, "mine"), about(instance, foreign, "mine")) == (frozenset(), False)
    checks = run(instance, definitions, "checks")
    assert (nodes_of(instance, checks, "mine"), about(instance, checks, "mine")) == (frozenset(), True)


def test_a_run_of_a_loop_s_job_is_about_it_even_before_it_has_a_plan(instance: dg.DagsterInstance) -> None:
    assert about(instance, dg.DagsterRun("job", run_id="r", tags={LOOP: "mine"}), "mine")


def test_a_second_run_on_the_same_nodes_is_refused_while_the_first_is_at_work(instance: dg.DagsterInstance) -> None:
    inner: list[dg.DagsterRun] = []
    second = defined("curated_dataset", "endpoint", "query_embeddings")

    def meanwhile() -> None:
        assert [record.dagster_run.job_name for record in unfinished(instance, "mine", ["adapter"])] == ["nightly"]
        inner.extend(run(instance, second, "__ASSET_JOB", f"mine/{name}") for name in ("curated_dataset", "endpoint", "query_embeddings"))

    first = run(instance, defined("adapter", body=meanwhile), "nightly")
    assert first.is_success  # the run that began first goes on
    assert [each.is_success for each in inner] == [False, True, True]
    [failure] = instance.get_records_for_run(inner[0].run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    event = failure.event_log_entry.dagster_event
    assert event
    assert event.step_failure_data.user_failure_data
    assert event.step_failure_data.user_failure_data.description == (
        f"run {first.run_id} is working on adapter of loop mine already: wait until it has finished, or terminate it in the Dagster UI,"
        " then start this run again"
    )
    assert run(instance, second, "__ASSET_JOB", "mine/curated_dataset").is_success


def test_every_node_of_a_group_is_a_node_of_the_loop() -> None:
    assets, _ = build(loop_of(name="mine", traffic={"max_gb": 1}, align={"method": "dpo"}))
    names = {key.path[-1] for each in assets if isinstance(each, dg.AssetsDefinition) for key in each.keys}
    assert {name for group in ALONE for name in group} <= names
