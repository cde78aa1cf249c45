"""Requests, answers and feedback of the live endpoint, as the gateway logs them."""

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import describe
from ftassets.config.loop import LoopConfig


def build(loop: LoopConfig) -> dg.AssetSpec:
    """The external asset; `query_embeddings` reports how far it was read."""
    return dg.AssetSpec(node(loop.name, "traffic"), **describe(loop, __doc__, {"sqlite"}))
