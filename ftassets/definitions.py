"""Composition root: the loops of a folder, their resources, the executor."""

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from ftassets.backends.control.kept_loops import kept_names
from ftassets.components.broken_loop import build_broken_loop
from ftassets.components.fine_tune_loop import build_loop, need_data_files
from ftassets.components.resources import resources
from ftassets.config import profiles
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS, BrokenFile, LoopFiles, read_loop_files
from ftassets.exits import ending

log = logging.getLogger(__name__)


def load(folder: Path) -> dg.Definitions:
    """All loops below a folder. Heavy work runs in processes of its own, so steps of a run share one.

    A loop whose file cannot be used stops no other: its definitions only say why. Raises ConfigurationError when the folder cannot be
    read, or the profile is wrong.
    """
    files = read_loop_files(folder)
    gc.disable()  # what is made here lives as long as the process: looking for garbage in it costs a sixth of the time
    try:
        shared = dg.Definitions(resources=resources(), executor=dg.in_process_executor)
        return dg.Definitions.merge(*_loops(files), shared)
    finally:
        gc.freeze()
        gc.enable()


def _loops(files: LoopFiles) -> Iterator[dg.Definitions]:
    broken = list(files.broken)
    for name, loop in files.loops.items():
        try:
            need_data_files(loop)
            made = build_loop(loop)
        except Exception as error:  # whatever is wrong with one loop: the others have no part in it
            found = ending(error)
            if found.bug:
                log.exception("the definitions of %s cannot be made", name)
            broken.append(BrokenFile(files.paths[name], found.sentence, (name,)))
        else:
            yield made
    problems = {name: file.problem for file in broken for name in _names(file)}
    for name, problem in problems.items():
        log.error("%s has no asset, sensor or schedule: %s", name, problem)
        yield build_broken_loop(name, problem)


def _names(file: BrokenFile) -> list[str]:
    """The loops that the file had when it could be used, else those that it seems to have."""
    try:
        return kept_names(profiles.control(Home.from_env()), file) or list(file.names)
    except OSError:
        return list(file.names)


@dg.definitions
def defs() -> dg.Definitions:
    """The loops below the folder that FTASSETS_LOOPS names, by default those that come with the package."""
    return load(Path(os.environ.get("FTASSETS_LOOPS") or LOOPS))
