"""Settings of monitors with which they cannot see what they are for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ftassets.config.cron import longest_pause, ticks_a_day
from ftassets.domain.loop_check.finding import LOOP, LoopFinding
from ftassets.domain.monitoring.golden import floor_p, floor_risk
from ftassets.domain.monitoring.lasting_drop import DAY_EFFECTS
from ftassets.wording import amount, span

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def blind(loop: "LoopConfig", golden: int) -> Iterator[LoopFinding]:
    """A warning for each monitor that cannot see something with these settings and so many rows of the golden set."""
    monitors, drift = loop.monitors, loop.retrain_on.drift
    asked, risk = min(golden, monitors.sample), floor_risk(ticks_a_day(monitors.every))
    if golden and monitors.golden_floor > 0 and floor_p(0, asked, monitors.golden_floor) >= risk:
        text = f"{amount(asked, 'golden row')} cannot prove in a year of reports that a version is below it, not even if all are wrong"
        yield _warning("floor_without_rows", text, "add golden rows, or raise the floor", "monitors", "golden_floor")
    effect = min(DAY_EFFECTS)
    for section, drop in (("monitors", monitors.quality_drop), ("retrain_on", loop.retrain_on.quality_drop)):
        if drop is not None and drop < effect:
            text = f"{drop:.1%} is less than days usually differ by, which is {effect:.0%}: such a drop is noticed late or never"
            yield _warning("drop_below_noise", text, f"set {effect:.0%} or more", section, "quality_drop")
    pause = longest_pause(drift.every)
    if drift.window < pause:
        text = f"a report compares the last {span(drift.window)}, and up to {span(pause)} lie between two: other queries are not seen"
        advice = "make the window as long as the pause between reports, or make them more often"
        yield _warning("drift_unseen", text, advice, "retrain_on", "drift", "window")


def _warning(kind: str, text: str, advice: str, *field: str) -> LoopFinding:
    return LoopFinding("warning", kind, LOOP, f"{'.'.join(field)}: {text}", advice, field=field)
