"""The kinds of report that a loop stores. Storage, formats, the monitor job and `/metrics` take their names from this table."""

from dataclasses import dataclass
from typing import Literal

Name = Literal["eval", "alignment", "drift", "behaviour", "quality", "live-golden", "decision", "gates"]


@dataclass(frozen=True)
class ReportKind:
    """One kind of report, stored as `reports/LOOP/NAME-DIGEST.json`.

    `format` is its kind in `formats.py`; `asset` makes it, None for decisions, which nothing makes again. The monitor job materializes the
    asset if `monitor` is set. `metrics` are the Prometheus metrics of its values and of their limits, which `prometheus.py` describes.
    """

    name: Name
    format: str
    asset: str | None
    monitor: bool = False
    metrics: tuple[str, str] | None = None


# fmt: off
_ALL = (
    ReportKind("eval", "eval_report", "eval_report"),
    ReportKind("alignment", "alignment_report", "aligned_adapter"),
    ReportKind("drift", "drift_report", "drift_report", metrics=("ftassets_drift_value", "ftassets_drift_threshold")),
    ReportKind("behaviour", "behaviour_report", "behaviour_report", monitor=True,
        metrics=("ftassets_behaviour_value", "ftassets_behaviour_threshold")),
    ReportKind("quality", "quality_report", "quality_report", monitor=True,
        metrics=("ftassets_quality_ratio", "ftassets_quality_baseline_ratio")),
    ReportKind("live-golden", "live_golden_report", "live_golden_report", monitor=True,
        metrics=("ftassets_live_golden_ratio", "ftassets_live_golden_floor_ratio")),
    ReportKind("decision", "retrain_decision", None),
    ReportKind("gates", "gate_decision", None),
)
# fmt: on
REPORT_KINDS: dict[Name, ReportKind] = {kind.name: kind for kind in _ALL}
