"""The lineage graph of a loop: one module a node, in the order of the picture in the README."""

from typing import Any

import dagster as dg

from ftassets.domain.loop import LoopConfig
from ftassets.lineage import (
    adapter,
    behaviour_report,
    curated_dataset,
    drift_report,
    endpoint,
    eval_report,
    live_golden_report,
    preference_pairs,
    quality_report,
    query_embeddings,
    release,
    synthetic_examples,
    traffic,
    written_sets,
)


def build(loop: LoopConfig) -> tuple[list[Any], list[dg.AssetChecksDefinition]]:
    """All assets of a loop, and its checks that are no part of an asset."""
    report, gates = eval_report.build(loop)
    assets = [
        traffic.build(loop),
        query_embeddings.build(loop),
        drift_report.build(loop),
        written_sets.build_seed_examples(loop),
        written_sets.build_golden_set(loop),
        *([synthetic_examples.build(loop)] if loop.dataset.teacher else []),
        curated_dataset.build(loop),
        preference_pairs.build(loop),
        adapter.build(loop),
        report,
        release.build(loop),
        endpoint.build(loop),
        live_golden_report.build(loop),
        quality_report.build(loop),
        behaviour_report.build(loop),
    ]
    return assets, [gates]
