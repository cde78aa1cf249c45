"""Does the live endpoint still answer the golden set as it should?"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from ftassets.assets._shared import live
from ftassets.assets._shared.accepted import golden_commit
from ftassets.assets._shared.dataset_files import read_splits, scored_golden
from ftassets.assets._shared.events import DATA_VERSION, data_version, history, newest, node, report_digest
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.stored_reports import keep_report, place
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_eval_report, read_report, report_key
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.control.base import Control
from ftassets.backends.control.latest import record_latest
from ftassets.backends.dataset_store.base import DatasetError, DatasetStore
from ftassets.backends.model_client.live_answers import LiveAnswer, live_answers
from ftassets.backends.notifier.base import Notifier
from ftassets.backends.notifier.routing import alert_about, routed
from ftassets.backends.serving.base import Serving
from ftassets.config.cron import ticks_a_day
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.evaluation.scored_turns import last_answers
from ftassets.domain.evaluation.scoring import Score, score
from ftassets.domain.gates.report import HELD_OUT, EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import share_of
from ftassets.domain.monitoring.finding import Finding, together
from ftassets.domain.monitoring.golden import (
    Floor,
    Regression,
    at_floor,
    floor_risk,
    regression,
    regression_risk,
    score_of,
)
from ftassets.domain.monitoring.latest import EVALUATED, LatestReport
from ftassets.reporting.tables import answer_cell, request_cell, table
from ftassets.reporting.trends import Point, trend
from ftassets.wording import amount

FLOOR, REGRESSION = "golden_above_floor", "no_regression_since_evaluation"
STAGED = 900.0  # seconds the production version is asked to stay up, should it lose its traffic meanwhile
BELOW, TOO_HIGH, REGRESSED = "golden-below-floor", "golden-floor-too-high", "golden-regression"  # what people are told of, once each


@dataclass(frozen=True)
class _Asked:
    """A row, where it comes from (golden or held out), its answer and its score."""

    row: Example
    answer: LiveAnswer
    score: Score


@dataclass(frozen=True)
class _Known:
    """What the reports up to this one found about a version, and what people were told of, as VERSION:SUBJECT.

    `own` is the share of these golden rows that was right in the version's own evaluation, None where that is not known.
    """

    production: str | None = None
    floor: Floor = Floor()
    regressions: Mapping[str, Regression] = field(default_factory=dict)
    told: Sequence[str] = ()
    own: float | None = None


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: one report a run, with the checks `golden_above_floor` and `no_regression_since_evaluation`."""
    key = node(loop.name, "live_golden_report")
    floor = loop.monitors.golden_floor

    @asset(
        loop,
        __doc__,
        {"python"},
        deps=["golden_set", "endpoint"],
        check_specs=[
            dg.AssetCheckSpec(FLOOR, asset=key, description=f"The version is not below the golden floor of {floor:.0%}."),
            dg.AssetCheckSpec(REGRESSION, asset=key, description="Rows that were right in the version's own evaluation still are."),
        ],
        freshness_policy=live.freshness(loop),
    )
    def live_golden_report(
        context: dg.AssetExecutionContext,
        artifacts: dg.ResourceParam[Artifacts],
        control: dg.ResourceParam[Control],
        dataset_store: dg.ResourceParam[DatasetStore],
        serving: dg.ResourceParam[Serving],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.MaterializeResult:
        production = serving.state(loop.name).production
        try:
            known = _known(artifacts, loop, newest(context.instance, key))
        except ReportDamaged as error:  # no report could be made any more if this one had to be read
            context.log.warning(f"what earlier reports found is not known: {error}")
            known = _Known()
        tell = routed(control, loop, notifier)
        if production is None:
            known = _Known(told=_tell(loop, tell, known, None, {}))
            return _materialize(loop, context, artifacts, control, known, None, [], live.NO_PRODUCTION, [live.NO_PRODUCTION])
        if known.production != production:
            known = _Known(production, told=known.told)
        commit = golden_commit(context.instance, dataset_store, loop)
        golden = {row.id: row for row in last_answers(scored_golden(dataset_store, commit, loop))}
        rows = [golden[name] for name in fixed_sample(golden, loop.monitors.sample)]
        held_out = _held_out(context, artifacts, loop, dataset_store, production)
        # the version's own server, not the gateway: probes are no traffic
        url = serving.stage(loop.name, production, STAGED)
        try:
            answers = live_answers(url, [*rows, *held_out], loop.task)
        finally:
            serving.unstage(loop.name, production)
        if all(answer.error for answer in answers):
            raise dg.Failure(
                f"the server of version {production[:12]} answered none of {amount(len(answers), 'row')}; the first: {answers[0].error}"
            )
        asked = _scored(loop, rows, held_out, answers)
        known, floor_finding, compared = _judged(context, artifacts, loop, dataset_store, production, golden, asked, known)
        known = replace(known, told=_tell(loop, tell, known, floor_finding, compared))
        return _materialize(loop, context, artifacts, control, known, commit, asked, floor_finding, [*compared.values()])

    return live_golden_report


def _held_out(
    context: dg.AssetExecutionContext, artifacts: Artifacts, loop: LoopConfig, store: DatasetStore, version: str
) -> list[Example]:
    """A fixed sample of the rows held out from the version's training; none, with a warning, where they cannot be had."""
    commit = load_manifest(artifacts, version).dataset_commit
    if commit is None:
        return []
    try:
        rows = {row.id: row for row in read_splits(store, commit, loop.name, bad=[])["test"]}
    except DatasetError as error:
        context.log.warning(f"held-out rows of version {version[:12]} cannot be read: {error}")
        return []
    return [rows[name] for name in fixed_sample(rows, loop.monitors.sample)]


def _scored(loop: LoopConfig, golden: Sequence[Example], held_out: Sequence[Example], answers: Sequence[LiveAnswer]) -> list[_Asked]:
    named = [(row.id, row.slice or "golden", row) for row in golden] + [(f"{HELD_OUT}:{row.id}", HELD_OUT, row) for row in held_out]
    form = loop.task.form
    return [
        _Asked(row, answer, score(name, part, answer.text, row.completion, form))
        for (name, part, row), answer in zip(named, answers, strict=True)
    ]


def _known(artifacts: Artifacts, loop: LoopConfig, report: dg.AssetMaterialization | None) -> _Known:
    """What the newest report knew: no other is read. Raises ReportDamaged."""
    if report is None or DATA_VERSION not in (report.tags or {}):
        return _Known()
    stored = read_report(artifacts, loop.name, "live-golden", data_version(report))
    regressions = {part: Regression.model_validate(each) for part, each in stored["regressions"].items()}
    return _Known(stored["production"], Floor.model_validate(stored["at_floor"]), regressions, stored["told"])


def _judged(
    context: dg.AssetExecutionContext,
    artifacts: Artifacts,
    loop: LoopConfig,
    store: DatasetStore,
    version: str,
    golden: Mapping[str, Example],
    asked: Sequence[_Asked],
    known: _Known,
) -> tuple[_Known, Finding, dict[str, Finding]]:
    """What is known now, the finding on the floor, and the findings on golden and held-out rows against the version's own evaluation."""
    now = {a.score.id: a.score.exact for a in asked}
    held_out = {name for name in now if name.startswith(f"{HELD_OUT}:")}
    a_day = ticks_a_day(loop.monitors.every)
    before, why = _own_scores(context.instance, artifacts, loop, store, version, golden, now)
    right = [now[name] for name in now if name not in held_out]
    own = share_of(*score_of([name for name in now if name not in held_out], before))
    floor, at = at_floor(share_of(sum(right), len(right)), sum(right), loop.monitors.golden_floor, floor_risk(a_day), known.floor, own)
    known = replace(known, own=own.value if own.n else None)
    if why is not None:
        return replace(known, floor=floor), at, {"golden rows": why}
    regressions, findings = {}, {}
    for part, names in {"golden rows": now.keys() - held_out, "held-out rows": held_out}.items():
        live_rows = {name: now[name] for name in names}
        regressions[part], findings[part] = regression(
            part, live_rows, before, regression_risk(a_day), known.regressions.get(part, Regression())
        )
    return replace(known, floor=floor, regressions=regressions), at, findings


def _own_scores(
    instance: dg.DagsterInstance,
    artifacts: Artifacts,
    loop: LoopConfig,
    store: DatasetStore,
    version: str,
    golden: Mapping[str, Example],
    asked: Mapping[str, bool],
) -> tuple[dict[str, bool], Finding | None]:
    """Which of the rows that are asked were right in the version's own evaluation, without those that were rewritten since.

    With the finding that says why, where that is not known.
    """
    try:
        report = _own_report(instance, artifacts, loop, version)
        then = {row.id: row for row in scored_golden(store, report.golden_commit, loop)} if report else {}
    except (ReportDamaged, DatasetError) as error:
        return {}, Finding(Verdict.NOT_ENOUGH_DATA, f"the version's own evaluation cannot be read: {error}", blocked=True)
    if report is None:
        return {}, Finding(Verdict.NOT_ENOUGH_DATA, "there is no evaluation report of this version")
    own = {s.id: s.exact for s in report.scores["candidate"]}
    same = (name for name in asked if name.startswith(f"{HELD_OUT}:") or golden.get(name) == then.get(name))
    return {name: own[name] for name in same if name in own}, None


def _own_report(instance: dg.DagsterInstance, artifacts: Artifacts, loop: LoopConfig, version: str) -> EvalReport | None:
    """The evaluation on which the version was released. Raises ReportDamaged."""
    for _, event in history(instance, node(loop.name, "release")):
        if data_version(event) == version:
            return read_eval_report(artifacts, loop.name, report_digest(event))
    return None


def _tell(loop: LoopConfig, notifier: Notifier, known: _Known, at: Finding | None, compared: Mapping[str, Finding]) -> list[str]:
    """Tell of each finding once, and once that it is over; returns what people know of now."""
    version, told = (known.production or "")[:12], list(known.told)
    regressed = [compared[part].sentence for part, each in known.regressions.items() if each.found and part in compared]
    floor = known.floor
    now = {
        BELOW: floor.below and not floor.as_released,
        TOO_HIGH: floor.below and floor.as_released,
        REGRESSED: any(each.found for each in known.regressions.values()),
    }
    below, worse = f"version {version}: {at.sentence if at else ''}", f"version {version}: {'; '.join(regressed)}"
    alerts = {
        BELOW: alert_about(loop, BELOW, "live golden set below its floor", below),
        TOO_HIGH: alert_about(loop, TOO_HIGH, "the golden floor is higher than the version ever was", below),
        REGRESSED: alert_about(loop, REGRESSED, "the live version answers worse than in its evaluation", worse),
    }
    for subject, alert in alerts.items():
        if now[subject] and f"{version}:{subject}" not in told and notifier.notify(alert):
            told.append(f"{version}:{subject}")
    for key in [each for each in told if each.partition(":")[0] != version or not now[each.partition(":")[2]]]:
        before, _, subject = key.partition(":")
        over = "not found any more" if before == version else f"{'another' if version else 'no'} version is in production"
        title, text = f"over: {alerts[subject].title}", f"version {before}: {over}"
        if notifier.notify(alert_about(loop, subject, title, text, resolved=True)):
            told.remove(key)
    return told


def _materialize(
    loop: LoopConfig,
    context: dg.AssetExecutionContext,
    artifacts: Artifacts,
    control: Control,
    known: _Known,
    commit: str | None,
    asked: Sequence[_Asked],
    floor: Finding,
    compared: Sequence[Finding],
) -> dg.MaterializeResult:
    at, production = time.time(), known.production
    slices = {name: [a.score.exact for a in asked if a.score.slice == name] for name in sorted({a.score.slice for a in asked})}
    golden = [exact for name, found in slices.items() if name != HELD_OUT for exact in found]
    right = share_of(sum(golden), len(golden))
    since = together(compared)
    unanswered = [a.answer.error for a in asked if a.answer.error]
    report: dict[str, Any] = {
        "loop": loop.name,
        "production": production,
        "golden_commit": commit,
        "at": at,
        "share": right.value,
        "interval": [right.low, right.high],
        "floor": loop.monitors.golden_floor,
        "verdict": floor.verdict.value,
        "reason": floor.sentence,
        "since_evaluation": {"verdict": since.verdict.value, "reason": since.sentence},
        "at_floor": known.floor.model_dump(mode="json"),
        "regressions": {part: each.model_dump(mode="json") for part, each in known.regressions.items()},
        "told": list(known.told),
        "rows": [{**a.score.model_dump(), "answer": a.answer.text, "error": a.answer.error} for a in asked],
        "run_id": context.run_id,
    }
    digest = keep_report(context.instance, artifacts, loop.name, "live-golden", report)
    metadata: live.Metadata = {
        "verdict": floor.verdict.value,
        "reason": floor.sentence,
        "since_evaluation": since.sentence,
        "production": (production or "")[:12],
        "rows": len(asked),
        "unanswered": len(unanswered),
        "report": place(report_key(loop.name, "live-golden", digest), digest),
    }
    if production is not None:
        estimates = {name: share_of(sum(found), len(found)) for name, found in slices.items()}
        past = live.past_reports(context.instance, node(loop.name, "live_golden_report"))
        points = [Point(p.at, p.value("share"), p.value("low"), p.value("high"), p.version) for p in past if p.value("share") is not None]
        points.append(Point(at, right.value, right.low, right.high, production[:12]))
        metadata |= {"share": right.value, "low": right.low, "high": right.high}
        metadata["slices"] = table(["slice", "right (95 % interval)", "rows"], [(n, str(e), e.n) for n, e in estimates.items()])
        metadata["trend"] = dg.MetadataValue.md(trend("golden rows right", points, loop.monitors.golden_floor, "floor"))
        metadata["worst_rows"] = _worst(asked)
        metadata["versions"] = table(
            ["version", "reports before this one", "newest share right", "from", "to"],
            [(p.version, n, p.value("share"), p.value("low"), p.value("high")) for p, n in live.newest_per_version(past)],
        )
    shares = {"share": right.value, "low": right.low, "high": right.high} if right.n else {}
    newest = LatestReport(
        at=at,
        version=production,
        verdict=floor.verdict.value,
        values=shares | ({} if known.own is None else {EVALUATED: known.own}),
        limits=dict.fromkeys(("share", EVALUATED), loop.monitors.golden_floor),
    )
    at_floor_now = record_latest(control, loop.name, "live_golden_report", newest)
    compared_now = record_latest(
        control, loop.name, "since_evaluation", LatestReport(at=at, version=production, verdict=since.verdict.value)
    )
    checks = [live.check(FLOOR, floor, at_floor_now), live.check(REGRESSION, since, compared_now)]
    return dg.MaterializeResult(data_version=dg.DataVersion(digest), metadata=metadata, check_results=checks)


def _worst(asked: Sequence[_Asked]) -> dg.MetadataValue:
    """Golden rows that are wrong, those with the fewest right fields first."""
    wrong = sorted((a for a in asked if not a.score.exact), key=lambda a: (a.score.slice == HELD_OUT, a.score.fields, a.score.id))
    rows = [
        (a.score.slice, request_cell(a.row), answer_cell(a.row.completion), answer_cell(a.answer.error or a.answer.text), a.score.fields)
        for a in wrong[:10]
    ]
    return table(["slice", "request", "expected", "answer", "fields right"], rows)
