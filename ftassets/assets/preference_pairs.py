"""Answers users preferred and answers they rejected, to the same conversation, committed with the dataset."""

import time
from collections import Counter

import dagster as dg

from ftassets.assets._shared.accepted import golden_commit
from ftassets.assets._shared.dataset_files import pairs_path, pairs_to_parquet, read_evaluation_rows
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.tokenizers import known_control_tokens
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.serving.base import Serving
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import dataset_kind, name_finder
from ftassets.domain.dataset.preferences import build_pairs, scrubbed_pairs, without_control_tokens
from ftassets.domain.gates.result import Verdict
from ftassets.reporting.tables import table, without_quotes
from ftassets.wording import amount

WANTED = 2000  # preference tuning pays once there are a few thousand pairs


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: pairs of the production window; `ftassets export` writes them as TRL's DPO trainer reads them."""

    @asset(loop, __doc__, {dataset_kind()}, deps=["traffic", "golden_set"])
    def preference_pairs(
        context: dg.AssetExecutionContext,
        artifacts: dg.ResourceParam[Artifacts],
        serving: dg.ResourceParam[Serving],
        traffic_log: dg.ResourceParam[TrafficLog],
        dataset_store: dg.ResourceParam[DatasetStore],
    ) -> dg.MaterializeResult:
        commit = golden_commit(context.instance, dataset_store, loop)
        golden = read_evaluation_rows(dataset_store, commit, loop)
        reviewed = traffic_log.reviewed(loop.name, time.time() - loop.dataset.production_window)
        pairs, dropped = build_pairs(reviewed, golden, loop)
        pairs, personal = scrubbed_pairs(pairs, loop, name_finder() if loop.dataset.pii_names else None)
        tokens = known_control_tokens(artifacts, serving.state(loop.name).production, loop)
        pairs, unteachable = without_control_tokens(pairs, tokens)
        dropped += [*personal, *unteachable]
        publication = dataset_store.publish(
            f"{context.run_id}-pairs",
            {pairs_path(loop.name): pairs_to_parquet(pairs)},
            f"{loop.name}: {len(pairs)} preference pairs",
            {"loop": loop.name, "pairs": str(len(pairs)), "dropped": str(len(dropped)), "golden_commit": commit},
        )
        shown = [(pair.request_id, pair.source, len(pair.chosen), len(pair.rejected)) for pair in pairs[-10:]]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(publication.commit),
            metadata={
                "verdict": verdict_on(len(pairs)),
                "commit": publication.commit[:12],
                "pairs": len(pairs),
                "quarantined": len(dropped),
                "sources": dict(Counter(pair.source for pair in pairs)),
                "newest": table(["request id", "from", "characters of chosen", "of rejected"], shown),
                "dropped": table(
                    ["where", "reason"], [(item.where.replace(":", ": "), without_quotes(item.reason)) for item in dropped[:30]]
                ),
            },
        )

    return preference_pairs


def verdict_on(pairs: int) -> str:
    """Whether so many pairs make preference tuning worth a try: no check, for a loop that does without it lacks nothing."""
    verdict = Verdict.PASS if pairs >= WANTED else Verdict.NOT_ENOUGH_DATA
    return f"{verdict.value}: {amount(pairs, 'pair')}, about {WANTED} make preference tuning worth a try"
