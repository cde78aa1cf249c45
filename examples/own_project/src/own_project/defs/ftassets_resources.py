"""What the fine-tune loops of this project work with: traffic log, dataset store, registry, serving and the rest."""

import dagster as dg

import ftassets


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(resources=ftassets.resources())
