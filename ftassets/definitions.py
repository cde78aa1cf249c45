"""Composition root: the loops of this project, their resources, the executor."""

from pathlib import Path

import dagster as dg

from ftassets.profiles import resources


@dg.definitions
def defs() -> dg.Definitions:
    """All loops below `loops/`. Heavy work runs in processes of its own, so steps of a run share one."""
    loops = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(loops, dg.Definitions(resources=resources(), executor=dg.in_process_executor))
