"""Composition root: the loops of a project, their resources, the executor."""

import gc
from pathlib import Path

import dagster as dg

from ftassets.components.resources import resources
from ftassets.config.loop_files import read_loops


def load(project: Path) -> dg.Definitions:
    """All loops below a Dagster project's defs folder. Heavy work runs in processes of its own, so steps of a run share one.

    Raises ConfigurationError with one sentence about a bad loop file: Dagster's own errors name neither file nor field of many.
    """
    read_loops(project)
    gc.disable()  # what is made here lives as long as the process: looking for garbage in it costs a sixth of the time
    try:
        loops = dg.load_from_defs_folder(path_within_project=project)
        return dg.Definitions.merge(loops, dg.Definitions(resources=resources(), executor=dg.in_process_executor))
    finally:
        gc.freeze()
        gc.enable()


@dg.definitions
def defs() -> dg.Definitions:
    """The loops that come with the package."""
    return load(Path(__file__).parent)
