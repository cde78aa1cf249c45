"""Are the queries of the last window new to the model in production?"""

import time
from dataclasses import dataclass

import dagster as dg
import numpy as np

from ftassets.domain.canonical import canonical_json, digest_of
from ftassets.domain.drift import Comparison, DriftVerdict, alarm_rate, build_reference, compare
from ftassets.domain.loop import LoopConfig
from ftassets.home import Home
from ftassets.lineage.dataset_files import pack_arrays, read_splits, reference_path, unpack_arrays
from ftassets.lineage.events import node
from ftassets.lineage.node import describe
from ftassets.reporting.plots import drift_map
from ftassets.reporting.tables import markdown_table
from ftassets.resources.dataset_store.base import DatasetStore, ObjectNotFound
from ftassets.resources.embedder.base import Embedder
from ftassets.resources.serving.base import Serving
from ftassets.resources.traffic_log.base import TrafficLog
from ftassets.resources.vector_store.base import QueryVector, VectorStore
from ftassets.resources.versions import load_manifest

CHECK = "within_drift_budget"
WINDOW_END = "ftassets/window_end"  # run tag: the schedule's time, so that windows meet without gap or overlap


@dataclass(frozen=True)
class _Known:
    """Vectors of what production knows, and until when traffic went into them (epoch seconds)."""

    vectors: np.ndarray
    until: float
    commit: str | None


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: one report a run, with the check `within_drift_budget`."""
    key = node(loop.name, "drift_report")
    policy = loop.retrain_on.drift

    @dg.asset(
        key=key,
        deps=[node(loop.name, "query_embeddings")],
        check_specs=[dg.AssetCheckSpec(CHECK, asset=key, description="No drift alarm in the newest window.")],
        **describe(loop, __doc__, {"python"}),
    )
    def drift_report(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        traffic_log: dg.ResourceParam[TrafficLog],
        vector_store: dg.ResourceParam[VectorStore],
        dataset_store: dg.ResourceParam[DatasetStore],
        embedder: dg.ResourceParam[Embedder],
        serving: dg.ResourceParam[Serving],
    ) -> dg.MaterializeResult:
        end = float(context.run.tags.get(WINDOW_END) or time.time())
        rate = alarm_rate(policy.false_alarms, policy.budget_reports)
        known: _Known | None = None
        window: list[QueryVector] = []
        production = serving.state(loop.name).production
        if production is None:
            result = _not_enough(
                "no version is in production yet: the bootstrap sensor, or a materialization of adapter to release, makes one"
            )
        else:
            known = _reference(context, loop, production, home, traffic_log, dataset_store, embedder)
            begin = max(end - policy.window, known.until)
            window = vector_store.window(loop.name, begin, end, policy.sample, seed=int(end))
            smallest = policy.reference_windows * policy.min_sample
            if known.commit is None:
                result = _not_enough(f"the reference waits for production's first {policy.reference_requests} answers")
            elif len(known.vectors) < smallest:
                result = _not_enough(
                    f"the reference has {len(known.vectors)} queries, {smallest} are needed: lower sample or add training rows"
                )
            else:
                vectors = np.array([point.vector for point in window]).reshape(len(window), known.vectors.shape[1])
                result = compare(build_reference(known.vectors), vectors, rate, policy.min_sample)
        return _materialize(loop, context, home, result, production, known, window, end, rate)

    return drift_report


def _not_enough(reason: str) -> Comparison:
    return Comparison(DriftVerdict.NOT_ENOUGH_DATA, reason, (), np.empty(0), None)


def _reference(
    context: dg.AssetExecutionContext,
    loop: LoopConfig,
    production: str,
    home: Home,
    traffic_log: TrafficLog,
    store: DatasetStore,
    embedder: Embedder,
) -> _Known:
    """Training queries of production, widened by its first answers; committed once those have come."""
    path = reference_path(loop.name, production)
    try:
        stored = unpack_arrays(store.read("main", path))
    except ObjectNotFound:
        pass
    else:
        if str(stored["embedder"]) != embedder.id:
            raise dg.Failure(
                f"the reference was embedded by {stored['embedder']}, queries are by {embedder.id}: vectors of two models are "
                "not compared. Go back to that embedder, or release a version with the new one",
                allow_retries=False,
            )
        return _Known(stored["vectors"], float(stored["until"]), store.last_change("main", path))
    wanted = loop.retrain_on.drift.reference_requests
    first = [e for e in traffic_log.exchanges(loop.name) if e.version == production and e.status == 200][:wanted]
    if len(first) < wanted:
        return _Known(np.empty((0, 0)), 0.0, None)
    commit = load_manifest(home.versions, production).dataset_commit
    trained = [row.prompt for rows in read_splits(store, commit, loop.name).values() for row in rows] if commit else []
    vectors = embedder.embed([*trained, *(e.prompt for e in first)])
    until = max((e.at for e in first), default=0.0) + 1e-3
    content = pack_arrays(vectors=vectors, until=np.array(until), embedder=np.array(embedder.id))
    metadata = {"loop": loop.name, "version": production, "trained": str(len(trained)), "traffic": str(len(first))}
    publication = store.publish(f"{context.run_id}-reference", {path: content}, f"{loop.name}: drift reference", metadata)
    return _Known(vectors, until, publication.commit)


def _materialize(
    loop: LoopConfig,
    context: dg.AssetExecutionContext,
    home: Home,
    result: Comparison,
    production: str | None,
    known: _Known | None,
    window: list[QueryVector],
    end: float,
    rate: float,
) -> dg.MaterializeResult:
    report = {
        "loop": loop.name,
        "production": production,
        "reference_commit": known.commit if known else None,
        "reference_queries": len(known.vectors) if known else 0,
        "window_end": end,
        "window_queries": len(window),
        "false_alarm_rate": rate,
        "verdict": result.verdict.value,
        "reason": result.reason,
        "statistics": [{"name": s.name, "value": s.value, "threshold": s.threshold, "p_value": s.p_value} for s in result.statistics],
        "mix_shift": result.mix_shift,
        "requests": [point.request_id for point in window],
        "run_id": context.run_id,
    }
    digest = digest_of(report)
    folder = home.reports / loop.name
    folder.mkdir(parents=True, exist_ok=True)
    artefact = folder / f"drift-{digest}.json"
    artefact.write_bytes(canonical_json(report))

    metadata: dict[str, dg.MetadataValue | str | float | int] = {
        "verdict": result.verdict.value,
        "reason": result.reason,
        "window_queries": len(window),
        "reference_queries": len(known.vectors) if known else 0,
        "window_end": dg.MetadataValue.timestamp(end),
        "false_alarm_rate": rate,
        "report": dg.MetadataValue.path(artefact),
    }
    if result.statistics and known:
        metadata |= {s.name: s.value for s in result.statistics}
        metadata |= {f"{s.name}_threshold": s.threshold for s in result.statistics}
        rows: list[tuple[object, ...]] = [
            (s.name, s.value, s.threshold, f"{s.p_value:.4f}", "ALARM" if s.alarm else "quiet") for s in result.statistics
        ]
        if result.mix_shift is not None:
            metadata["mix_shift"] = result.mix_shift
            rows.append(("mix_shift (informs only)", result.mix_shift, "", "", ""))
        metadata["statistics"] = dg.MetadataValue.md(markdown_table(["statistic", "value", "threshold", "p", "verdict"], rows))
        limit = float(np.quantile(build_reference(known.vectors).distances, 0.95))
        vectors = np.array([point.vector for point in window])
        metadata["map"] = dg.MetadataValue.md(drift_map(known.vectors, vectors, result.distances > limit))
        farthest = np.argsort(-result.distances)[:10]
        table = markdown_table(["query", "distance"], [(window[i].text, float(result.distances[i])) for i in farthest])
        metadata["farthest_queries"] = dg.MetadataValue.md(table)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest),
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name=CHECK,
                passed=result.verdict is DriftVerdict.QUIET,
                # too little data is neither red nor green
                severity=dg.AssetCheckSeverity.ERROR if result.verdict is DriftVerdict.ALARM else dg.AssetCheckSeverity.WARN,
                metadata={"verdict": result.verdict.value, "reason": result.reason},
            )
        ],
    )
