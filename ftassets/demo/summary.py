"""What the demo measured, as one object; every figure is read from what the loop recorded."""

from collections.abc import Sequence
from typing import Any

from ftassets.assets._shared.dataset_files import read_golden
from ftassets.assets._shared.events import node, required
from ftassets.assets.eval_report.measuring import ROLES
from ftassets.assets.eval_report.rows import read_answers
from ftassets.backends.artifacts.answers import answers_file
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.demo.client import Users
from ftassets.demo.observer import Observer, launched_by
from ftassets.domain.drift import DriftVerdict
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport, in_slice
from ftassets.domain.statistics import share_interval


def collect(
    observer: Observer,
    loop: LoopConfig,
    users: Users,
    traffic_log: TrafficLog,
    quiet: Sequence[float],
    drifted: Sequence[float],
    stages: dict[str, float],
    peak_memory_mb: float,
) -> dict[str, Any]:
    """The summary. `quiet` and `drifted` are the window ends (epoch seconds) of the windows of each kind."""
    report = EvalReport.parse(observer.eval_report())
    judged = {seen.window_end: seen for seen in observer.drift_reports() if seen.verdict != DriftVerdict.NOT_ENOUGH_DATA}
    new = [judged[end] for end in drifted if end in judged]
    alarm = next(seen for seen in new if seen.verdict == DriftVerdict.ALARM)
    return {
        "accuracy": {role: {name: _share(report, role, name) for name in ("established", "drifted")} for role in ROLES},
        "quiet_windows": [
            {"alarm": seen.verdict == DriftVerdict.ALARM, "value": seen.metadata["novelty_mean"]}
            for end in quiet
            if (seen := judged.get(end))
        ],
        "drift": {
            "statistic": "novelty_mean",
            "value": alarm.metadata.get("novelty_mean"),
            "threshold": alarm.metadata.get("novelty_mean_threshold"),
            "alarm": alarm.verdict == DriftVerdict.ALARM,
            "seconds_to_retrain": _reaction(observer, alarm.at),
            "windows": [{"alarm": seen.verdict == DriftVerdict.ALARM} for seen in new],
        },
        "dataset": {"commit": observer.version("curated_dataset"), "rows": observer.value("curated_dataset", "rows")},
        "adapter": {"digest": observer.version("adapter")}
        | {name: observer.value("adapter", name) for name in ("train_seconds", "tokens_per_second")},
        "gates": [
            {"name": r.name, "value": r.value, "bound": r.bound, "threshold": r.threshold, "verdict": r.verdict.value}
            for r in evaluate_gates(loop.gates, report)
        ],
        "transitions": [
            {"at": s.at, "weights": {v[:12]: w for v, w in s.state.weights.items()}, "reason": s.reason} for s in observer.transitions()
        ],
        "runs": [
            {"id": r.dagster_run.run_id, "job": r.dagster_run.job_name, "launched_by": launched_by(r.dagster_run)} for r in observer.runs()
        ],
        "stages": {name: round(seconds, 1) for name, seconds in stages.items()},
        "requests": {"sent": users.sent, "answered": users.answered, "logged": traffic_log.count(loop.name)},
        "corrections": {"sent": users.corrected, "wrong": users.wrong},
        "peak_memory_mb": round(peak_memory_mb),
        "settings": loop.model_dump(mode="json", exclude={"dataset": {"seed"}, "golden_set": True}),
    }


def _reaction(observer: Observer, alarm_at: float) -> float | None:
    """Seconds from the alarming report to the retrain run it led to."""
    begun = [r.create_timestamp.timestamp() for r in observer.runs() if launched_by(r.dagster_run) == f"sensor:{observer.loop}__retrain"]
    return round(begun[0] - alarm_at, 1) if begun else None


def side_by_side(observer: Observer, store: DatasetStore, count: int = 10) -> list[tuple[str, str, dict[str, str]]]:
    """Request, expected answer and each model's raw answer, half of them from each slice."""
    report = EvalReport.parse(observer.eval_report())
    commit = required(observer.instance, node(observer.loop, "golden_set"))
    golden = read_golden(store, commit, observer.loop)
    said = {role: read_answers([answers_file(observer.artifacts, name) for name in report.answers[role]]) for role in ROLES}
    rows = []
    for name in ("drifted", "established"):
        chosen = [row for row in golden if row.slice == name]
        rows += chosen[:: max(1, len(chosen) // (count // 2))][: count // 2]
    return [(row.prompt, row.completion, {role: said[role][row.id] for role in ROLES}) for row in rows]


def _share(report: EvalReport, role: str, name: str) -> dict[str, float | int]:
    rows = in_slice(report.scores[role], name)
    right = sum(row.exact for row in rows)
    low, high = share_interval(right, len(rows))
    return {"share": right / len(rows), "low": low, "high": high, "n": len(rows)}
