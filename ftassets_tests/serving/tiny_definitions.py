"""The smallest code location there is, for tests of the process tree."""

import dagster as dg


@dg.asset
def nothing() -> None:
    """Materializes nothing."""


defs = dg.Definitions(assets=[nothing])
