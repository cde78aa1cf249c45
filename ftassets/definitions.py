"""Composition root: the loops of a folder, their resources, the executor."""

import gc
import os
from pathlib import Path

import dagster as dg

from ftassets.components.fine_tune_loop import build_loop, need_data_files
from ftassets.components.resources import resources
from ftassets.config.loop_files import LOOPS, read_loops


def load(folder: Path) -> dg.Definitions:
    """All loops below a folder. Heavy work runs in processes of its own, so steps of a run share one.

    Raises ConfigurationError with one sentence about a bad loop file: Dagster's own errors name neither file nor field of many.
    """
    loops = read_loops(folder).values()
    for loop in loops:
        need_data_files(loop)
    gc.disable()  # what is made here lives as long as the process: looking for garbage in it costs a sixth of the time
    try:
        return dg.Definitions.merge(*map(build_loop, loops), dg.Definitions(resources=resources(), executor=dg.in_process_executor))
    finally:
        gc.freeze()
        gc.enable()


@dg.definitions
def defs() -> dg.Definitions:
    """The loops below the folder that FTASSETS_LOOPS names, by default those that come with the package."""
    return load(Path(os.environ.get("FTASSETS_LOOPS") or LOOPS))
