"""Which folder the loop files are in: one answer for every command, and for the processes that `ftassets up` starts."""

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ftassets.config.dagster_project import DagsterProject, project_around
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import LOOPS, BrokenFile, UnknownLoop, loop_paths, read_loop_files
from ftassets.domain.canonical import parse_json
from ftassets.domain.formats import read, stamp
from ftassets.durable import write_durably
from ftassets.errors import ConfigurationError

VARIABLE = "FTASSETS_LOOPS"
ADVICE = "`ftassets init NAME` writes a loop, --loops DIR or FTASSETS_LOOPS names a folder of loops, `ftassets demo` shows one at work"


class NoLoops(ConfigurationError):
    """There is no loop file where this command looked; the message says where that was and what to do."""


@dataclass(frozen=True)
class LoopsFolder:
    """The folder of the loop files, how it was found (as words for a message), the loops in it by name, and files that cannot be used.

    `paths` are the files of the loops.
    """

    path: Path
    found: str
    loops: dict[str, LoopConfig]
    broken: Sequence[BrokenFile] = ()
    paths: Mapping[str, Path] = field(default_factory=dict)

    @property
    def project(self) -> DagsterProject | None:
        """The Dagster project whose folder of definitions this is: its code location has the same loops."""
        project = project_around(self.path)
        return project if project and project.defs.resolve() == self.path else None

    def named(self, name: str) -> LoopConfig:
        """The loop of that name. Raises UnknownLoop, ConfigurationError with what is wrong with its file."""
        for file in self.broken:
            if name in file.names and name not in self.loops:
                raise ConfigurationError(file.problem)
        if name not in self.loops:
            there = ", ".join(self.loops) or "none whose file can be used"
            raise UnknownLoop(f"there is no loop {name!r} below {self.path} ({self.found}); there is: {there}")
        return self.loops[name]


def loops_folder(home: Home) -> LoopsFolder:
    """The folder FTASSETS_LOOPS names, else that of the Dagster project one stands in, else the one `ftassets up` last ran with.

    A project without loops is passed over, and so is the package's own: its loops are the demo's. A file that cannot be used is only
    listed: what is wrong with one loop stops no other. Raises NoLoops, ConfigurationError.
    """
    looked = []
    for path, found in _places(home):
        files = read_loop_files(path)
        if files.loops or files.broken:
            return LoopsFolder(path, found, files.loops, files.broken, files.paths)
        looked.append(f"{path} ({found})")
    raise _no_loops(home, looked)


def loops_path(home: Home) -> Path:
    """The folder that `loops_folder` reads, found without reading a loop file, so that all of them can be checked. Raises NoLoops."""
    looked = []
    for path, found in _places(home):
        if loop_paths(path):
            return path
        looked.append(f"{path} ({found})")
    raise _no_loops(home, looked)


def new_loops_folder() -> Path:
    """Where a new loop is written: the folder FTASSETS_LOOPS names, else that of the Dagster project one stands in, else ./loops."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    project = project_around(Path.cwd())
    return project.defs if project else Path.cwd() / "loops"


def option_for(folder: Path) -> str:
    """The option by which a command finds a folder that it does not find without, "" otherwise."""
    project = project_around(Path.cwd())
    return "" if project and project.defs == folder else f"--loops {shlex.quote(os.path.relpath(folder))}"


def record(home: Home, folder: Path) -> None:
    """Keep the folder in the home, so that commands find its loops wherever they are started."""
    write_durably(home.loops_file, json.dumps(stamp("loops_folder", {"folder": str(folder.resolve())})))


def recorded(home: Home) -> Path | None:
    """The folder `ftassets up` last ran with."""
    try:
        return Path(read("loops_folder", parse_json(home.loops_file.read_bytes()))["folder"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{home.loops_file} cannot be used ({type(error).__name__}): delete it and name the loops with --loops"
        raise ConfigurationError(message) from error


def _no_loops(home: Home, looked: list[str]) -> NoLoops:
    project = project_around(Path.cwd())
    if project and not project.defs.is_dir():
        here = f"the Dagster project {project.root} has no folder {project.defs}"
    else:
        here = "the working directory is in no Dagster project"
    where = f"below {' or '.join(looked)}" if looked else f"here: {here}"
    no_up = not os.environ.get(VARIABLE) and recorded(home) is None
    elsewhere = f". `ftassets up` never ran in the home {home.root}: if it runs with another, set FTASSETS_HOME to that" if no_up else ""
    return NoLoops(f"there is no loop {where}. {ADVICE}{elsewhere}")


def _places(home: Home) -> Iterator[tuple[Path, str]]:
    if named := os.environ.get(VARIABLE):
        yield Path(named).resolve(), f"named by --loops or {VARIABLE}"
        return
    project = project_around(Path.cwd())
    if project and project.defs.is_dir() and project.defs.resolve() != LOOPS.resolve():
        yield project.defs.resolve(), f"the Dagster project {project.root}"
    if folder := recorded(home):
        if not folder.is_dir():
            raise NoLoops(f"the loops with which `ftassets up` last ran were in {folder}, which is gone. {ADVICE}")
        yield folder, "where `ftassets up` last found them"
