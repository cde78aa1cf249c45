"""Reading what a loop did from Dagster's storage, the gateway and the reports: the demo only watches."""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from ftassets.assets._shared.events import data_version, history, metadata_value, newest, node
from ftassets.assets._shared.run_nodes import about, nodes_of
from ftassets.automation.instance import open_instance
from ftassets.automation.runs import TRAINS
from ftassets.backends.artifacts.reports import read_report
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts, embedded
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition
from ftassets.errors import FtassetsError


class EvalReportMissing(FtassetsError):
    """The loop has not made that many evaluation reports yet."""


@dataclass(frozen=True)
class DriftVerdictSeen:
    """One drift report: when it was recorded, the end of its window, its verdict and its reason."""

    at: float
    window_end: float
    verdict: str
    reason: str
    metadata: dict[str, Any]


class Observer:
    """Read-only view of one loop."""

    def __init__(self, home: Home, loop: str) -> None:
        self.artifacts = artifacts(home)
        self.loop = loop
        self.instance = open_instance(home)
        self.serving = embedded(home)["serving"]()

    def state(self) -> EndpointState:
        return self.serving.state(self.loop)

    def transitions(self) -> list[Transition]:
        """Shifts of traffic, without staging."""
        return [s for s in self.serving.journal() if s.loop == self.loop and s.moves_traffic]

    def runs(self) -> list[dg.RunRecord]:
        """All runs about the loop, whatever started them, oldest first."""
        records = self.instance.get_run_records(ascending=True)
        return [record for record in records if about(self.instance, record.dagster_run, self.loop)]

    def trains(self, run: dg.DagsterRun) -> bool:
        """Whether a run is to train a version."""
        return TRAINS in nodes_of(self.instance, run, self.loop)

    def drift_reports(self) -> list[DriftVerdictSeen]:
        """All drift reports, oldest first."""
        seen = []
        for at, event in history(self.instance, node(self.loop, "drift_report"), limit=200):
            values: dict[str, Any] = {name: entry.value for name, entry in event.metadata.items()}
            seen.append(DriftVerdictSeen(at, float(values["window_end"]), str(values["verdict"]), str(values["reason"]), values))
        return seen[::-1]

    def newest(self, name: str) -> dg.AssetMaterialization | None:
        return newest(self.instance, node(self.loop, name))

    def eval_report(self) -> dict[str, Any]:
        """The content of the newest evaluation report. Raises EvalReportMissing without one."""
        event = newest(self.instance, node(self.loop, "eval_report"))
        if event is None:
            raise EvalReportMissing(f"{self.loop} has no evaluation report: materialize eval_report")
        return read_report(self.artifacts, self.loop, "eval", data_version(event))

    def version(self, name: str) -> str | None:
        """Data version of a node's newest materialization: a digest or commit in full."""
        event = self.newest(name)
        return data_version(event) if event else None

    def value(self, name: str, field: str) -> Any:
        """One metadata value of a node's newest materialization; None without."""
        event = self.newest(name)
        return metadata_value(event, field) if event else None

    def steps(self, run_id: str) -> dict[str, tuple[float, float | None]]:
        """Begin and end (epoch seconds) of each finished or running step of a run."""
        found: dict[str, tuple[float, float | None]] = {}
        for stats in self.instance.get_run_step_stats(run_id):
            if stats.start_time:
                found[stats.step_key] = (stats.start_time, stats.end_time)
        return found


def launched_by(run: dg.DagsterRun) -> str:
    """`sensor:NAME`, `schedule:NAME` or `hand`, from the tags Dagster gives a run."""
    for kind in ("sensor", "schedule"):
        if name := run.tags.get(f"dagster/{kind}_name"):
            return f"{kind}:{name}"
    return "hand"
