"""How good are the live answers, by a judge or by what users say of them?"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from ftassets.assets._shared import live
from ftassets.assets._shared.accepted import golden_commit
from ftassets.assets._shared.dataset_files import scored_golden
from ftassets.assets._shared.events import DATA_VERSION, data_version, newest, node
from ftassets.assets._shared.held_back import gains_table, promotion_gains
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.stored_reports import keep_report, place
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_report, report_key
from ftassets.backends.control.base import Control
from ftassets.backends.control.latest import record_latest
from ftassets.backends.dataset_store.base import DatasetError, DatasetStore
from ftassets.backends.llm_judge.base import Judgement, JudgeUnreachable, NotJudged
from ftassets.backends.notifier.base import Notifier
from ftassets.backends.notifier.routing import alert_about, routed
from ftassets.backends.serving.base import Serving
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.cron import ticks_a_day
from ftassets.config.loop import LlmJudgeSettings, LoopConfig
from ftassets.config.profiles import llm_judge
from ftassets.domain.chat import Asked, request_body
from ftassets.domain.evaluation.sampling import reservoir
from ftassets.domain.evaluation.scored_turns import last_answers
from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.feedback_age import AGES, MEASURED, feedback_age
from ftassets.domain.monitoring.finding import Finding, together
from ftassets.domain.monitoring.judge_anchors import Anchor, JudgeDrift, anchors, follow_judged, judge_drift, risk_of_a_report
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.monitoring.quality import (
    BY_FEEDBACK,
    JUDGED,
    LATE,
    MEASURES,
    NOT_DISLIKED,
    WELL_FORMED,
    WITHOUT_ERROR,
    Day,
    QualityPoint,
    Series,
    fallen_most,
    follow,
    local_days,
)
from ftassets.domain.rollout.hold_back import Gain
from ftassets.domain.traffic.exchange import ByUser, Exchange, asked_of
from ftassets.domain.traffic.retention import DAY
from ftassets.reporting.tables import table
from ftassets.reporting.trends import Point, trend
from ftassets.wording import span

CHECK = "no_sustained_drop"
CLIENTS = 4  # answers judged at once


@dataclass(frozen=True)
class Judged:
    """Judge scores of a sample as (request id, judgement), and the reasons why other answers have no score.

    `until` (epoch seconds) is up to when answers were judged, None before the first; `values` are the scores in 0..1 with their users.
    `anchors` are the scores of rows with fixed answers that later ones are compared with, `drift` what that showed.
    """

    identity: str | None = None
    until: float | None = None
    scores: list[tuple[str, Judgement]] = field(default_factory=list)
    not_judged: list[tuple[str, str]] = field(default_factory=list)
    values: list[tuple[str, float]] = field(default_factory=list)
    anchors: Mapping[str, int] = field(default_factory=dict)
    drift: JudgeDrift | None = None


@dataclass(frozen=True)
class Earlier:
    """What the report before this one left: the series of its version, up to when it judged, the first scores of its judge's anchors,
    and the drops that people were told of."""

    production: str | None = None
    series: Mapping[str, Series] = field(default_factory=dict)
    llm_judge: str | None = None
    judged_until: float | None = None
    anchors: Mapping[str, int] = field(default_factory=dict)
    told: Sequence[str] = ()


@dataclass(frozen=True)
class Found:
    """What one report finds about a version; `told` are the drops that people know of now.

    Feedback counts up to `age` seconds after its answer; `gains` are those of the promotion, where users are held back.
    """

    production: str | None
    window: tuple[float, float]
    series: dict[str, Series] = field(default_factory=dict)
    measured: dict[str, QualityPoint] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    judged: Judged = field(default_factory=Judged)
    told: Sequence[str] = ()
    age: float | None = None
    gains: Sequence[Gain] = ()


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: one report a run, with the check `no_sustained_drop`."""
    key = node(loop.name, "quality_report")

    @asset(
        loop,
        __doc__,
        {"python"} | ({"openai"} if loop.monitors.llm_judge else set()),
        deps=["traffic"],
        check_specs=[dg.AssetCheckSpec(CHECK, asset=key, description="No measure of live quality has dropped and stayed down.")],
        freshness_policy=live.freshness(loop),
    )
    def quality_report(
        context: dg.AssetExecutionContext,
        artifacts: dg.ResourceParam[Artifacts],
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
        dataset_store: dg.ResourceParam[DatasetStore],
        serving: dg.ResourceParam[Serving],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.MaterializeResult:
        begin, end = live.window_of(context, loop)
        state = serving.state(loop.name)
        production = state.production
        try:
            earlier = _earlier(artifacts, loop, newest(context.instance, key))
        except ReportDamaged as error:  # no report could be made any more if this one had to be read
            context.log.warning(f"quality is followed from the traffic log anew: {error}")
            earlier = Earlier()
        if production is None:
            found = Found(None, (begin, end), findings=[live.NO_PRODUCTION], told=earlier.told)
            return _materialize(loop, context, artifacts, control, found, [])
        known, judged = (earlier.series if earlier.production == production else {}), Judged()
        if loop.monitors.llm_judge:  # only a judge needs texts
            fixed = _anchors(context, loop, dataset_store)
            judged = _judge(loop, loop.monitors.llm_judge, traffic_log, production, (begin, end), earlier, fixed)
        for why in sorted({reason for _, reason in judged.not_judged})[:5]:
            context.log.warning(f"not judged: {why}")
        if judged.identity not in (None, earlier.llm_judge) or (judged.drift and judged.drift.changed):
            known = {name: each for name, each in known.items() if name != JUDGED}  # scores of two judges are not compared
        began = live.first_served(serving, loop.name, production)
        series = with_judged(read_series(loop, traffic_log, production, known, began, end), judged.values, end, loop.timezone)
        found = follow_all(loop, production, (begin, end), series, judged)
        told = tell(loop, routed(control, loop, notifier), found, earlier)
        found = replace(found, told=told, gains=promotion_gains(traffic_log, loop, state))
        return _materialize(loop, context, artifacts, control, found, live.past_reports(context.instance, key))

    return quality_report


def _earlier(artifacts: Artifacts, loop: LoopConfig, report: dg.AssetMaterialization | None) -> Earlier:
    """What the newest report knew: no other is read. Raises ReportDamaged."""
    if report is None or DATA_VERSION not in (report.tags or {}):
        return Earlier()
    stored = read_report(artifacts, loop.name, "quality", data_version(report))
    series = {name: Series.model_validate(each) for name, each in stored["series"].items()}
    return Earlier(stored["production"], series, stored["llm_judge"], stored["judged_until"], stored["anchors"], stored["told"])


def _anchors(context: dg.AssetExecutionContext, loop: LoopConfig, store: DatasetStore) -> list[Anchor]:
    """The rows with fixed answers that tell whether the judge has changed; none, with a warning, where they cannot be had."""
    try:
        return anchors(last_answers(scored_golden(store, golden_commit(context.instance, store, loop), loop)))
    except (DatasetError, dg.Failure) as error:
        context.log.warning(f"whether the judge has changed is not known without the golden set: {error}")
        return []


def read_series(
    loop: LoopConfig, log: TrafficLog, version: str, known: Mapping[str, Series], began: float, end: float
) -> dict[str, Series]:
    """The series of what users and the log say, continued to `end` from the traffic log.

    Feedback counts up to one age of its answer, and answers count once they are that old. Days are read again for two weeks (`LATE`) after
    that, and how requests ended for two days: they are logged when they end.
    """
    oldest, series = max(began, end - loop.reads_back), {name: known.get(name, Series()) for name in MEASURES}
    age = counted_age(loop, log, end, series[NOT_DISLIKED].age)
    series |= {name: series[name].at_age(age) for name in BY_FEEDBACK}
    read: dict[str, list[Day]] = {name: [] for name in MEASURES}

    def ask(names: Sequence[str], by_user: Callable[[float, float], Sequence[ByUser]], again: float) -> None:
        there = {day.day for name in names for day in series[name].days}
        for day in local_days(oldest, end, loop.timezone):
            if day.name in there and day.end < end - again:
                continue
            for name, each in zip(names, by_user(day.begin, day.end), strict=True):
                read[name].append(Day(day=day.name, users=each.users, good=each.good))

    ask(BY_FEEDBACK, lambda begin, until: log.feedback_by_user(loop.name, version, begin, until, age, end - age), LATE * DAY + age)
    ask((WITHOUT_ERROR, WELL_FORMED), lambda begin, until: log.outcomes_by_user(loop.name, version, begin, until), 2 * DAY)
    return {name: each.with_days(read[name]) for name, each in series.items()}


def counted_age(loop: LoopConfig, log: TrafficLog, end: float, known: float | None = None) -> float:
    """Seconds after an answer up to which feedback on it counts, by how late it came until `end`; `known` is the age in use."""
    settled = end - 3600.0 * AGES[-1]
    return feedback_age(log.feedback_ages(loop.name, settled - MEASURED * DAY, settled), known)


def with_judged(series: dict[str, Series], scores: Sequence[tuple[str, float]], end: float, timezone: str) -> dict[str, Series]:
    """The series with scores (user, 0..1) of answers until `end`, added to its day; a user counts once a report."""
    if not scores:
        return series
    by_user: dict[str, list[float]] = {}
    for number, (user, value) in enumerate(scores):
        by_user.setdefault(user or f" {number}", []).append(value)
    name = local_days(end - 1, end, timezone)[0].name
    there = next((day for day in series[JUDGED].days if day.day == name), Day(day=name, users=0, good=0))
    good = there.good + sum(sum(each) / len(each) for each in by_user.values())
    return series | {JUDGED: series[JUDGED].with_days([Day(day=name, users=there.users + len(by_user), good=good)])}


def _judge(
    loop: LoopConfig,
    settings: LlmJudgeSettings,
    log: TrafficLog,
    version: str,
    window: tuple[float, float],
    earlier: Earlier,
    fixed: Sequence[Anchor],
) -> Judged:
    """Score a sample of the window's answers, a few at once; when the judge cannot be reached, the rest is not asked.

    An answer is drawn once, however often reports are made; without any score the next report draws from the same answers again. With them
    the `fixed` rows are scored, which say whether the judge is still the same.
    """
    why, judge, before = "", None, None
    try:
        judge = llm_judge(settings)
        before = earlier.judged_until if (earlier.production, earlier.llm_judge) == (version, judge.identity) else None
    except JudgeUnreachable as error:
        why = str(error)
    begin, end = window
    answers = log.stream(loop.name, max(begin, before or begin), end, version, answered=True)
    sample, _ = reservoir(answers, loop.monitors.sample, seed=int(end))
    if judge is None:
        return Judged(earlier.llm_judge, earlier.judged_until, [], [(e.id, why) for e in sample], anchors=earlier.anchors)
    gone = threading.Event()

    def ask(question: tuple[list[dict[str, Any]], str]) -> Judgement | str:
        if gone.is_set():
            return "not asked, the judge could not be reached"
        try:
            return judge.judge(*question)
        except NotJudged as error:
            if isinstance(error, JudgeUnreachable):
                gone.set()
            return str(error)

    with ThreadPoolExecutor(CLIENTS) as pool:
        said = list(zip(sample, pool.map(ask, [(_messages(loop, e), e.answer) for e in sample]), strict=True))
        scores = [(e, result) for e, result in said if isinstance(result, Judgement)]
        asked = fixed if scores else []
        again = pool.map(ask, [(request_body(loop.task.system_prompt, each.row)["messages"], each.answer) for each in asked])
        now = {each.id: result.score for each, result in zip(asked, again, strict=True) if isinstance(result, Judgement)}
    first = earlier.anchors if earlier.llm_judge == judge.identity else {}
    drift = judge_drift(first, now, risk_of_a_report(ticks_a_day(loop.monitors.every))) if now else None
    return Judged(
        judge.identity,
        end if scores else before,
        [(e.id, result) for e, result in scores],
        [(e.id, result) for e, result in said if isinstance(result, str)],
        [(e.user, (result.score - 1) / 4) for e, result in scores],
        now if drift and drift.changed else {**now, **first},
        drift,
    )


def _messages(loop: LoopConfig, exchange: Exchange) -> list[dict[str, Any]]:
    """The conversation as the model got it: the gateway adds the system prompt where the client sent none."""
    try:
        return request_body(loop.task.system_prompt, asked_of(exchange))["messages"]
    except ValueError:
        return request_body(loop.task.system_prompt, Asked.of(exchange.prompt))["messages"]


def follow_all(loop: LoopConfig, production: str, window: tuple[float, float], series: Mapping[str, Series], judged: Judged) -> Found:
    """Each measure that has data against its days before, the judged answers also against what their judge may have changed."""
    found, drift = Found(production, window, judged=judged, age=series[NOT_DISLIKED].age), judged.drift
    counted = sum(bool(each.days) for each in series.values())
    for name, each in series.items():
        if not each.days:
            continue
        alert, trigger = loop.monitors.quality_drop, loop.retrain_on.quality_drop
        followed = follow_judged(each, alert, trigger, counted, drift) if name == JUDGED else follow(name, each, alert, trigger, counted)
        found.series[name], found.measured[name], finding = followed
        found.findings.append(finding)
    if drift and drift.changed:
        found.findings.append(
            Finding(Verdict.NOT_ENOUGH_DATA, f"the judge has changed behind its name, and its scores are followed anew: {drift.sentence}")
        )
    if judged.not_judged and not judged.scores:
        found.findings.append(Finding(Verdict.NOT_ENOUGH_DATA, f"no answer was judged: {judged.not_judged[0][1]}", blocked=True))
    if not found.findings:
        found.findings.append(Finding(Verdict.NOT_ENOUGH_DATA, "the version has not answered anything yet"))
    return found


def tell(loop: LoopConfig, notifier: Notifier, found: Found, earlier: Earlier) -> list[str]:
    """Tell of each drop once, and once that it is over; returns the drops that people know of, as VERSION:MEASURE."""
    told = list(earlier.told)
    now = {f"{(found.production or '')[:12]}:{name}": name for name, each in found.series.items() if each.dropped}
    for key, name in now.items():
        if key not in told:
            text = f"version {key.split(':')[0]}: {next(f.sentence for f in found.findings if f.sentence.startswith(name))}"
            if notifier.notify(alert_about(loop, "quality-drop", "live quality dropped and stays down", text, name)):
                told.append(key)
    for key in [each for each in told if each not in now]:
        version, name = key.split(":")
        over = f"{name} is back at its level before" if (found.production or "")[:12] == version else "another version is in production"
        if name == JUDGED and found.judged.drift and found.judged.drift.changed:
            over = f"the judge has changed, so that scores of before are not compared: {found.judged.drift.sentence}"
        text = f"version {version}: {over}"
        if notifier.notify(alert_about(loop, "quality-drop", "the drop of live quality is over", text, name, resolved=True)):
            told.remove(key)
    if found.judged.drift and found.judged.drift.changed:
        text = f"{found.judged.drift.sentence}. Its scores are followed anew, and are not compared with those of before."
        notifier.notify(alert_about(loop, "judge-changed", "the judge of live answers has changed behind its name", text))
    return told


def for_trigger(found: Found) -> live.Metadata:
    """What the retrain sensor reads: a drop that is proved at the trigger's own error, of a measure that training can cure."""
    worst = fallen_most(found.measured, [name for name, each in found.series.items() if each.asks_for_retrain])
    if worst is None:
        return {}
    now = found.measured[worst]
    assert now.baseline is not None
    return {"quality": now.value, "baseline": now.baseline, "quality_measure": worst}


def _materialize(
    loop: LoopConfig, context: dg.AssetExecutionContext, artifacts: Artifacts, control: Control, found: Found, past: Sequence[live.Past]
) -> dg.MaterializeResult:
    verdict, judged, production = together(found.findings), found.judged, found.production
    measured = {name: m.model_dump() for name, m in found.measured.items()}
    report = {
        "loop": loop.name,
        "production": production,
        "window": list(found.window),
        "series": {name: each.model_dump(mode="json") for name, each in found.series.items()},
        "measures": measured,
        "told": list(found.told),
        "llm_judge": judged.identity,
        "judged_until": judged.until,
        "anchors": dict(judged.anchors),
        # ids, not texts: what a user asks to be forgotten is in the traffic log alone
        "judged": [{"request": name, "score": j.score} for name, j in judged.scores],
        "not_judged": [{"request": name, "reason": reason} for name, reason in judged.not_judged],
        "verdict": verdict.verdict.value,
        "reason": verdict.sentence,
        "run_id": context.run_id,
    }
    digest = keep_report(context.instance, artifacts, loop.name, "quality", report)
    metadata: live.Metadata = {
        "verdict": verdict.verdict.value,
        "reason": verdict.sentence,
        "production": (production or "")[:12],
        "window_end": dg.MetadataValue.timestamp(found.window[1]),
        "measures": dg.MetadataValue.json(measured),
        "report": place(report_key(loop.name, "quality", digest), digest),
    }
    metadata |= for_trigger(found) | gains_table(found.gains)
    if note := waits_in_words(loop, found):
        metadata["feedback"] = note
    if judged.identity:
        metadata["llm_judge"] = judged.identity
    if loop.monitors.llm_judge:
        metadata |= {"judged": len(judged.scores), "not_judged": len(judged.not_judged)}
        metadata["judge_drift"] = judged.drift.sentence if judged.drift else "no row with a fixed answer was scored"
        worst_scores = sorted(judged.scores, key=lambda item: (item[1].score, item[0]))[:10]
        metadata["worst_answers"] = table(["request id", "score"], [(n, j.score) for n, j in worst_scores])
        metadata["why_not_judged"] = table(["request id", "reason"], judged.not_judged[:10])
    if found.measured and production is not None:
        metadata["quality_table"] = table(
            ["measure", "now", "from", "to", "users, each day", "since", "before", "users before"],
            [
                (name, m.value, m.low, m.high, m.n, m.since or "", "" if m.baseline is None else m.baseline, m.baseline_n)
                for name, m in found.measured.items()
            ],
        )
        headline = fallen_most(found.measured, MEASURES) or next(iter(found.measured))
        metadata["trend"] = dg.MetadataValue.md(_trend(headline, found.measured[headline], past, production, found.window[1], loop))
        metadata["versions"] = table(
            ["version", "reports before this one", "newest verdict", *found.measured],
            [(p.version, n, p.value("verdict"), *_values(p, found.measured)) for p, n in live.newest_per_version(past)],
        )
    newest_report = record_latest(
        control,
        loop.name,
        "quality_report",
        LatestReport(
            at=time.time(),
            version=production,
            verdict=verdict.verdict.value,
            values={name: m.value for name, m in found.measured.items()},
            limits={name: m.baseline for name, m in found.measured.items() if m.baseline is not None},
            note=waits_in_words(loop, found),
        ),
    )
    checks = [live.check(CHECK, verdict, newest_report)]
    return dg.MaterializeResult(data_version=dg.DataVersion(digest), metadata=metadata, check_results=checks)


def waits_in_words(loop: LoopConfig, found: Found) -> str:
    """Up to which age of an answer feedback counts, and which answers wait for it; empty without a version in production."""
    if found.age is None:
        return ""
    since = f"{datetime.fromtimestamp(found.window[1] - found.age, ZoneInfo(loop.timezone)):%F %H:%M}"
    return (
        f"feedback counts up to {span(found.age)} after an answer, by when most of it has come; answers since {since} wait until they are "
        "that old, so that each day is compared with days that had as much time"
    )


def _values(report: live.Past, names: Iterable[str]) -> list[float | str]:
    measures = report.value("measures") or {}
    return [measures[name]["value"] if name in measures else "" for name in names]


def _trend(name: str, now: QualityPoint, past: Sequence[live.Past], production: str, at: float, loop: LoopConfig) -> str:
    """A measure over the past reports, with the limit of the version in production."""
    points = []
    for report in past:
        if entry := (report.value("measures") or {}).get(name):
            points.append(Point(report.at, entry["value"], entry["low"], entry["high"], report.version))
    points.append(Point(at, now.value, now.low, now.high, production[:12]))
    limit = None if now.baseline is None else now.baseline - loop.monitors.quality_drop
    return trend(name, points, limit, "level before, less the drop that matters")
