"""The demo: users talk to a loop, their topics change, and the loop takes it from there."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from ftassets.automation.ownership import died
from ftassets.backends.serving.base import ServingError
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import LOOPS, read_loops
from ftassets.config.profiles import embedded, traffic_log
from ftassets.demo.client import Users
from ftassets.demo.last_runs import end_runs
from ftassets.demo.memory import MemoryWatch
from ftassets.demo.observer import Observer, launched_by
from ftassets.demo.screen import Screen, final_tables
from ftassets.demo.summary import collect, side_by_side
from ftassets.demo.traffic import CORRECTED, chapters
from ftassets.demo.voice_commands import Utterance
from ftassets.durable import write_durably
from ftassets.errors import FtassetsError
from ftassets.processes.up import Ports, down, up
from ftassets.wording import amount

LOOP = "voice_commands"
BOOTSTRAP_LIMIT = 1500.0  # seconds until the demo gives up on a stage
RETRAIN_LIMIT = 1800.0
LAST_RUNS_LIMIT = 180.0
WINDOW_SECONDS = 25  # of the clock's minute that must be left to begin a quiet window


class DemoFailed(FtassetsError):
    """A step of the demo failed; the message names the log to read."""


def run(home: Home, ports: Ports, keep_open: bool) -> None:
    """Tell the story in a fresh home. Raises DemoFailed, UpFailed."""
    loop = read_loops(LOOPS)[LOOP]
    begin = time.time()
    stages: dict[str, float] = {}
    with Screen() as screen, fresh(home), MemoryWatch(str(home.root)) as memory:
        screen.now("starting gateway, code server, daemon and UI")
        with processes(home, ports):
            stages["start"] = time.time() - begin
            screen.line(f"Dagster UI at http://127.0.0.1:{ports.ui}/locations/ftassets/asset-groups/{LOOP}/lineage")
            screen.settings(loop)
            teller = _Teller(home, loop, screen, stages)
            teller.tell()
            if not keep_open:  # what checks the new version has just begun
                end_runs(home, LAST_RUNS_LIMIT, screen.now)
            users = teller.users
            stages["total"] = time.time() - begin
            summary = collect(teller.observer, loop, users, traffic_log(home), teller.quiet, teller.drifted, stages, memory.peak_mb)
            summary["timeline"] = screen.told
            path, requests = home.root / "summary.json", summary["requests"]
            write_durably(path, json.dumps(summary, indent=2))
            screen.__exit__()
            final_tables(screen.console, summary, side_by_side(teller.observer, embedded(home)["dataset_store"]()))
            screen.console.print(
                f"{stages['total'] / 60:.1f} minutes; {amount(requests['sent'], 'request')} sent, {requests['answered']} answered, "
                f"{requests['logged']} logged; peak memory {summary['peak_memory_mb']} MB. All figures: {os.path.relpath(path)}"
            )
            if keep_open:
                screen.console.print(f"The UI stays at http://127.0.0.1:{ports.ui} until Ctrl-C.")
                with _quiet_interrupt():
                    threading.Event().wait()


@contextmanager
def fresh(home: Home) -> Iterator[None]:
    """An empty home for a new story; the home of an earlier demo is marked, so that nothing else is ever removed."""
    marker = home.root / "demo-home"
    if home.root.exists() and any(home.root.iterdir()) and not marker.exists():
        raise DemoFailed(f"{home.root} holds something else than a demo: set FTASSETS_HOME to another folder, or unset it")
    down(home)
    shutil.rmtree(home.root, ignore_errors=True)
    home.root.mkdir(parents=True)
    marker.touch()
    yield


@contextmanager
def processes(home: Home, ports: Ports) -> Iterator[None]:
    """Everything `ftassets up` starts, in the background, ended afterwards. Raises UpFailed."""
    up(home, ports, loops=LOOPS, foreground=False)
    try:
        yield
    finally:
        end_runs(home, 0)
        down(home)


@contextmanager
def _quiet_interrupt() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        return


class _Teller:
    """Sends the traffic of each chapter and waits for what the loop makes of it."""

    def __init__(self, home: Home, loop: LoopConfig, screen: Screen, stages: dict[str, float]) -> None:
        self.home, self.loop, self.screen, self.stages = home, loop, screen, stages
        self.observer = Observer(home, loop.name)
        self.users = Users(self.observer.serving.public_url, loop.name)
        self.quiet: list[float] = []
        self.drifted: list[float] = []
        self._told: set[str] = set()

    def tell(self) -> None:
        with self._stage("first version"):
            self._wait(
                "the first version: seed examples, training, gates, release",
                lambda: bool(self.observer.state().production),
                BOOTSTRAP_LIMIT,
            )
        first = self.observer.state().production
        said = chapters(self.loop.retrain_on.drift.reference_requests)
        with self._stage("quiet windows"):
            self.screen.line("users say what production knows")
            self.users.say(said.first)
            for utterances in said.quiet:
                self._window(self.quiet, utterances)
            self.screen.line("a harmless change: known commands in another mix")
            self._window(self.quiet, said.mixed)
        with self._stage("drifted windows"):
            self.screen.line("timers, media, vacuum and lists arrive; users correct the answers, some of them wrongly", "bold")
            self._window(self.drifted, said.drifted, correct=CORRECTED, others=said.others)
            self._wait("the drift report", self._alarmed, 180)
        with self._stage("retrain"):
            self._wait("a retrain, started by the drift sensor", lambda: self._released(first), RETRAIN_LIMIT)
        with self._stage("rollout"):
            done = threading.Event()
            talking = [threading.Thread(target=self.users.trickle, args=(said.everyday[i::16], done, 0.4), daemon=True) for i in range(16)]
            for thread in talking:
                thread.start()
            try:
                self._wait("canary, ramp, production", lambda: self.observer.state().production not in (first, None), 600)
            finally:
                done.set()
                for thread in talking:
                    thread.join()
        self._news()

    def _released(self, first: str | None) -> bool:
        return self.observer.version("release") not in (None, first)

    def _alarmed(self) -> bool:
        return any(seen.window_end in self.drifted and seen.verdict == "ALARM" for seen in self.observer.drift_reports())

    def _window(self, kind: list[float], utterances: list[Utterance], **how: object) -> None:
        """Send one window's queries, within one minute of the clock where the machine is fast enough, and wait for its end."""
        now = time.time()
        if now % 60 > 60 - WINDOW_SECONDS:  # too late for this minute: the window would fall apart into two
            self._pause_until(now - now % 60 + 60)
        first = time.time() // 60 * 60 + 60
        self.users.say(utterances, **how)  # type: ignore[arg-type]
        last = time.time() // 60 * 60 + 60
        kind.extend(np.arange(first, last + 1, 60.0).tolist())
        self._pause_until(last)

    def _pause_until(self, moment: float) -> None:
        while (left := moment - time.time()) > 0:
            self.screen.now(f"waiting for the minute to end, {left:.0f} s: drift reports run on a cron")
            self._news()
            time.sleep(min(4.0, left))

    def _wait(self, what: str, done: Callable[[], bool], limit: float) -> None:
        end = time.time() + limit
        while True:
            try:
                self._news()
                if done():
                    return
            except ServingError as error:  # the gateway may be starting again
                self.screen.now(str(error))
            if refused := self._failed():
                raise DemoFailed(refused)
            if time.time() > end:
                raise DemoFailed(f"waited {limit:.0f} s for {what}: open the runs in the UI")
            self.screen.now(f"waiting for {what}{self._progress()}")
            time.sleep(4.0)

    def _failed(self) -> str | None:
        for record in self.observer.runs():
            run = record.dagster_run
            if run.is_failure and not died(run) and self.observer.trains(run):
                from ftassets.automation.runs import refusals

                why = "; ".join(refusals(self.observer.instance, run.run_id)) or "see the run in the UI"
                return f"the retrain {run.run_id[:8]} ended without a release: {why}"
        return None

    def _progress(self) -> str:
        for record in reversed(self.observer.runs()):
            run = record.dagster_run
            if not run.is_finished and self.observer.trains(run):
                open_steps = [step for step, (_, end) in self.observer.steps(run.run_id).items() if end is None]
                return f" ({', '.join(step.removeprefix(LOOP + '__') for step in open_steps) or 'starting'})"
        return ""

    def _news(self) -> None:
        """Tell what has happened since the last look."""
        for seen in self.observer.drift_reports():
            style = "bold red" if seen.verdict == "ALARM" else ""
            if seen.verdict != "NOT ENOUGH DATA":
                self._once(f"drift:{seen.window_end}", f"drift report: {seen.verdict}, {seen.reason}", style)
        for record in self.observer.runs():
            run = record.dagster_run
            if run.job_name.endswith("__watch"):
                continue
            self._once(f"run:{run.run_id}", f"run {run.job_name.removeprefix(LOOP + '__')} started by {launched_by(run)}")
        if (commit := self.observer.value("curated_dataset", "commit")) and (rows := self.observer.value("curated_dataset", "rows")):
            dropped = self.observer.value("curated_dataset", "quarantined")
            self._once(f"dataset:{commit}", f"dataset committed: {amount(rows, 'row')}, {dropped} quarantined, commit {str(commit)[:10]}")
        if digest := self.observer.value("adapter", "digest"):
            seconds = self.observer.value("adapter", "train_seconds")
            self._once(f"adapter:{digest}", f"adapter {str(digest)[:12]} trained in {seconds:.0f} s")
        if digest := self.observer.value("release", "digest"):
            self._once(f"release:{digest}", f"release {str(digest)[:12]}: every gate passed, attested and signed", "green")
        for transition in self.observer.transitions():
            weights = ", ".join(f"{version[:12]} {weight} %" for version, weight in transition.state.weights.items())
            self._once(f"transition:{transition.number}", f"traffic: {transition.action}, {weights}", "green")

    def _once(self, key: str, text: str, style: str = "") -> None:
        if key not in self._told:
            self._told.add(key)
            self.screen.line(text, style)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        begin = time.time()
        yield
        self.stages[name] = time.time() - begin
