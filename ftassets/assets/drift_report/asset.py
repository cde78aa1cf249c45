"""Are the queries of the last window new to the model in production?"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np

from ftassets.assets._shared.drift_windows import windows
from ftassets.assets._shared.events import DATA_VERSION, newest, node
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.stored_reports import keep_report, place
from ftassets.assets.drift_report import reference as drift_reference
from ftassets.assets.drift_report.reference import Known
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_report, report_key
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.control.base import Control
from ftassets.backends.control.latest import record_latest
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.embedder.base import Embedder, EmbedderOf
from ftassets.backends.serving.base import Serving
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import QueryVector, VectorStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import newest_generation, vector_space
from ftassets.domain.drift import (
    PRESETS,
    Comparison,
    DriftVerdict,
    Explanation,
    alarm_rate,
    by_fixed_rule,
    compare,
    explain,
    not_enough_data,
)
from ftassets.domain.drift.accumulation import (
    EVIDENCE,
    Evidence,
    Spread,
    WindowEvidence,
    accumulated,
    evidence,
    spread,
    with_evidence,
)
from ftassets.domain.drift.alarms import WindowVerdict, alarms_in_a_row
from ftassets.domain.drift.budget import WINDOWS_PART, evidence_limit
from ftassets.domain.drift.explanation import MovedTopic, NewTopic, words_of_several
from ftassets.domain.drift.vector_sample import in_words
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.traffic.feedback import Feedback, FeedbackVerdict
from ftassets.domain.traffic.retention import DAY
from ftassets.reporting.plots import drift_map
from ftassets.reporting.tables import table
from ftassets.wording import amount

IN_A_ROW = "alarms_in_a_row"  # among the statistics of `/metrics`
Topic = TypeVar("Topic", NewTopic, MovedTopic)
CHECK = "within_drift_budget"
WINDOW_END = "ftassets/window_end"  # run tag: the schedule's time, so that windows meet without gap or overlap


@dataclass(frozen=True)
class DriftMeasurement:
    """A window's comparison with what production knows, and what went into it.

    `replaced` is the embedder of a reference that was there and cannot be used any more. `added` is what all windows up to this one
    added to the evidence that accumulates, oldest first, and `evidence` what it comes to, given by how much harmless windows differ
    (`spread`); None where it is not accumulated.
    """

    production: str | None
    known: Known | None
    begin: float
    end: float
    window: Sequence[QueryVector]
    rate: float
    comparison: Comparison
    explanation: Explanation
    replaced: str | None = None
    added: Sequence[WindowEvidence] = ()
    evidence: Evidence | None = None
    spread: Spread | None = None

    @property
    def embedder_changed(self) -> str | None:
        """The sentence about a reference of another embedder, None if there was none."""
        if self.replaced is None:
            return None
        what = f"to {self.known.reference.embedder}: reference rebuilt" if self.known else "and the reference is not rebuilt yet"
        return f"embedder changed from {self.replaced} {what}"


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: one report a run, with the check `within_drift_budget`."""
    key = node(loop.name, "drift_report")

    @asset(
        loop,
        __doc__,
        {"python"},
        deps=["query_embeddings"],
        check_specs=[dg.AssetCheckSpec(CHECK, asset=key, description="No drift alarm in the newest window.")],
    )
    def drift_report(
        context: dg.AssetExecutionContext,
        artifacts: dg.ResourceParam[Artifacts],
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
        vector_store: dg.ResourceParam[VectorStore],
        dataset_store: dg.ResourceParam[DatasetStore],
        embedder_of: dg.ResourceParam[EmbedderOf],
        serving: dg.ResourceParam[Serving],
    ) -> dg.MaterializeResult:
        embedder = embedder_of(loop.embedder)
        end = float(context.run.tags.get(WINDOW_END) or time.time())
        state = serving.state(loop.name)
        production = state.production
        try:
            last = newest_report(artifacts, loop.name, newest(context.instance, key))
        except ReportDamaged as error:  # no report could be made any more if this one had to be read
            context.log.warning(f"evidence over several windows starts anew: {error}")
            last = None
        served = (state.standby, last["production"] if last else None)
        known, replaced = compared_with(
            context.run_id, loop, production, served, artifacts, traffic_log, dataset_store, vector_store, embedder, end
        )
        length = loop.retrain_on.drift.window
        earlier = history_of_evidence(last, production, known)
        measured = measure(loop, end, length, production, known, vector_store, dataset_store, artifacts, replaced, earlier)
        if measured.embedder_changed:
            context.log.warning(measured.embedder_changed)
        feedback = traffic_log.feedback_on([point.request_id for point in measured.window])
        share = vector_store.share(loop.name, known.reference.embedder) if known else 1.0
        note = compared_in_words(loop, measured, artifacts, traffic_log)
        return _materialize(loop, context, artifacts, control, traffic_log, measured, feedback, share, note)

    return drift_report


def compared_in_words(loop: LoopConfig, measured: DriftMeasurement, artifacts: Artifacts, traffic_log: TrafficLog) -> str:
    """What drift is compared with now, since when none can be seen, and until when; empty without a version in production."""
    known, production = measured.known, measured.production
    if production is None:
        return ""

    def day(at: float) -> str:
        return f"{datetime.fromtimestamp(at, ZoneInfo(loop.timezone)):%F %H:%M}"

    if known is not None and not known.provisional:
        return f"compared with what production knew until {day(known.until)}"
    trained = load_manifest(artifacts, production).dataset_commit is not None
    due = drift_reference.answers_due(traffic_log, loop, production, trained, measured.end)
    until = f"until about {day(due[1])}, when enough of its own answers will have come" if due else "until its own first answers have come"
    if known is not None:
        return f"compared with production's training queries and what the version before knew, {until}; topics new to both are seen"
    since = f" since {day(due[0])}" if due else ""
    return f"no drift can be seen{since}, {until}: production is a first version, and its training queries alone are no traffic"


def compared_with(
    run_id: str,
    loop: LoopConfig,
    production: str | None,
    served: Sequence[str | None],
    artifacts: Artifacts,
    traffic_log: TrafficLog,
    dataset_store: DatasetStore,
    vector_store: VectorStore,
    embedder: Embedder,
    end: float,
) -> tuple[Known | None, str | None]:
    """The reference of a report whose window ends at `end` (epoch seconds), and the embedder of one that cannot be used any more.

    One that is missing, or provisional and due, is made now; what versions that `served` before knew counts until it is whole.
    """
    stored = drift_reference.stored(dataset_store, loop.name, production) if production else None
    space = newest_generation(vector_space(embedder.id, loop.dataset.context), vector_store.embedders(loop.name))
    known, replaced = drift_reference.usable(stored, space)
    if production and (known is None or known.provisional):
        others = [version for version in served if version != production]
        before = drift_reference.before(dataset_store, loop.name, others, space) if known is None else known
        first = drift_reference.answers_of(loop, production, artifacts, traffic_log, end)
        if known is None or first is not None:
            rate = false_alarm_rate(loop)
            made = drift_reference.made(run_id, loop, production, artifacts, first, dataset_store, vector_store, embedder, rate, before)
            known = known or made  # a provisional one is compared with once more: what completed it is no evidence any more
    return known, replaced


def false_alarm_rate(loop: LoopConfig) -> float:
    """Rate of one report that keeps the loop's budget of false retrains."""
    policy = loop.retrain_on.drift
    return alarm_rate(policy.false_alarms, policy.budget_reports, consecutive=policy.consecutive, part=WINDOWS_PART)


def measure(
    loop: LoopConfig,
    end: float,
    length: float,
    production: str | None,
    known: Known | None,
    vector_store: VectorStore,
    dataset_store: DatasetStore,
    artifacts: Artifacts,
    replaced: str | None = None,
    earlier: Sequence[WindowEvidence] | None = None,
) -> DriftMeasurement:
    """Compare the queries of the `length` seconds before `end` (epoch seconds) with what production knows.

    With what `earlier` windows added, oldest first, the evidence of all of them counts too, and may raise the alarm.
    """
    policy, rate = loop.retrain_on.drift, false_alarm_rate(loop)
    window: list[QueryVector] = []
    small, begin = False, max(end - length, known.until) if known else end - length  # what widened the reference is no evidence against it
    if production is None:
        why = "no version is in production yet: the bootstrap sensor, or a materialization of adapter to release, makes one"
    elif known is None:
        by_another = f"the embedder changed, and the reference by {replaced} cannot be used; " if replaced else ""
        why = f"{by_another}the reference waits for production's first answers: {drift_reference.waits_for(policy)}"
    else:
        window = vector_store.window(loop.name, known.reference.embedder, begin, end, policy.sample, seed=int(end))
        smallest = policy.reference_windows * policy.min_sample
        why = (
            f"the reference has {amount(known.reference.count, 'query', 'queries')}, "
            f"{smallest} are needed: lower sample or add training rows"
        )
        small = known.reference.count < smallest
        if not small:
            vectors = np.array([point.vector for point in window]).reshape(len(window), known.reference.vectors.shape[1])
            comparison = compare(known.reference, vectors, rate, policy.min_sample)
            added, found, harmless = tuple(earlier or ()), None, None
            if policy.rule != "novelty":
                comparison = by_fixed_rule(comparison, policy.rule, PRESETS[policy.rule])
            elif earlier is not None and comparison.limit is not None:
                added = accumulated(known.reference, comparison, [point.at for point in window], begin, end, policy.min_sample, earlier)
                harmless = spread(known.reference)
                found = evidence(added, harmless)
                comparison = with_evidence(comparison, found, evidence_limit(policy.false_alarms, policy.budget_reports))
            explanation = _explained(loop, production, known, comparison, vectors, window, dataset_store, artifacts)
            return DriftMeasurement(production, known, begin, end, window, rate, comparison, explanation, replaced, added, found, harmless)
    nothing, added = Explanation((), ()), tuple(earlier or ())
    return DriftMeasurement(production, known, begin, end, window, rate, not_enough_data(why, blocked=small), nothing, replaced, added)


def newest_report(artifacts: Artifacts, loop: str, event: dg.AssetMaterialization | None) -> Mapping[str, Any] | None:
    """The report that an event is about, None without one. Raises ReportDamaged."""
    digest = (event.tags or {}).get(DATA_VERSION) if event else None
    return None if digest is None else read_report(artifacts, loop, "drift", digest)


def history_of_evidence(stored: Mapping[str, Any] | None, production: str | None, known: Known | None) -> Sequence[WindowEvidence]:
    """What the windows up to the newest report added, oldest first; nothing when it is about another version, or against another
    reference. The newest report has it all: no other is read.
    """
    if stored is None or known is None:
        return ()
    about = stored["production"], stored["embedder"], stored.get("accumulated", {}).get("reference_until")
    if about != (production, known.reference.embedder, known.until):
        return ()
    return [WindowEvidence(**window) for window in stored["accumulated"]["windows"]]


def _explained(
    loop: LoopConfig,
    production: str,
    known: Known,
    comparison: Comparison,
    vectors: np.ndarray,
    window: Sequence[QueryVector],
    store: DatasetStore,
    artifacts: Artifacts,
) -> Explanation:
    if comparison.limit is None:
        return Explanation((), ())
    texts = None
    if comparison.moved:  # else no cluster needs a name
        trained = drift_reference.training_queries(store, loop, load_manifest(artifacts, production).dataset_commit)
        texts = drift_reference.texts_by_cluster(known.reference, trained)
    return explain(known.reference, comparison, vectors, [point.text for point in window], texts)


def _materialize(
    loop: LoopConfig,
    context: dg.AssetExecutionContext,
    artifacts: Artifacts,
    control: Control,
    traffic_log: TrafficLog,
    measured: DriftMeasurement,
    feedback: Mapping[str, Feedback],
    share: float,
    note: str,
) -> dg.MaterializeResult:
    result = measured.comparison
    measured = replace(measured, explanation=_without_texts(measured, traffic_log, loop))
    report = report_of(loop, measured) | {"run_id": context.run_id}
    digest = keep_report(context.instance, artifacts, loop.name, "drift", report)
    values = {s.name: s.value for s in result.statistics} | {f"{s.name}_threshold": s.threshold for s in result.statistics}
    policy = loop.retrain_on.drift
    this = WindowVerdict(measured.begin, measured.end, result.verdict)
    in_a_row = alarms_in_a_row(chain([this], windows(context.instance, loop, measured.production)), policy.longest_gap)
    newest = LatestReport(
        at=measured.end,
        version=measured.production,
        verdict=result.verdict.value,
        values={s.name: s.value for s in (*result.statistics, *result.informing)} | {IN_A_ROW: in_a_row},
        limits={s.name: s.threshold for s in (*result.statistics, *result.informing)} | {IN_A_ROW: policy.consecutive},
        note=note,
    )
    newest = record_latest(control, loop.name, "drift_report", newest)
    silent = newest.silence(measured.end)
    metadata: dict[str, dg.MetadataValue | str | float | int] = {
        "verdict": result.verdict.value,
        "reason": result.reason,
        **({"compared_with": note} if note else {}),
        **({"over_several_windows": over_windows(measured, measured.evidence, loop.timezone)} if measured.evidence else {}),
        **({"embedder_changed": measured.embedder_changed} if measured.embedder_changed else {}),
        "is_it_new": result.is_new,
        "did_the_mix_change": result.mix_changed,
    }
    if result.statistics and measured.known:
        metadata["new_topics"] = _new_topics_table(measured, feedback)
        metadata["moved_topics"] = _moved_topics_table(measured)
        metadata["statistics"] = _statistics_table(result)
        metadata["map"] = dg.MetadataValue.md(_map(measured, measured.known))
        farthest = np.argsort(-result.distances)[:10]
        shown = [(measured.window[i].request_id, result.distances[i]) for i in farthest]
        metadata["farthest_queries"] = table(["request id", "distance"], shown)
        if measured.known.sentences:
            metadata["what_it_can_see"] = dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in measured.known.sentences))
    metadata |= {
        "production": (measured.production or "")[:12],
        "window_queries": len(measured.window),
        **({"drawn_from": in_words(share)} if share < 1 else {}),
        "reference_queries": measured.known.reference.count if measured.known else 0,
        "embedder": measured.known.reference.embedder if measured.known else "",
        "window_begin": dg.MetadataValue.timestamp(measured.begin),
        "window_end": dg.MetadataValue.timestamp(measured.end),
        "false_alarm_rate": measured.rate,
        **values,
        "report": place(report_key(loop.name, "drift", digest), digest),
    }
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest),
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name=CHECK,
                passed=result.verdict is DriftVerdict.QUIET,  # what is not measured is no pass
                severity=dg.AssetCheckSeverity.ERROR if result.verdict is DriftVerdict.ALARM else dg.AssetCheckSeverity.WARN,
                description=f"{result.verdict.value}: {result.reason}" + (f"; no verdict for {silent / DAY:.1f} days" if silent else ""),
                metadata={"verdict": result.verdict.value, "reason": result.reason},
            )
        ],
    )


def _without_texts(measured: DriftMeasurement, traffic_log: TrafficLog, loop: LoopConfig) -> Explanation:
    """The explanation as it is stored: examples are ids of requests, keywords are words that several users wrote.

    Neither Dagster's event log nor a report under its digest can forget a text. `ftassets drift` shows the examples.
    """
    names = {point.text: point.request_id for point in measured.window}
    said = [(e.user or e.id, e.prompt) for e in traffic_log.named(loop.name, [point.request_id for point in measured.window])]
    common = words_of_several(said)

    def stored(topic: Topic) -> Topic:
        known = tuple(word for word in topic.keywords if word in common)
        return replace(topic, keywords=known, examples=tuple(names[text] for text in topic.examples if text in names))

    found = measured.explanation
    return Explanation(tuple(map(stored, found.new)), tuple(map(stored, found.moved)))


def report_of(loop: LoopConfig, measured: DriftMeasurement) -> dict:
    """A report as plain JSON."""
    result = measured.comparison
    return {
        "loop": loop.name,
        "production": measured.production,
        "reference_commit": measured.known.commit if measured.known else None,
        "reference_queries": measured.known.reference.count if measured.known else 0,
        "embedder": measured.known.reference.embedder if measured.known else None,
        "embedder_changed": measured.embedder_changed,
        "window_end": measured.end,
        "window_queries": len(measured.window),
        "false_alarm_rate": measured.rate,
        "verdict": result.verdict.value,
        "reason": result.reason,
        "is_it_new": result.is_new,
        "did_the_mix_change": result.mix_changed,
        "statistics": [
            {"name": s.name, "value": s.value, "threshold": s.threshold, "p_value": s.p_value, "informs_only": s.informs_only}
            for s in (*result.statistics, *result.informing)
        ],
        "new_topics": [
            {"share": topic.share, "keywords": list(topic.keywords), "examples": list(topic.examples)} for topic in measured.explanation.new
        ],
        "accumulated": {
            "reference_until": measured.known.until if measured.known else None,
            "evidence": measured.evidence.value if measured.evidence else None,
            "over_windows": measured.evidence.windows if measured.evidence else 0,
            "windows": [asdict(window) for window in measured.added],
            "spread": measured.spread and asdict(measured.spread),
        },
        "requests": [point.request_id for point in measured.window],
    }


def over_windows(measured: DriftMeasurement, found: Evidence, timezone: str) -> str:
    """The evidence that accumulated, in words: how strong it is, since when, and over how many queries."""
    since = measured.added[-found.windows :] if found.windows else ()
    if not since:
        return "No window was added yet."
    day = f"{datetime.fromtimestamp(since[0].begin, ZoneInfo(timezone)):%F}"
    queries = sum(window.queries for window in since)
    limit = next(s.threshold for s in measured.comparison.statistics if s.name == EVIDENCE)
    what = (
        f"Evidence {found.value:.3g} that queries are newer since {day}, "
        f"from {amount(len(since), 'window')} with {amount(queries, 'query', 'queries')}"
    )
    return f"{what}; an alarm needs {limit:.3g}."


def _statistics_table(result: Comparison) -> dg.MetadataValue:
    rows = [(s.name, s.value, s.threshold, f"{s.p_value:.4f}", "ALARM" if s.alarm else "quiet") for s in result.statistics]
    rows += [
        (s.name, s.value, s.threshold, f"{s.p_value:.4f}", "above usual, informs only" if s.above else "usual, informs only")
        for s in result.informing
    ]
    return table(["statistic", "value", "threshold", "p", "verdict"], rows)


def _new_topics_table(measured: DriftMeasurement, feedback: Mapping[str, Feedback]) -> dg.MetadataValue:
    """New topics with the user feedback on their answers, compared with the feedback on other topics."""
    unhappy = {name for name, each in feedback.items() if each.verdict in (FeedbackVerdict.CORRECTION, FeedbackVerdict.THUMBS_DOWN)}

    def doubted(members: Sequence[int]) -> str:
        hit = sum(measured.window[i].request_id in unhappy for i in members)
        return f"{hit / len(members):.0%} of {len(members)}" if members else "-"

    topics = measured.explanation.new
    inside = {i for topic in topics for i in topic.members}
    rows: list[tuple[object, ...]] = [
        (", ".join(topic.keywords), f"{topic.share:.0%}", doubted(topic.members), " / ".join(topic.examples)) for topic in topics
    ]
    others = [i for i in range(len(measured.window)) if i not in inside]
    rows.append(("(all other queries)", f"{len(others) / max(len(measured.window), 1):.0%}", doubted(others), ""))
    return table(["new topic", "share of the window", "answers corrected or rated down", "request ids, for example"], rows)


def _moved_topics_table(measured: DriftMeasurement) -> dg.MetadataValue:
    rows = [
        (
            ", ".join(topic.keywords),
            f"{topic.cluster.reference_share:.1%}",
            f"{topic.cluster.window_share:.1%}",
            topic.cluster.contribution,
            " / ".join(topic.examples),
        )
        for topic in measured.explanation.moved[:10]
    ]
    return table(["known topic", "share in the reference", "share in the window", "part of the PSI", "request ids, for example"], rows)


def _map(measured: DriftMeasurement, known: Known) -> str:
    vectors = np.array([point.vector for point in measured.window])
    limit = measured.comparison.limit
    return drift_map(known.reference.vectors, vectors, measured.comparison.distances > (np.inf if limit is None else limit))
