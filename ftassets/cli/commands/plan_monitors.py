"""What a loop's monitors can notice with the traffic it has, before anything runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ftassets.assets.drift_report.reference import stored
from ftassets.assets.quality_report import counted_age
from ftassets.backends.control.base import Control
from ftassets.backends.control.journal import read_state
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.cli.commands.check import read_files
from ftassets.config.cron import ticks_a_day
from ftassets.config.loop import LoopConfig
from ftassets.domain.drift import Reference
from ftassets.domain.monitoring.planning import AFTER, DROPS, drift_plan, golden_plans, quality_plan
from ftassets.domain.monitoring.quality import (
    BY_FEEDBACK,
    JUDGED,
    NOT_CORRECTED,
    NOT_DISLIKED,
    WELL_FORMED,
    WITHOUT_ERROR,
    local_days,
)

DAY = 86400.0
READ = 28  # days of the log that are measured
TRAFFIC = 1000.0  # requests a day that are assumed before there is any traffic
FEEDBACK = 0.02  # of users who say whether an answer was good, assumed
LEVEL = 0.9  # of a measure, assumed


@dataclass(frozen=True)
class Volume:
    """Requests a day, and by measure the users a day and the level (0..1); `measured` says what the log had.

    Feedback counts up to `age` seconds after its answer.
    """

    requests: float
    users: Mapping[str, float]
    levels: Mapping[str, float]
    measured: tuple[str, ...]
    age: float


def volume_of(
    loop: LoopConfig, log: TrafficLog, control: Control, now: float, requests: float | None = None, feedback: float | None = None
) -> Volume:
    """What the log of the last `READ` days before `now` (epoch seconds) says of the version in production, or what is given or assumed.

    `requests` a day and the share of users with `feedback` take the place of the log. Raises OSError, StateDamaged.
    """
    begin, age = now - READ * DAY, counted_age(loop, log, now)
    if requests is None and (first := log.first_time(loop.name, begin)) is not None:
        begin = max(begin, first)
        requests = log.count(loop.name, begin, now) / max((now - begin) / DAY, 1.0) or None
        found, state = dict[str, tuple[float, float]](), read_state(control, loop.name)
        if requests and state and state.production:
            found = _by_measure(loop, log, state.production, begin, now, age)
    else:
        found = {}
    per_day = TRAFFIC if requests is None else requests
    said = per_day * (FEEDBACK if feedback is None else feedback)
    given = {NOT_DISLIKED: said, NOT_CORRECTED: said, WITHOUT_ERROR: per_day, WELL_FORMED: per_day}
    if loop.monitors.llm_judge:
        given[JUDGED] = min(loop.monitors.sample * ticks_a_day(loop.monitors.every), per_day)
    if feedback is not None:
        found = {name: each for name, each in found.items() if name not in BY_FEEDBACK}
    users = given | {name: each for name, (each, _) in found.items()}
    return Volume(per_day, users, {name: found[name][1] if name in found else LEVEL for name in users}, tuple(found), age)


def _by_measure(loop: LoopConfig, log: TrafficLog, version: str, begin: float, end: float, age: float) -> dict[str, tuple[float, float]]:
    """Users a day and level of each measure that has any, of the version's days in the log; of feedback those that are old enough."""
    sums = dict[str, list[float]]()
    for day in local_days(begin, end, loop.timezone):
        went = log.outcomes_by_user(loop.name, version, day.begin, day.end)
        found = dict(zip((WITHOUT_ERROR, WELL_FORMED), went, strict=True))
        if day.end <= end - age:
            found |= zip(BY_FEEDBACK, log.feedback_by_user(loop.name, version, day.begin, day.end, age), strict=True)
        for name, each in found.items():
            total = sums.setdefault(name, [0.0, 0.0, 0.0])
            total[0] += went[0].users > 0
            total[1] += each.users
            total[2] += each.good
    return {name: (users / served, good / users) for name, (served, users, good) in sums.items() if users and served}


def reference_of(loop: LoopConfig, store: DatasetStore, control: Control) -> Reference | None:
    """What drift is compared with now, None before it is made. Raises DatasetError, StateDamaged, OSError."""
    state = read_state(control, loop.name)
    known = stored(store, loop.name, state.production) if state and state.production else None
    return known.reference if known else None


def run(loop: LoopConfig, volume: Volume, reference: Reference | None = None) -> dict[str, Any]:
    """The plan of each monitor as plain JSON. Raises InvalidInput, OSError when the golden set cannot be read."""
    golden = read_files(loop)[1]
    plans = [
        quality_plan(
            name, users, volume.levels[name], loop.monitors.quality_drop, len(volume.users), volume.age if name in BY_FEEDBACK else 0.0
        )
        for name, users in volume.users.items()
    ]
    plans += [*golden_plans(loop, len(golden.rows)), drift_plan(loop.retrain_on.drift, volume.requests, reference)]
    return {
        "loop": loop.name,
        "requests_per_day": volume.requests,
        "levels": dict(volume.levels),
        "measured": list(volume.measured),
        "quality_drop": loop.monitors.quality_drop,
        "reference_known": reference is not None,
        "monitors": [asdict(plan) | {"noticed": [asdict(each) for each in plan.noticed]} for plan in plans],
    }


def describe(plan: dict[str, Any]) -> str:
    """The plan of `run` as lines for a terminal."""
    rows = [_cells(each) for each in plan["monitors"]]
    drops = [f"{drop * 100:g} points" for drop in DROPS]
    head = ("monitor", "a day", "false alerts a quarter", *drops)
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    assumed = [name for name in plan["levels"] if name not in plan["measured"]]
    where = f"; assumed of {', '.join(assumed)}: a level of {LEVEL:g}, and how many users have one" if assumed else ""
    lines = [
        f"{plan['loop']}: {plan['requests_per_day']:,.0f} requests a day{where}",
        "median days until a lasting drop is noticed",
        "",
    ]
    lines += [f"{row[0]:<{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
              for row in (head, *rows)]  # fmt: skip
    lines += ["", *(f"{each['monitor']}: {each['sentence']}" for each in plan["monitors"])]
    return "\n".join(lines)


def _cells(plan: dict[str, Any]) -> tuple[str, ...]:
    bound = "<= " if plan["at_most"] else ""
    days = [f"> {AFTER}" if each["days"] is None else f"{each['days']:.3g}" for each in plan["noticed"]] or ["-"] * len(DROPS)
    return (
        plan["monitor"],
        f"{plan['per_day']:,.3g} {plan['counts']}" if plan["per_day"] < 100 else f"{plan['per_day']:,.0f} {plan['counts']}",
        f"{bound}{plan['false_alerts_a_quarter']:.2g}",
        *days,
    )
