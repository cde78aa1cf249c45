"""How good are the live answers, by a judge or by what users say of them?"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from ftassets.assets._shared import live
from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.stored_reports import place
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import report_key, store_report
from ftassets.backends.control.base import Control
from ftassets.backends.control.latest import record_latest
from ftassets.backends.llm_judge.base import Judgement, JudgeUnreachable, NotJudged
from ftassets.backends.notifier.base import Notifier
from ftassets.backends.notifier.routing import alert_about, routed
from ftassets.backends.serving.base import Serving
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LlmJudgeSettings, LoopConfig
from ftassets.config.profiles import llm_judge
from ftassets.domain.chat import Asked, request_body
from ftassets.domain.evaluation.sampling import reservoir
from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import SMALLEST, Estimate, mean_of, share_of
from ftassets.domain.monitoring.finding import Finding, together
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.monitoring.quality import QualityPoint, fallen_most, follow
from ftassets.domain.traffic.exchange import ANSWERED, Exchange, Outcomes, asked_of
from ftassets.domain.traffic.feedback import FeedbackCounts
from ftassets.reporting.tables import table
from ftassets.reporting.trends import Point, trend

CHECK = "no_sustained_drop"
CLIENTS = 4  # answers judged at once
JUDGED = "judged"


@dataclass(frozen=True)
class _Counts:
    """How a window's exchanges ended. Requests the client got wrong are not the model's."""

    answered: int = 0
    failed: int = 0
    malformed: int = 0
    judged: int = 0  # answers of which it is known whether they are malformed

    @property
    def answers(self) -> int:
        """Requests the model was to answer."""
        return self.answered + self.failed


@dataclass(frozen=True)
class _Judged:
    """Judge scores of a sample as (request id, judgement), and the reasons why other answers have no score."""

    identity: str | None = None
    scores: list[tuple[str, Judgement]] = field(default_factory=list)
    not_judged: list[tuple[str, str]] = field(default_factory=list)


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: one report a run, with the check `no_sustained_drop`."""
    key = node(loop.name, "quality_report")

    @asset(
        loop,
        __doc__,
        {"python"} | ({"openai"} if loop.monitors.llm_judge else set()),
        deps=["traffic"],
        check_specs=[
            dg.AssetCheckSpec(CHECK, asset=key, description="Live quality stays within the allowed drop of the version's first answers.")
        ],
        freshness_policy=live.freshness(loop),
    )
    def quality_report(
        context: dg.AssetExecutionContext,
        artifacts: dg.ResourceParam[Artifacts],
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
        serving: dg.ResourceParam[Serving],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.MaterializeResult:
        begin, end = live.window_of(context, loop)
        production = serving.state(loop.name).production
        if production is None:
            return _materialize(
                loop, context, artifacts, control, None, (begin, end), _Counts(), {}, _Judged(), {}, [live.NO_PRODUCTION], []
            )
        counts = _counts(traffic_log.outcomes(loop.name, [production], begin, end))
        judged = _Judged()
        if loop.monitors.llm_judge:  # only a judge needs texts
            sample, _ = reservoir(traffic_log.stream(loop.name, begin, end, production, answered=True), loop.monitors.sample, seed=int(end))
            judged = _judge(loop.monitors.llm_judge, loop, sample)
        for why in sorted({reason for _, reason in judged.not_judged})[:5]:
            context.log.warning(f"not judged: {why}")
        estimates = _estimates(counts, traffic_log.feedback_counts(loop.name, production, begin, end), judged)
        past = live.past_reports(context.instance, key)
        measured, findings = _follow(loop, past, production, judged.identity, estimates)
        if judged.not_judged and not judged.scores:
            findings.append(Finding(Verdict.NOT_ENOUGH_DATA, f"no answer was judged: {judged.not_judged[0][1]}", blocked=True))
        if failed := [f.sentence for f in findings if f.verdict is Verdict.FAIL]:
            text = f"version {production[:12]}: {'; '.join(failed)}"
            routed(control, loop, notifier).notify(alert_about(loop, "quality-drop", "sustained drop of live quality", text, "ticket"))
        return _materialize(
            loop, context, artifacts, control, production, (begin, end), counts, estimates, judged, measured, findings, past
        )

    return quality_report


def _counts(outcomes: Sequence[Outcomes]) -> _Counts:
    return _Counts(
        answered=sum(each.count for each in outcomes if each.status == ANSWERED),
        failed=sum(each.count for each in outcomes if each.status >= 500),
        malformed=sum(each.count for each in outcomes if each.malformed),
        judged=sum(each.count for each in outcomes if each.well_formed is not None),
    )


def _judge(settings: LlmJudgeSettings, loop: LoopConfig, sample: Sequence[Exchange]) -> _Judged:
    """Score a sample, a few at once; when the judge cannot be reached, the rest is not asked."""
    try:
        judge = llm_judge(settings)
    except JudgeUnreachable as error:
        return _Judged(None, [], [(e.id, str(error)) for e in sample])
    gone = threading.Event()

    def ask(exchange: Exchange) -> Judgement | str:
        if gone.is_set():
            return "not asked, the judge could not be reached"
        try:
            return judge.judge(_messages(loop, exchange), exchange.answer)
        except NotJudged as error:
            if isinstance(error, JudgeUnreachable):
                gone.set()
            return str(error)

    with ThreadPoolExecutor(CLIENTS) as pool:
        said = list(zip(sample, pool.map(ask, sample), strict=True))
    return _Judged(
        judge.identity,
        [(e.id, result) for e, result in said if isinstance(result, Judgement)],
        [(e.id, result) for e, result in said if isinstance(result, str)],
    )


def _messages(loop: LoopConfig, exchange: Exchange) -> list[dict[str, Any]]:
    """The conversation as the model got it: the gateway adds the system prompt where the client sent none."""
    try:
        return request_body(loop.task.system_prompt, asked_of(exchange))["messages"]
    except ValueError:
        return request_body(loop.task.system_prompt, Asked.of(exchange.prompt))["messages"]


def _estimates(counts: _Counts, feedback: FeedbackCounts, judged: _Judged) -> dict[str, Estimate]:
    """Each measure in 0..1, higher is better; those of fewer than ten answers say nothing and are left out."""
    found = {
        "not_disliked": share_of(feedback.reviewed - feedback.down, feedback.reviewed),
        "not_corrected": share_of(feedback.reviewed - feedback.corrected, feedback.reviewed),
        "without_error": share_of(counts.answered, counts.answers),
        "well_formed": share_of(counts.judged - counts.malformed, counts.judged),
    }
    if judged.scores:
        found[JUDGED] = mean_of([(judgement.score - 1) / 4 for _, judgement in judged.scores], counts.answered)
    return {name: estimate for name, estimate in found.items() if estimate.n >= SMALLEST}


def _follow(
    loop: LoopConfig, past: Sequence[live.Past], production: str, judge: str | None, estimates: Mapping[str, Estimate]
) -> tuple[dict[str, QualityPoint], list[Finding]]:
    """Each measure against its earlier reports about this version; scores of another judge are not compared."""
    measured: dict[str, QualityPoint] = {}
    findings: list[Finding] = []
    for name, estimate in estimates.items():
        earlier = [
            QualityPoint.model_validate(p.value("measures")[name])
            for p in past
            if p.version == production[:12] and name in (p.value("measures") or {}) and (name != JUDGED or _judge_of(p) == judge)
        ]
        measured[name], finding = follow(name, earlier, estimate, loop.monitors.sample, loop.monitors.quality_drop)
        findings.append(finding)
    if not findings:
        findings.append(Finding(Verdict.NOT_ENOUGH_DATA, f"fewer than {SMALLEST} answers in the window"))
    return measured, findings


def _judge_of(report: live.Past) -> str | None:
    """Identity of the judge of an earlier report; events of format 1 call it `judge`."""
    return report.value("llm_judge") or report.value("judge")


def _materialize(
    loop: LoopConfig,
    context: dg.AssetExecutionContext,
    artifacts: Artifacts,
    control: Control,
    production: str | None,
    window: tuple[float, float],
    counts: _Counts,
    estimates: Mapping[str, Estimate],
    judged: _Judged,
    measured: Mapping[str, QualityPoint],
    findings: Sequence[Finding],
    past: Sequence[live.Past],
) -> dg.MaterializeResult:
    verdict = together(findings)
    found = {name: m.model_dump() for name, m in measured.items()}
    report = {
        "loop": loop.name,
        "production": production,
        "window": list(window),
        "answers": counts.answers,
        "failed": counts.failed,
        "malformed": counts.malformed,
        "measures": found,
        "llm_judge": judged.identity,
        # ids, not texts: what a user asks to be forgotten is in the traffic log alone
        "judged": [{"request": name, "score": j.score} for name, j in judged.scores],
        "not_judged": [{"request": name, "reason": reason} for name, reason in judged.not_judged],
        "verdict": verdict.verdict.value,
        "reason": verdict.sentence,
        "run_id": context.run_id,
    }
    digest = store_report(artifacts, loop.name, "quality", report)
    metadata: live.Metadata = {
        "verdict": verdict.verdict.value,
        "reason": verdict.sentence,
        "production": (production or "")[:12],
        "answers": counts.answers,
        "window_end": dg.MetadataValue.timestamp(window[1]),
        "measures": dg.MetadataValue.json(found),
        "report": place(report_key(loop.name, "quality", digest), digest),
    }
    # what the retrain sensor reads: the measure that fell most
    if worst := fallen_most(measured):
        rolling = measured[worst].rolling
        assert rolling is not None
        metadata |= {"quality": rolling, "baseline": measured[worst].baseline, "quality_measure": worst}
    if judged.identity:
        metadata["llm_judge"] = judged.identity
    if loop.monitors.llm_judge:
        metadata |= {"judged": len(judged.scores), "not_judged": len(judged.not_judged)}
        worst_scores = sorted(judged.scores, key=lambda item: (item[1].score, item[0]))[:10]
        metadata["worst_answers"] = table(["request id", "score"], [(n, j.score) for n, j in worst_scores])
        metadata["why_not_judged"] = table(["request id", "reason"], judged.not_judged[:10])
    if measured and production is not None:
        metadata["quality_table"] = table(
            ["measure", "now (95 % interval)", "answers", "rolling mean", "baseline", "its answers"],
            [
                (name, str(estimates[name]), m.n, "" if m.rolling is None else m.rolling, m.baseline, m.baseline_n)
                for name, m in measured.items()
            ],
        )
        headline = worst or (JUDGED if JUDGED in measured else next(iter(measured)))
        metadata["trend"] = dg.MetadataValue.md(_trend(headline, measured[headline], past, production, window[1], loop))
        metadata["versions"] = table(
            ["version", "reports before this one", "newest verdict", *estimates],
            [(p.version, n, p.value("verdict"), *_values(p, estimates)) for p, n in live.newest_per_version(past)],
        )
    record_latest(
        control,
        loop.name,
        "quality_report",
        LatestReport(
            at=time.time(),
            version=production,
            verdict=verdict.verdict.value,
            values={name: m.value for name, m in measured.items()},
            limits={name: m.baseline for name, m in measured.items()},
        ),
    )
    return dg.MaterializeResult(data_version=dg.DataVersion(digest), metadata=metadata, check_results=[live.check(CHECK, verdict)])


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
    return trend(name, points, None if now.part else now.baseline - loop.monitors.quality_drop, "baseline less the allowed drop")
