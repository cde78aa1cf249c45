"""Reading what earlier runs recorded; above all which verdicts do not count."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from ftassets.assets._shared.events import (
    DATA_VERSION,
    SIGNED,
    data_version,
    history,
    made_by,
    metadata_value,
    names,
    newest,
    node,
    refused_gates,
    report_digest,
    required,
)

REPORT = node("triage", "eval_report")
GATES = ["better", "no_worse"]
NO_CHECKS = dg.AssetSelection.assets(REPORT).without_checks()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(
    instance: dg.DagsterInstance,
    passed: dict[str, bool] | None = None,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    selection: Any = None,
    crash: bool = False,
) -> None:
    """One run of a report with its two gates; `passed` says which pass (all by default)."""

    @dg.asset(key=REPORT)
    def eval_report() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion("d1"), metadata={"rows": 7})

    @dg.multi_asset_check(name="gates", specs=[dg.AssetCheckSpec(name, asset=REPORT, blocking=True) for name in GATES], can_subset=True)
    def gates(context: dg.AssetCheckExecutionContext):  # noqa: ANN202
        if crash:
            raise RuntimeError("the report cannot be read")
        for key in sorted(context.selected_asset_check_keys):
            verdict = (passed or {}).get(key.name, True)
            yield dg.AssetCheckResult(asset_key=REPORT, check_name=key.name, passed=verdict, severity=severity)

    job = dg.define_asset_job("job", selection=selection)
    defs = dg.Definitions([eval_report], asset_checks=[gates], jobs=[job])
    defs.resolve_job_def("job").execute_in_process(instance=instance, raise_on_error=False)


def test_all_gates_of_the_newest_report_passed(instance: dg.DagsterInstance) -> None:
    run(instance)
    assert refused_gates(instance, REPORT, GATES) == {}


def test_the_check_may_run_later_than_the_report(instance: dg.DagsterInstance) -> None:
    run(instance, selection=NO_CHECKS)
    run(instance, selection=dg.AssetSelection.checks(*(dg.AssetCheckKey(REPORT, name) for name in GATES)))
    assert refused_gates(instance, REPORT, GATES) == {}


def test_never_materialized(instance: dg.DagsterInstance) -> None:
    assert refused_gates(instance, REPORT, GATES) == dict.fromkeys(GATES, "the report was never materialized")


def test_not_evaluated(instance: dg.DagsterInstance) -> None:
    run(instance, selection=NO_CHECKS)
    assert refused_gates(instance, REPORT, GATES) == dict.fromkeys(GATES, "not evaluated")


def test_a_gate_the_policy_has_and_the_run_had_not(instance: dg.DagsterInstance) -> None:
    run(instance)
    assert refused_gates(instance, REPORT, [*GATES, "latency"]) == {"latency": "not evaluated"}


def test_a_gate_that_crashed_is_not_evaluated(instance: dg.DagsterInstance) -> None:
    run(instance, crash=True)
    assert refused_gates(instance, REPORT, GATES) == dict.fromkeys(GATES, "not evaluated")


def test_an_older_report_s_verdict(instance: dg.DagsterInstance) -> None:
    run(instance)
    run(instance, selection=NO_CHECKS)
    assert refused_gates(instance, REPORT, GATES) == dict.fromkeys(GATES, "the verdict belongs to an older report")


def test_a_report_by_hand_makes_the_verdicts_old(instance: dg.DagsterInstance) -> None:
    run(instance)
    instance.report_runless_asset_event(dg.AssetMaterialization(REPORT))
    assert refused_gates(instance, REPORT, GATES) == dict.fromkeys(GATES, "the verdict belongs to an older report")


@pytest.mark.parametrize("severity", [dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN])
def test_a_failed_gate_whatever_its_severity(instance: dg.DagsterInstance, severity: dg.AssetCheckSeverity) -> None:
    run(instance, {"better": False}, severity)
    assert refused_gates(instance, REPORT, GATES) == {"better": "failed"}


def test_a_verdict_reported_by_hand(instance: dg.DagsterInstance) -> None:
    run(instance, {"better": False})
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(REPORT, "better", passed=True))
    assert refused_gates(instance, REPORT, GATES) == {"better": "the verdict was not produced by a run"}


def test_a_verdict_by_hand_that_claims_the_report(instance: dg.DagsterInstance) -> None:
    run(instance, {"better": False})
    [report] = instance.fetch_materializations(REPORT, limit=1).records
    target = AssetCheckEvaluationTargetMaterializationData(storage_id=report.storage_id, run_id=report.run_id, timestamp=report.timestamp)
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(REPORT, "better", passed=True, target_materialization_data=target))
    assert refused_gates(instance, REPORT, GATES) == {"better": "the verdict was not produced by a run"}


def test_a_repeated_check_counts_by_its_newest_verdict(instance: dg.DagsterInstance) -> None:
    check = dg.AssetSelection.checks(dg.AssetCheckKey(REPORT, "better"))
    run(instance)
    run(instance, {"better": False}, selection=check)
    assert refused_gates(instance, REPORT, GATES) == {"better": "failed"}
    run(instance, selection=check)
    assert refused_gates(instance, REPORT, GATES) == {}


def test_reading_materializations(instance: dg.DagsterInstance) -> None:
    assert newest(instance, REPORT) is None
    with pytest.raises(dg.Failure, match="triage/eval_report has never been materialized: materialize it first"):
        required(instance, REPORT)
    for version in ("v1", "v2"):
        instance.report_runless_asset_event(dg.AssetMaterialization(REPORT, metadata={"rows": 7}, tags={DATA_VERSION: version}))
    assert required(instance, REPORT) == "v2"
    assert [data_version(event) for _, event in history(instance, REPORT)] == ["v2", "v1"]
    times = [at for at, _ in history(instance, REPORT)]
    assert times == sorted(times, reverse=True)
    event = newest(instance, REPORT)
    assert event is not None
    assert (metadata_value(event, "rows"), metadata_value(event, "columns")) == (7, None)


def test_the_run_that_made_the_newest_materialization(instance: dg.DagsterInstance) -> None:
    assert made_by(instance, REPORT) is None
    run(instance)
    [record] = instance.get_run_records()
    assert made_by(instance, REPORT) == record.dagster_run.run_id
    instance.report_runless_asset_event(dg.AssetMaterialization(REPORT))
    assert made_by(instance, REPORT) is None


def test_a_materialization_without_a_version_is_an_error(instance: dg.DagsterInstance) -> None:
    with pytest.raises(KeyError, match=DATA_VERSION):
        data_version(dg.AssetMaterialization(REPORT))


A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("entry", "digest", "named"),
    [
        (A[:12], A, True),
        (A, A, True),  # events of earlier releases
        (B[:12], A, False),
        ("", A, False),
        ("", None, True),
        (A[:12], None, False),
    ],
)
def test_an_entry_names_a_digest_by_its_first_characters(entry: str, digest: str | None, named: bool) -> None:
    event = dg.AssetMaterialization(REPORT, metadata={"production": entry})
    assert names(event, "production", digest) is named
    assert not names(event, "candidate", A), "there is no such entry"


def test_the_report_of_a_release_is_read_from_what_was_signed_and_from_the_entry_of_earlier_releases() -> None:
    signed = dg.AssetMaterialization(REPORT, metadata={SIGNED: dg.MetadataValue.json({"report_digest": A})})
    earlier = dg.AssetMaterialization(REPORT, metadata={"report_digest": B})
    assert (report_digest(signed), report_digest(earlier)) == (A, B)
