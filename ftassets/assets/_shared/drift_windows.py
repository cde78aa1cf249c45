"""What the drift reports about a version found, as their events say."""

from collections.abc import Iterator

import dagster as dg

from ftassets.assets._shared.events import history, metadata_value, names, node
from ftassets.config.loop import LoopConfig
from ftassets.domain.drift import DriftVerdict
from ftassets.domain.drift.alarms import WindowVerdict


def windows(instance: dg.DagsterInstance, loop: LoopConfig, production: str | None, since: float = 0.0) -> Iterator[WindowVerdict]:
    """What the drift reports after `since` (epoch seconds) found, newest first.

    A report about an earlier production version ends them: its alarm was answered by the version that serves now.
    """
    for at, report in history(instance, node(loop.name, "drift_report")):
        if at < since or not names(report, "production", production):
            return
        end, begin = _number(report, "window_end") or at, _number(report, "window_begin")
        verdict = DriftVerdict(str(metadata_value(report, "verdict")))
        yield WindowVerdict(end - loop.retrain_on.drift.window if begin is None else begin, end, verdict)


def _number(event: dg.AssetMaterialization, name: str) -> float | None:
    value = metadata_value(event, name)
    return float(value) if isinstance(value, int | float) else None
