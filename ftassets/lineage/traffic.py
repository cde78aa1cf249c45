"""Requests, answers and feedback of the live endpoint, as the gateway logs them."""

import dagster as dg

from ftassets.domain.loop import LoopConfig
from ftassets.lineage.events import node
from ftassets.lineage.node import describe


def build(loop: LoopConfig) -> dg.AssetSpec:
    """The external asset; `query_embeddings` reports how far it was read."""
    return dg.AssetSpec(node(loop.name, "traffic"), **describe(loop, __doc__, {"sqlite"}))
