import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from ftassets import metering
from ftassets.assets._shared.failures import REFUSED
from ftassets.assets._shared.node import asset
from ftassets.backends.control.base import Control
from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.usage import read_usage
from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.usage import UsageEntry
from ftassets.errors import StateDamaged
from ftassets_tests import ROOT

EVER = (0.0, 4e9)


@pytest.fixture
def control(tmp_path: Path) -> FilesControl:
    return FilesControl(tmp_path / "home")


@pytest.fixture
def loop(tmp_path: Path) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": "support",
            "base_model": "base",
            "task": {"system_prompt": "Answer."},
            "golden_set": tmp_path / "golden.jsonl",
            "dataset": {"seed": tmp_path / "seed.jsonl"},
            "gates": [{"metric": "exact_match", "better_than": "production"}],
        }  # fmt: skip
    )


def run(control: Control, *assets: dg.AssetsDefinition) -> list[UsageEntry]:
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(list(assets), instance=instance, resources={"control": control}, raise_on_error=False)
    return read_usage(control, "support", *EVER)


def test_a_node_is_recorded_with_what_it_made_and_used_whether_or_not_it_needs_control(loop: LoopConfig, control: FilesControl) -> None:
    @asset(loop, "Makes.", set())
    def adapter(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
        metering.count(tokens_trained=12)
        return dg.MaterializeResult(data_version=dg.DataVersion("abc"))

    @asset(loop, "Releases.", set(), deps=["adapter"])
    def release(context: dg.AssetExecutionContext, control: dg.ResourceParam[Control]) -> dg.MaterializeResult:
        assert [each.node for each in read_usage(control, "support", *EVER)] == ["adapter", "release"]  # this one is at work
        return dg.MaterializeResult(data_version=dg.DataVersion("abc"))

    trained, released = run(control, adapter, release)
    assert (trained.node, trained.ended, trained.made, trained.for_release) == ("adapter", "done", "abc", True)
    assert trained.usage.tokens_trained == 12
    assert 0.3 <= trained.usage.cpu_seconds < 1.0
    assert (released.node, released.ended, released.made, released.run_id) == ("release", "done", "abc", trained.run_id)
    assert released.usage.cpu_seconds < 0.3
    [alone] = run(control, adapter)[2:]
    assert not alone.for_release
    assert alone.run_id != trained.run_id


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (dg.Failure(f"{REFUSED}: gates have not passed"), "refused"),
        (dg.Failure("the disk is full"), "failed"),
        (ZeroDivisionError(), "failed"),
        (DagsterExecutionInterruptedError(), "cancelled"),
    ],
)
def test_what_a_node_used_that_made_nothing_is_recorded(loop: LoopConfig, control: FilesControl, error: BaseException, ended: str) -> None:
    @asset(loop, "Makes nothing.", set())
    def adapter(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        metering.count(tokens_trained=3)
        raise error

    [entry] = run(control, adapter)
    assert (entry.ended, entry.made, entry.usage.tokens_trained) == (ended, None, 3)


@pytest.mark.parametrize(("blocking", "ended"), [(True, "refused"), (False, "done")])
def test_a_blocking_check_refuses_what_was_made(loop: LoopConfig, control: FilesControl, blocking: bool, ended: str) -> None:
    key = dg.AssetKey(["support", "adapter"])

    @asset(loop, "Fails its check.", set(), check_specs=[dg.AssetCheckSpec("learned", asset=key, blocking=blocking)])
    def adapter(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, check_name="learned")])

    [entry] = run(control, adapter)
    assert entry.ended == ended


class FullDisk(FilesControl):
    """Nothing can be written."""

    def write(self, key: str, content: bytes) -> None:
        raise OSError("no space left")

    def append(self, key: str, line: bytes, after: int | None = None) -> int:
        raise OSError("no space left")


@pytest.mark.parametrize(("name", "begins"), [("endpoint", True), ("drift_report", True), ("adapter", False), ("curated_dataset", False)])
def test_on_a_full_disk_traffic_is_moved_and_nothing_that_costs_much_begins(
    loop: LoopConfig, tmp_path: Path, name: str, begins: bool
) -> None:
    ran = []

    def body(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        ran.append(name)
        return dg.MaterializeResult()

    body.__name__ = name
    run(FullDisk(tmp_path), asset(loop, "A node.", set())(body))
    assert ran == [name] * begins


def test_a_damaged_record_holds_no_node_up(loop: LoopConfig, control: FilesControl) -> None:
    control.write("usage/support/at_work/other.json", b"{")

    @asset(loop, "Moves traffic.", set())
    def endpoint(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult()

    with pytest.raises(StateDamaged, match=r"other\.json: what a run used cannot be read"):
        run(control, endpoint)
    control.delete("usage/support/at_work/other.json")
    [entry] = read_usage(control, "support", *EVER)
    assert entry.ended == "done"


def test_a_run_that_is_killed_leaves_what_it_had_used(tmp_path: Path, control: FilesControl) -> None:
    code = f"""
import time
from pathlib import Path
from types import SimpleNamespace
import dagster as dg
from ftassets import metering
from ftassets.assets._shared.metered import measured
from ftassets.backends.control.files import FilesControl
metering.EVERY = 0.1
run = dg.DagsterRun("job", run_id="run", asset_selection=frozenset({{dg.AssetKey(["support", "adapter"])}}))
context = SimpleNamespace(run=run, instance=dg.DagsterInstance.ephemeral())
with measured(FilesControl(Path({str(tmp_path / "home")!r})), "support", "adapter", context):
    end = time.process_time() + 0.5
    while time.process_time() < end: pass
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 20
    while not any(each.usage.cpu_seconds >= 0.5 for each in read_usage(control, "support", *EVER)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    [entry] = read_usage(control, "support", *EVER)
    assert entry.ended is None
    assert 0.5 <= entry.usage.cpu_seconds < 1.0
