"""Do the live answers read as the version's first ones did: length, vocabulary, refusals, uncertainty, classes?"""

import time
from collections.abc import Iterator, Sequence
from itertools import islice

import dagster as dg

from ftassets.assets._shared import live
from ftassets.assets._shared.events import data_version, names, newest, node
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.stored_reports import keep_report, place
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_report, report_key
from ftassets.backends.control.base import Control
from ftassets.backends.control.latest import record_latest
from ftassets.backends.serving.base import Serving
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.drift import DriftOrigin, DriftVerdict, Statistic
from ftassets.domain.drift.explanation import keywords, words_of_several
from ftassets.domain.evaluation.sampling import reservoir
from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.behaviour import behaviour_statistics, class_shares, origin, pairs_of
from ftassets.domain.monitoring.estimate import SMALLEST
from ftassets.domain.monitoring.finding import Finding
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.traffic.exchange import Exchange
from ftassets.reporting.tables import table
from ftassets.reporting.trends import before_and_now
from ftassets.wording import amount

CHECK = "answers_as_before"
CLASSES = 12  # shown


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: one report a run, with the check `answers_as_before`, which informs."""
    key = node(loop.name, "behaviour_report")

    @asset(
        loop,
        __doc__,
        {"python"},
        deps=["traffic", "drift_report"],
        check_specs=[dg.AssetCheckSpec(CHECK, asset=key, description="The answers read as the version's first ones; informs only.")],
        freshness_policy=live.freshness(loop),
    )
    def behaviour_report(
        context: dg.AssetExecutionContext,
        artifacts: dg.ResourceParam[Artifacts],
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
        serving: dg.ResourceParam[Serving],
    ) -> dg.MaterializeResult:
        begin, end = live.window_of(context, loop)
        production = serving.state(loop.name).production
        if production is None:
            return _materialize(loop, context, artifacts, control, None, end, [], [], (), None, live.NO_PRODUCTION)
        size = loop.monitors.sample
        began = live.first_served(serving, loop.name, production)
        baseline = list(islice(_answers(traffic_log, loop, production, began, end), size))
        window: list[Exchange] = []
        if len(baseline) == size:
            known = {e.id for e in baseline}
            later = _answers(traffic_log, loop, production, max(begin, baseline[-1].at), end)
            window, _ = reservoir((e for e in later if e.id not in known), size, seed=int(end))
        texts = [[e.answer for e in side] for side in (baseline, window)]
        classes = _classes(loop, baseline, window)
        statistics: tuple[Statistic, ...] = ()
        if len(baseline) < size:
            finding = Finding(Verdict.NOT_ENOUGH_DATA, f"the baseline has {len(baseline)} of the version's first {amount(size, 'answer')}")
        elif len(window) < SMALLEST:
            finding = Finding(
                Verdict.NOT_ENOUGH_DATA, f"{amount(len(window), 'answer')} after the baseline in the window, {SMALLEST} are needed"
            )
        else:
            statistics = behaviour_statistics(texts[0], texts[1], *classes)
            finding = _finding(statistics)
        side, meaning = origin(_inputs(context.instance, artifacts, loop, production), statistics)
        if statistics:
            finding = Finding(finding.verdict, f"{finding.sentence}; {meaning}")
        return _materialize(loop, context, artifacts, control, production, end, baseline, window, statistics, side, finding)

    return behaviour_report


def _answers(log: TrafficLog, loop: LoopConfig, version: str, since: float, until: float) -> Iterator[Exchange]:
    return log.stream(loop.name, since, until, version, answered=True)


def _classes(loop: LoopConfig, *sides: Sequence[Exchange]) -> list[list[str]]:
    """Class of each answer of each side; no side where answers have no classes."""
    form = loop.task.form
    return [] if "classes" in form.lacks else [[form.label(e.answer) for e in side] for side in sides]


def _class_tables(loop: LoopConfig, baseline: Sequence[Exchange], window: Sequence[Exchange]) -> live.Metadata:
    if none := loop.task.form.no_classes([e.answer for e in (*baseline, *window)]):
        return {"classes": none}
    shown = [(c.name, c.baseline, c.window) for c in class_shares(*_classes(loop, baseline, window))[:CLASSES]]
    return {
        "classes": table(["class", "baseline", "window"], shown),
        "class_plot": dg.MetadataValue.md(before_and_now("share of answers", [(name[:40], a, b) for name, a, b in shown])),
    }


def _finding(statistics: Sequence[Statistic]) -> Finding:
    above = [f"{s.name} {s.value:.3f} is above {s.threshold:.3f}" for s in statistics if s.above]
    if not above:
        return Finding(Verdict.PASS, "nothing moved by more than harmless windows do")
    return Finding(Verdict.FAIL, "; ".join(above))


def _inputs(instance: dg.DagsterInstance, artifacts: Artifacts, loop: LoopConfig, version: str) -> list[Statistic] | None:
    """Statistics of the newest drift report; None without such a report on this version, or when it could not compare."""
    event = newest(instance, node(loop.name, "drift_report"))
    if event is None or not names(event, "production", version):
        return None
    try:
        report = read_report(artifacts, loop.name, "drift", data_version(event))
        if report["verdict"] == DriftVerdict.NOT_ENOUGH_DATA.value:
            return None
        return [Statistic(s["name"], s["value"], s["threshold"], s["p_value"]) for s in report["statistics"]]
    except (ReportDamaged, KeyError, TypeError):
        return None


def _materialize(
    loop: LoopConfig,
    context: dg.AssetExecutionContext,
    artifacts: Artifacts,
    control: Control,
    production: str | None,
    end: float,
    baseline: Sequence[Exchange],
    window: Sequence[Exchange],
    statistics: Sequence[Statistic],
    side: DriftOrigin | None,
    finding: Finding,
) -> dg.MaterializeResult:
    report = {
        "loop": loop.name,
        "production": production,
        "window_end": end,
        "baseline": [e.id for e in baseline],
        "window": [e.id for e in window],
        "statistics": [{"name": s.name, "value": s.value, "threshold": s.threshold, "p_value": s.p_value} for s in statistics],
        "origin": side.value if side else None,
        "verdict": finding.verdict.value,
        "reason": finding.sentence,
        "run_id": context.run_id,
    }
    digest = keep_report(context.instance, artifacts, loop.name, "behaviour", report)
    metadata: live.Metadata = {
        "verdict": finding.verdict.value,
        "reason": finding.sentence,
        "production": (production or "")[:12],
        "origin": side.value if side else "not known",
        "baseline_answers": len(baseline),
        "window_answers": len(window),
        "window_end": dg.MetadataValue.timestamp(end),
        "report": place(report_key(loop.name, "behaviour", digest), digest),
    }
    if baseline and window:
        before, now = [e.answer for e in baseline], [e.answer for e in window]
        metadata["compared"] = table(["mean or share", "baseline", "window"], pairs_of(before, now))
        common = words_of_several((e.user or e.id, e.answer) for e in (*baseline, *window))
        words = {
            side: [word for word in found if word in common][:10]
            for side, found in keywords({"baseline": before, "window": now}, top=50).items()
        }
        metadata["words"] = table(["answers", "words that tell them from the others"], [(k, ", ".join(v)) for k, v in words.items()])
        metadata |= _class_tables(loop, baseline, window)
    if statistics:
        metadata["statistics"] = table(
            ["statistic", "value", "threshold", "p", "moved"],
            [(s.name, s.value, s.threshold, f"{s.p_value:.4f}", "yes" if s.above else "no") for s in statistics],
        )
    newest_report = record_latest(
        control,
        loop.name,
        "behaviour_report",
        LatestReport(
            at=time.time(),
            version=production,
            verdict=finding.verdict.value,
            values={s.name: s.value for s in statistics},
            limits={s.name: s.threshold for s in statistics},
        ),
    )
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest), metadata=metadata, check_results=[live.check(CHECK, finding, newest_report, informs=True)]
    )
