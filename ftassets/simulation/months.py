"""A loop whose days pass: simulated traffic goes through the loop's retrain sensor, its drift and quality decisions, and real stores."""

import json
import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, pairwise, repeat
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np

from ftassets.assets._shared.events import data_version, newest, node
from ftassets.assets._shared.live import first_served
from ftassets.assets.drift_report.asset import compared_with, measure
from ftassets.assets.health.observe import Stores, observe
from ftassets.assets.quality_report import Earlier, Judged, follow_all, for_trigger, read_series, tell
from ftassets.automation import health, retrain, rollout
from ftassets.automation.jobs import TRIGGER, retrain_job_name
from ftassets.automation.schedules import next_retrain
from ftassets.backends.control.health import write_health
from ftassets.backends.control.latest import record_latest
from ftassets.backends.control.pauses import pause, pause_reason, resume
from ftassets.backends.control.shadow import read_shadow
from ftassets.backends.notifier.base import Alert, Notifier
from ftassets.backends.notifier.routing import routed
from ftassets.backends.traffic_log.base import Exchange, Feedback
from ftassets.backends.vector_store.base import QueryVector
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig, Notify, Task
from ftassets.config.profiles import artifacts, control, verifier
from ftassets.domain.chat import vector_space
from ftassets.domain.dataset.rows import Example
from ftassets.domain.drift.accumulation import WindowEvidence
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.health.notices import LASTS
from ftassets.domain.monitoring.finding import together
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.rollout.shadow_phase import is_copied, paired
from ftassets.domain.traffic.retention import DAY
from ftassets.simulation.history import History, JournaledServing, at_time
from ftassets.simulation.scenario import MOST_REQUESTS, Event, Scenario
from ftassets.simulation.topics import RecentVectors, TopicEmbedder, answer, text
from ftassets.simulation.trial import Candidate, judge
from ftassets.testing.local_stores import local_stores
from ftassets.testing.releases import make_version

BEGIN = datetime(2027, 1, 4)  # a Monday
ROWS = 1.2  # training rows of the first version, relative to what its reference needs
FOUND = 14 * DAY  # seconds for which people find wrong answers to correct
LOOKS = 48  # of the rollout sensor at a day on which a release or a canary waits for one
WORSE, BROKEN = 0.1, 0.3  # share of right answers that a worse version has less, and of requests to a broken one that fail
NOT_SIMULATED = ("live_golden_report", "behaviour_report")  # which count as passed


@dataclass
class Day:
    """What happened on a day: verdicts of its newest reports (None: none was made), the sensor's decision, what concerns a person at its
    end, and in words the rest.
    """

    day: int
    date: str
    requests: int
    unknown: float
    right: float
    labels: int
    drift: str | None = None
    quality: str | None = None
    decision: str = ""
    happened: list[str] = field(default_factory=list)
    concerns: list[str] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)


class Told(Notifier):
    """Keeps what people would be told."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def notify(self, alert: Alert) -> bool:
        self.alerts.append(alert)
        return True


@dataclass
class _Asked:
    """A wrong answer that somebody may correct later."""

    request: str
    at: float
    topic: str


class Simulation:
    """Days of a loop by a scenario, in a home and an instance of its own. Nothing is trained, served or sent.

    A training ends as the scenario says; what it trained knows the topics of which it had enough corrections. Requests, answers and the
    form of the task are simulated; triggers, monitors, budgets, label rules, gates on right answers, rollouts and health are the loop's.
    """

    def __init__(self, loop: LoopConfig, scenario: Scenario, home: Home, instance: dg.DagsterInstance) -> None:
        changed = {"notify": Notify(), "task": Task(system_prompt="simulated"), "automation": True}
        self.loop = loop.model_copy(update=changed)
        self.scenario, self.home = scenario, home
        self.now = self._midnight(0)
        self.told, self.trained = Told(), list[tuple[int, str]]()
        self.outcomes, self.moved = Counter[str](), Counter[str]()  # how trainings ended, and rollouts
        self._names_of: dict[str, str] = {}  # of versions that were trained
        self.knows: dict[str, frozenset[str]] = {}  # topics of each version
        self._ended: dict[str, str] = {}  # how the training of a version ended
        # what comes on a day has arrived before its end, when trainings read it
        self.traffic, self.store = local_stores(home, lambda: self.now - 1)
        self.serving = JournaledServing(loop.name, lambda: self.now)
        self.history, self.vectors, self.embedder = History(instance, loop.name, self.store), RecentVectors(), TopicEmbedder()
        self._rng = np.random.default_rng(scenario.seed)
        self._ends = chain(scenario.trainings, repeat(scenario.trainings[-1]))
        self._sensor = retrain.build(self.loop, lambda: self.now)
        self._rollout = rollout.build(self.loop, lambda: self.now)
        self._signer = verifier(home)
        self._cursor: str | None = None
        self._evidence: tuple[object, tuple[WindowEvidence, ...]] = (None, ())
        self._series, self._told_drops = Earlier(), list[str]()
        self._wrong, self._late = list[_Asked](), list[Feedback]()
        self._corrected = list[_Asked]()
        self._day = 0
        with at_time(self.now):
            self._first_version()

    def _midnight(self, day: int) -> float:
        """When a day begins, in the loop's time zone."""
        return (BEGIN + timedelta(days=day)).replace(tzinfo=ZoneInfo(self.loop.timezone)).timestamp()

    @property
    def ledger(self) -> int:
        """Retrains that a loop in mode observe would have started."""
        return len(read_shadow(control(self.home), self.loop.name))

    def days(self, count: int) -> Iterator[Day]:
        """Let so many days pass, one by one."""
        for _ in range(count):
            begin, self.now = self.now, self._midnight(self._day + 1)
            told = len(self.told.alerts)
            end, reports = self.now, dict[str, str]()
            found = self._traffic(begin, end)
            self.now = end
            for at, make in self._due(begin, self.now):
                with at_time(at):
                    reports[make.__name__] = make(at)
            found.drift, found.quality = reports.get("_drift"), reports.get("_quality")
            for event in self.scenario.ordered:
                found.happened += self._by_hand(event)
            with at_time(self.now):
                for _ in range(2):
                    found.decision = self._tick(found)
            self._health(found)
            found.alerts = self.told.alerts[told:]
            self._day += 1
            yield found

    # the traffic of a day

    def _traffic(self, begin: float, end: float) -> Day:
        scenario, rng, day = self.scenario, self._rng, self._day
        now = {event.kind: event for event in scenario.ordered if event.lasts(day) and event.kind != "topic"}
        weekday = datetime.fromtimestamp(begin, ZoneInfo(self.loop.timezone)).weekday()
        usual = scenario.requests * scenario.week[weekday] * 7 / sum(scenario.week)
        factor = now["traffic"].traffic if "traffic" in now else 1.0
        count = min(int(rng.poisson(usual * (factor or 1.0))), MOST_REQUESTS)
        topics, known = self._topics(count), self.knows[self.serving.now.production or ""]
        change = (now["quality"].quality or 0.0) if "quality" in now else 0.0
        level = float(rng.normal(change, scenario.day_effects))
        luck, down = rng.uniform(size=count), rng.uniform(size=count)
        outage = (now["outage"].outage or 0.0) if "outage" in now else 0.0
        says = rng.uniform(size=count) < (scenario.feedback if "feedback" not in now else now["feedback"].feedback or 0.0)
        times, told = np.sort(rng.uniform(begin, end, count)), list[str]()
        right, failed, rows = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool), list[Exchange]()
        edges = np.linspace(begin, end, LOOKS + 1) if self._rolls() else np.array([begin, end])
        for since, until in pairwise(edges.tolist()):
            came = range(*np.searchsorted(times, [since, until]))
            asked = []
            for place in came:
                row = self._exchange(topics[place], float(times[place]))
                right[place] = luck[place] < self._chance(row.version, topics[place]) + level
                failed[place] = down[place] < max(outage, BROKEN if self._ended.get(row.version) == "breaks" else 0.0)
                said = answer(topics[place] if right[place] else "wrong")
                asked.append(replace(row, answer="", status=502) if failed[place] else replace(row, answer=said))
            self.now = until
            asked = [row.judged(self.loop.task.form) for row in asked]
            self.traffic.append(asked)
            if self.serving.now.in_shadow:
                self._copies(asked, [topics[place] for place in came], level, outage)
            rows += asked
            if len(edges) > 2:
                with at_time(until):
                    told += self._roll()
        vectors = [QueryVector(row.id, row.at, row.version, row.prompt, np.empty(0)) for row in rows if row.status == 200]
        self._embed(vectors, end)
        for row, topic, good, said in zip(rows, topics, right, says & ~failed, strict=True):
            if not good and row.status == 200:
                self._wrong.append(_Asked(row.id, row.at, topic))
            if said:
                gives = not good and rng.uniform() < scenario.corrects
                late = scenario.late if good or scenario.complaints_late is None else scenario.complaints_late
                at = row.at + (float(rng.exponential(late)) * DAY if late else 0.0)
                self._late.append(Feedback(row.id, at, "up" if good else "down", answer(topic) if gives else None))
        self._wrong = [each for each in self._wrong if each.at > end - FOUND]
        labels = self._feedback(end) + self._people("labels" in now and now["labels"].labels or 0, end)
        if "spam" in now:
            self._spam(now["spam"], begin, end)
        good = float(right[~failed].mean()) if not failed.all() else 0.0
        unknown = float(np.mean([topic not in known for topic in topics])) if topics else 0.0
        date = datetime.fromtimestamp(begin, ZoneInfo(self.loop.timezone)).strftime("%Y-%m-%d")
        return Day(day, date, count, unknown, good, labels, happened=told)

    def _copies(self, rows: list[Exchange], topics: list[str], level: float, outage: float) -> None:
        """What the candidate in shadow answers to the copies of requests that production has answered."""
        candidate, policy, form = self.serving.now.candidate or "", self.loop.rollout.shadow, self.loop.task.form
        pairs = []
        for row, topic in zip(rows, topics, strict=True):
            if policy and is_copied(self.loop.name, candidate, row.id, policy.sample):
                luck, down = self._rng.uniform(size=2)
                failed = down < max(outage, BROKEN if self._ended.get(candidate) == "breaks" else 0.0)
                said = answer(topic if luck < self._chance(candidate, topic) + level else "wrong")
                mine = replace(row, version=candidate, answer="" if failed else said, status=502 if failed else 200, weight=0.0)
                pairs.append(paired(row, replace(mine, well_formed=None, refused=None).judged(form), form))
        self.traffic.append_shadow(pairs)

    def _topics(self, count: int) -> list[str]:
        """Topics of requests: those of the events by their shares, and the first ones, of which some are more frequent."""
        shares = {
            e.topic or "": e.share * min(1.0, (self._day - e.day + 1) / e.over)
            for e in self.scenario.ordered
            if e.topic and e.day <= self._day
        }
        first = self._names()
        weights = np.array([1 / (place + 5) for place in range(len(first))])
        rest = max(0.0, 1 - sum(shares.values()))
        p = np.concatenate([rest * weights / weights.sum(), list(shares.values())]) if shares else weights
        return [str(name) for name in self._rng.choice([*first, *shares], size=count, p=p / p.sum())]

    def _chance(self, version: str, topic: str) -> float:
        """Share of right answers of a version on a topic, on a usual day."""
        known = topic in self.knows[version]
        return (self.scenario.quality if known else self.scenario.unknown) - (WORSE if self._ended.get(version) == "worse" else 0.0)

    def _exchange(self, topic: str, at: float, user: str = "", prompt: str = "") -> Exchange:
        """A request and the version that its user is on; it has no answer yet."""
        name = uuid.UUID(int=int.from_bytes(self._rng.bytes(16), "big")).hex
        prompt, user, state = prompt or text(topic, name), user or f"user {name}", self.serving.now
        version = state.choose(self.loop.name, user) or ""
        return Exchange(
            id=name, loop=self.loop.name, version=version, user=user, prompt=prompt,
            messages=json.dumps([{"role": "user", "content": prompt}]), answer="", status=200, at=at,
            latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=float(state.weights[version]),
        )  # fmt: skip

    def _embed(self, points: list[QueryVector], end: float) -> None:
        if points:
            found = self.embedder.embed([point.text for point in points])
            made = [QueryVector(p.request_id, p.at, p.version, p.text, v) for p, v in zip(points, found, strict=True)]
            self.vectors.add(self.loop.name, self._space, made)
        self.vectors.expire(self.loop.name, self._space, end - 2 * self.loop.retrain_on.drift.window - DAY)

    @property
    def _space(self) -> str:
        return vector_space(self.embedder.id, self.loop.dataset.context)

    def _feedback(self, end: float) -> int:
        """Feedback that came up to now; how many corrections it has."""
        came = [each for each in self._late if each.at < end]
        self._late = [each for each in self._late if each.at >= end]
        for each in came:
            self.traffic.add_feedback(each)
        corrections = {each.request_id for each in came if each.correction is not None}
        self._corrected += [each for each in self._wrong if each.request in corrections]
        return len(corrections)

    def _people(self, count: int, end: float) -> int:
        """People correct so many of the newest wrong answers that have no correction yet."""
        done = {each.request for each in self._corrected}
        chosen = [each for each in reversed(self._wrong) if each.request not in done][:count]
        for each in chosen:
            self.traffic.add_feedback(Feedback(each.request, end - 1, "down", answer(each.topic)))
        self._corrected += chosen
        return len(chosen)

    def _spam(self, event: Event, begin: float, end: float) -> None:
        rows = []
        for number in range(event.spam or 0):
            words = ["please", "switch", "the", "lamp", "in", "my", "hall", "off", "now"]
            if event.varied:
                words[int(self._rng.integers(len(words)))] = f"{uuid.UUID(int=number).hex[::-1][:6]}{self._day}"
            user = f"spammer {number % event.users}"
            rows.append(self._exchange("spam", (begin + end) / 2, user=user, prompt=" ".join(words)))
        self.traffic.append([replace(row, answer=answer("wrong")).judged(self.loop.task.form) for row in rows])
        for row in rows:
            self.traffic.add_feedback(Feedback(row.id, row.at, "down", answer("spam")))

    # reports, as the assets make them

    def _due(self, begin: float, end: float) -> list[tuple[float, Callable[[float], str]]]:
        """Reports that fall due in a span, by their schedules."""
        drift = [(at, self._drift) for at in self._ticks(self.loop.retrain_on.drift.every, begin, end)]
        quality = [(at, self._quality) for at in self._ticks(self.loop.monitors.every, begin, end)]
        return sorted([*drift, *quality], key=lambda each: each[0])

    def _ticks(self, cron: str, begin: float, end: float) -> Iterator[float]:
        at = begin
        while (at := next_retrain(cron, at, self.loop.timezone)) < end:
            yield at
            at += 1  # a time is its own next one

    def _drift(self, end: float) -> str:
        loop, state = self.loop, self.serving.now
        known, replaced = compared_with(
            f"simulated-{end:.0f}", loop, state.production, (state.standby,), artifacts(self.home), self.traffic, self.store, self.vectors,
            self.embedder, end,
        )  # fmt: skip
        about = (state.production, known.until if known else None)
        earlier = self._evidence[1] if self._evidence[0] == about else ()
        length = loop.retrain_on.drift.window
        found = measure(
            loop, end, length, state.production, known, self.vectors, self.store, artifacts(self.home), replaced, earlier if known else None
        )
        self._evidence = about, tuple(found.added)
        shares = {s.name: s.value for s in found.comparison.statistics if s.name == "novelty_share"}
        self.history.materialized(
            "drift_report", f"drift{end:.0f}", verdict=found.comparison.verdict.value, production=(state.production or "")[:12],
            window_begin=dg.MetadataValue.timestamp(found.begin), window_end=dg.MetadataValue.timestamp(end), **shares,
        )  # fmt: skip
        self._latest("drift_report", found.comparison.verdict.value, end)
        return found.comparison.verdict.value

    def _quality(self, end: float) -> str:
        loop, production = self.loop, self.serving.now.production or ""
        known = self._series.series if self._series.production == production else {}
        series = read_series(loop, self.traffic, production, known, first_served(self.serving, loop.name, production), end)
        found = follow_all(loop, production, (end - loop.retrain_on.drift.window, end), series, Judged())
        told = tell(loop, routed(control(self.home), loop, self.told), found, self._series)
        self._series = Earlier(production, found.series, told=told)
        verdict = together(found.findings)
        self._latest("quality_report", verdict.verdict.value, end)
        for name in NOT_SIMULATED:
            self._latest(name, Verdict.PASS.value, end)
        self.history.materialized(
            "quality_report", f"quality{end:.0f}", verdict=verdict.verdict.value, production=production[:12], **for_trigger(found)
        )
        return verdict.verdict.value

    def _latest(self, name: str, verdict: str, at: float) -> None:
        """The newest report as health reads it."""
        record_latest(control(self.home), self.loop.name, name, LatestReport(at=at, version=self.serving.now.production, verdict=verdict))

    def _health(self, found: Day) -> None:
        """What concerns a person at the end of a day, and what the health sensor sends of it; Dagster's own state is not simulated."""
        stores = Stores(control(self.home), self.traffic, self.serving, self._signer, None)
        for at in (self.now - 2 * LASTS, self.now):
            seen = observe(self.loop, stores, at)
            write_health(control(self.home), self.loop.name, seen)
            health.tell(self.loop, control(self.home), routed(control(self.home), self.loop, self.told), seen)
        found.concerns = [each.key for each in seen.concerns]

    # rollouts

    def _rolls(self) -> bool:
        """Whether a canary runs, or a release has not had its turn."""
        release = newest(self.history.instance, node(self.loop.name, "release"))
        state = self.serving.now
        return state.candidate is not None or (release is not None and data_version(release) not in (state.production, *state.rejected))

    def _roll(self) -> list[str]:
        """What the rollout sensor does now, in words."""
        before = self.serving.now
        result = self._rollout(self._context(self._rollout, None))
        for request in (result.run_requests or ()) if isinstance(result, dg.SensorResult) else ():
            asked = request.run_config["ops"][f"{self.loop.name}__endpoint"]["config"]
            lease, by = self.loop.rollout.lease, "simulated"
            if asked["action"] == "start":
                release = newest(self.history.instance, node(self.loop.name, "release"))
                assert release is not None
                self.serving.start(self.loop.name, data_version(release), asked.get("weight", 0), lease, by, asked["reason"])
            elif asked["action"] == "ramp":
                self.serving.ramp(self.loop.name, asked["weight"], lease, by, asked["reason"])
        now = self.serving.now
        if now.production != before.production:
            self.moved["promoted"] += 1
            return [f"{self._name(now.production)} is promoted"]
        if before.candidate and not now.candidate:
            self.moved["rolled back"] += 1
            return [f"{self._name(before.candidate)} is rolled back: {self.serving.transitions[-1].reason}"]
        return [f"{self._name(now.candidate)} has {now.weight} % of requests"] if now.weight != before.weight else []

    def _name(self, version: str | None) -> str:
        return self._names_of.get(version or "", "a version")

    # what people do, and what the sensor starts

    def _by_hand(self, event: Event) -> list[str]:
        """What begins or ends today, in words."""
        loop, store = self.loop.name, control(self.home)
        if event.kind == "pause" and self._day == event.day + event.days and pause_reason(store, loop) is not None:
            resume(store, loop, "simulated", "a person", self.now)
            return ["the loop is resumed"]
        if self._day != event.day:
            over = self._day == event.day + event.days and event.kind not in ("topic", "promotion", "rollback", "pause")
            return [f"{event.kind}: over"] if over else []
        if event.pause is not None:
            pause(store, loop, event.pause, "a person", self.now)
            return [f"the loop is paused: {event.pause}"]
        if event.promotion is not None:
            current = self.serving.now.production or ""
            self._promote(f"unrelated{self._day}", self.knows[current])
            return ["a person promotes a version that learnt nothing new"]
        if event.rollback is not None:
            state = self.serving.now
            if state.candidate is None and state.standby is None:
                return ["there is no version to go back to"]
            self.serving.rollback(loop, "simulated", "by hand")
            return ["a person goes back to the version before" if state.candidate is None else "a person takes the canary out"]
        if event.topic is not None:
            return [f"the topic {event.topic} arrives, up to {event.share:.0%} of requests in {event.over} d"]
        return [f"{event.kind}: {getattr(event, event.kind):g} for {event.days} d"]

    def _context(self, sensor: dg.SensorDefinition, cursor: str | None) -> dg.SensorEvaluationContext:
        resources = {
            "serving": self.serving, "traffic_log": self.traffic, "dataset_store": self.store, "artifacts": artifacts(self.home),
            "control": control(self.home), "notifier": self.told, "signer": self._signer,
        }  # fmt: skip
        needed = {name: resources[name] for name in sensor.required_resource_keys}
        return dg.build_sensor_context(instance=self.history.instance, cursor=cursor, resources=needed)

    def _tick(self, found: Day) -> str:
        result = self._sensor(self._context(self._sensor, self._cursor))
        if isinstance(result, dg.SkipReason):
            return result.skip_message or ""
        assert isinstance(result, dg.SensorResult)
        self._cursor = result.cursor
        for request in result.run_requests or ():
            found.happened.append(self._trained(request))
        return result.skip_reason.skip_message or "" if result.skip_reason else "RETRAIN"

    def _trained(self, request: dg.RunRequest) -> str:
        """A training, which ends at once as the scenario says."""
        end, number = next(self._ends), len(self.trained) + 1
        self.trained.append((self._day, end))
        tags = {TRIGGER: request.tags[TRIGGER]}
        since = self.now - self.loop.dataset.production_window
        usable = [each for each in self._corrected if each.at >= since]
        enough = {topic for topic, count in Counter(each.topic for each in usable).items() if count >= self.scenario.learns_from}
        what, job = f"training {number} ({request.tags[TRIGGER]})", retrain_job_name(self.loop.name)
        current = self.knows[self.serving.now.production or ""]
        if end in ("trained", "worse", "breaks"):
            version = self._version(f"training{number}", current | enough, usable)
            self._ended[version], self._names_of[version] = end, f"version {number}"
            learnt = ", ".join(sorted(enough - current)) or "no new topic"
            results = self._judged(version)
            against = [each for each in results if each.verdict is not Verdict.PASS]
            self.outcomes["refused" if against else "released"] += 1
            if against:
                self.history.refused(tags)
                return f"{what}: learns {learnt}, is refused: {'; '.join(f'{each.name} {each.verdict.value}' for each in against)}"
            self.history.ran(job, dg.DagsterRunStatus.SUCCESS, tags)
            self.history.materialized("release", version)
            return f"{what}: learns {learnt}, is released"
        self.outcomes[end] += 1
        if end == "refused":
            self._dataset(f"training{number}", current, usable)
            self.history.refused(tags)
        else:
            status = dg.DagsterRunStatus.CANCELED if end == "cancelled" else dg.DagsterRunStatus.FAILURE
            self.history.ran(job, status, tags)
        return f"{what}: {end}"

    def _judged(self, version: str) -> list[GateResult]:
        """Verdicts of the gates on a version, with golden rows as requests are today and held-out rows of its topics."""
        production = self.serving.now.production or ""
        known, rng = self.knows[production], self._rng
        held_out = rng.choice(sorted(self.knows[version]), size=math.ceil(self.loop.dataset.split[2] * self._rows_of_topics()))
        trial = Candidate(version, production, lambda topic: self._chance(version, topic), lambda topic: self._chance(production, topic))
        return judge(self.loop, trial, known, self._topics(self.scenario.golden), [str(topic) for topic in held_out], rng)

    # versions

    def _names(self) -> list[str]:
        return [f"topic{chr(97 + place // 26)}{chr(97 + place % 26)}" for place in range(self.scenario.topics)]

    def _first_version(self) -> None:
        self._promote("first", frozenset(self._names()))

    def _promote(self, name: str, knows: frozenset[str]) -> None:
        """A version that serves at once, as one that a person promotes."""
        digest = self._version(name, knows, [])
        if self.serving.now.candidate is not None:
            self.serving.rollback(self.loop.name, "simulated", f"in favour of {name}")
        self.serving.start(self.loop.name, digest, 100, 600.0, "simulated", name)
        self.history.materialized("release", digest)

    def _version(self, name: str, knows: frozenset[str], labels: list[_Asked]) -> str:
        digest = make_version(self.home, name, dataset_commit=self._dataset(name, knows, labels))
        self.knows[digest] = knows
        return digest

    def _rows_of_topics(self) -> int:
        """Rows of topics in a dataset: a little more than its drift reference needs."""
        policy = self.loop.retrain_on.drift
        return math.ceil(ROWS * policy.reference_windows * policy.min_sample)

    def _dataset(self, name: str, knows: frozenset[str], labels: list[_Asked]) -> str:
        """A dataset of the topics that a version knows and of labels; its commit."""
        each = math.ceil(self._rows_of_topics() / len(knows))
        rows = [self._row(topic, f"{topic}{number}") for topic in sorted(knows) for number in range(each)]
        rows += [self._row(label.topic, label.request) for label in labels]
        return self.history.dataset(name, rows, self.now)

    def _row(self, topic: str, name: str) -> Example:
        return Example(id=name, messages=[{"role": "user", "content": text(topic, name)}], completion=answer(topic))


def costs(simulation: Simulation, found: list[Day]) -> dict[str, Any]:
    """What the days cost: labels, trainings by how they ended, and what people were told."""
    told = simulation.told.alerts
    return {
        "labels": sum(day.labels for day in found),
        "trainings": dict(simulation.outcomes),
        "rollouts": dict(simulation.moved),
        "would_have_trained": simulation.ledger,
        "told": dict(Counter(alert.severity for alert in told if not alert.resolved)),
        "resolved": sum(alert.resolved for alert in told),
    }
