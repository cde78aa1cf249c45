"""Answers users preferred and answers they rejected, to the same conversation, and rated answers; committed with the dataset."""

import time
from collections import Counter

import dagster as dg

from ftassets.assets._shared.accepted import golden_commit
from ftassets.assets._shared.dataset_files import pairs_path, pairs_to_parquet, rated_path, rated_to_parquet, read_evaluation_rows
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.tokenizers import known_control_tokens
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.serving.base import Serving
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import dataset_kind, name_finder
from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.dataset.preference_rules import P, scrubbed, without_control_tokens
from ftassets.domain.dataset.preferences import build_pairs
from ftassets.domain.dataset.rated import Rated, build_rated
from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.gates.result import Verdict
from ftassets.reporting.tables import table, without_quotes
from ftassets.wording import amount

WANTED = 2000  # preference tuning pays once there are a few thousand pairs


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: pairs of the production window, and rated answers if the loop trains on them; `ftassets export` writes pairs for TRL."""
    align = loop.align
    of_ratings = align is not None and align.method == "kto"
    wanted = WANTED if align is None else align.min_rows

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
        tokens = known_control_tokens(artifacts, serving.state(loop.name).production, loop)
        pairs, dropped = _clean(*build_pairs(reviewed, golden, loop), loop, tokens)
        files = {pairs_path(loop.name): pairs_to_parquet(pairs)}
        rated: list[Rated] = []
        if of_ratings:
            rated, not_rated = _clean(*build_rated(reviewed, golden, loop), loop, tokens)
            files[rated_path(loop.name)] = rated_to_parquet(rated)
            dropped += not_rated
        publication = dataset_store.publish(
            f"{context.run_id}-pairs",
            files,
            f"{loop.name}: {amount(len(pairs), 'preference pair')}" + (f", {amount(len(rated), 'rated answer')}" if of_ratings else ""),
            {"loop": loop.name, "pairs": str(len(pairs)), "dropped": str(len(dropped)), "golden_commit": commit},
        )
        shown = [(pair.request_id, pair.source, len(pair.chosen), len(pair.rejected)) for pair in pairs[-10:]]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(publication.commit),
            metadata={
                "verdict": verdict_on(len(rated), "rated answer", wanted) if of_ratings else verdict_on(len(pairs), "pair", wanted),
                "commit": publication.commit[:12],
                "pairs": len(pairs),
                **({"ratings": dict(Counter(row.rating for row in rated))} if of_ratings else {}),
                "quarantined": len(dropped),
                "sources": dict(Counter(pair.source for pair in pairs)),
                "newest": table(["request id", "from", "characters of chosen", "of rejected"], shown),
                "dropped": table(
                    ["where", "reason"], [(item.where.replace(":", ": "), without_quotes(item.reason)) for item in dropped[:30]]
                ),
            },
        )

    return preference_pairs


def _clean(rows: list[P], dropped: list[Quarantined], loop: LoopConfig, tokens: ControlTokens | None) -> tuple[list[P], list[Quarantined]]:
    """The rows without personal data and control tokens, and all that were dropped."""
    rows, personal = scrubbed(rows, loop, name_finder() if loop.dataset.pii_names else None)
    rows, unteachable = without_control_tokens(rows, tokens)
    return rows, [*dropped, *personal, *unteachable]


def verdict_on(rows: int, what: str, wanted: int = WANTED) -> str:
    """Whether so many rows make preference tuning worth a try: no check, for a loop that does without it lacks nothing."""
    verdict = Verdict.PASS if rows >= wanted else Verdict.NOT_ENOUGH_DATA
    return f"{verdict.value}: {amount(rows, what)}, about {wanted} make preference tuning worth a try"
