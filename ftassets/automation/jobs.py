"""The jobs of a loop: watch the traffic, train again, promote by hand, move traffic."""

from typing import Any

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.run_nodes import LOOP
from ftassets.automation.mlflow_bridge import end_mlflow_run
from ftassets.config.loop import LoopConfig

TRIGGER = "ftassets/trigger"
RETRAIN_LOCK = "ftassets/retrain"  # at most one run per value of this tag, see dagster.yaml


def watch_job_name(loop: str) -> str:
    return f"{loop}__watch"


def retrain_job_name(loop: str) -> str:
    return f"{loop}__retrain"


def endpoint_job_name(loop: str) -> str:
    return f"{loop}__move_traffic"


def build(loop: LoopConfig) -> list[Any]:
    """Watch (embeddings, drift report), retrain (examples to release), and the endpoint's own job."""

    def keys(*names: str) -> list[dg.AssetKey]:
        return [node(loop.name, name) for name in names]

    tags = {LOOP: loop.name}
    teacher = ["synthetic_examples"] if loop.dataset.teacher else []
    made = ["adapter", "aligned_adapter"] if loop.align else ["adapter"]
    return [
        dg.define_asset_job(
            watch_job_name(loop.name),
            selection=keys("query_embeddings", "drift_report"),
            tags=tags,
            description="Embed new queries and compare the last window with what production knows.",
        ),
        dg.define_asset_job(
            retrain_job_name(loop.name),
            selection=keys("seed_examples", "golden_set", *teacher, "curated_dataset", "preference_pairs", *made, "eval_report", "release"),
            tags={**tags, RETRAIN_LOCK: loop.name},
            hooks={end_mlflow_run},
            description="Curate, train, evaluate, and release what passes every gate.",
        ),
        dg.define_asset_job(
            f"{loop.name}__promote",
            selection=dg.AssetSelection.assets(*keys("release")) | dg.AssetSelection.checks_for_assets(*keys("eval_report")),
            tags={**tags, RETRAIN_LOCK: loop.name},
            description="Evaluate the gates on the newest report again, with reviews added since, and release if they pass.",
        ),
        dg.define_asset_job(
            endpoint_job_name(loop.name),
            selection=keys("endpoint"),
            tags={**tags, "ftassets/rollout": loop.name},
            description="Start, ramp or roll back a release, or report where traffic goes.",
        ),
    ]
