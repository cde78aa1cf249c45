"""The lineage graph of a loop: its assets, in the order of the picture in the README."""

from typing import Any

import dagster as dg

from ftassets.assets import (
    adapter,
    behaviour_report,
    cost_report,
    endpoint,
    golden_set,
    live_golden_report,
    preference_pairs,
    quality_report,
    query_embeddings,
    recipe_proposal,
    release,
    seed_examples,
    synthetic_examples,
    traffic,
    traffic_retention,
)
from ftassets.assets.aligned_adapter import asset as aligned_adapter
from ftassets.assets.curated_dataset import asset as curated_dataset
from ftassets.assets.drift_report import asset as drift_report
from ftassets.assets.eval_report import asset as eval_report
from ftassets.assets.health import asset as health
from ftassets.config.loop import LoopConfig


def build(loop: LoopConfig) -> tuple[list[Any], list[dg.AssetChecksDefinition]]:
    """All assets of a loop, and its checks that are no part of an asset."""
    report, gates = eval_report.build(loop)
    assets = [
        traffic.build(loop),
        *([traffic_retention.build(loop)] if loop.traffic.limited else []),
        query_embeddings.build(loop),
        drift_report.build(loop),
        seed_examples.build(loop),
        golden_set.build(loop),
        *([synthetic_examples.build(loop)] if loop.dataset.teacher else []),
        curated_dataset.build(loop),
        preference_pairs.build(loop),
        *([recipe_proposal.build(loop)] if loop.sweep else []),
        adapter.build(loop),
        *([aligned_adapter.build(loop)] if loop.align else []),
        report,
        release.build(loop),
        endpoint.build(loop),
        live_golden_report.build(loop),
        quality_report.build(loop),
        behaviour_report.build(loop),
        health.build(loop),
        cost_report.build(loop),
    ]
    return assets, [gates]
