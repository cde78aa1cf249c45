"""Examples people wrote before there was traffic, versioned from the loop's seed file."""

import dagster as dg

from ftassets.assets._shared.dataset_files import seed_path
from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.written_rows import commit_rows
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import dataset_kind


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset of the loop's seed file."""

    @asset(
        loop,
        __doc__,
        {dataset_kind()},
        check_specs=[dg.AssetCheckSpec("every_line_is_an_example", asset=node(loop.name, "seed_examples"))],
    )
    def seed_examples(context: dg.AssetExecutionContext, dataset_store: dg.ResourceParam[DatasetStore]) -> dg.MaterializeResult:
        return commit_rows(context, dataset_store, loop, loop.dataset.seed, seed_path(loop.name), "seed")

    return seed_examples
