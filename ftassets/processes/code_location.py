"""What the code server loads: the definitions of the user's Dagster project, or ours for the folder of loops."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets.config.dagster_project import project_around
from ftassets.config.loop_files import LOOPS
from ftassets.config.loops_folder import LoopsFolder
from ftassets.errors import ConfigurationError

OURS = "ftassets.definitions"
SILENCE = 300.0  # seconds; each part of the daemon gives a sign of life every 30
# the first name that the interpreter does not find; whole packages only, so that no code of theirs runs
_MISSING = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
print(next((name for name in sys.argv[2:] if importlib.util.find_spec(name) is None), ""))
"""
_LOADED = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
  ... on RepositoryLocation { repositories { assetGroups { groupName } } }
  ... on PythonError { className message errorChain { error { message } } }
} } } } }
"""


_RUNNING = "{ runsOrError(filter: {statuses: [NOT_STARTED, STARTING, STARTED, CANCELING]}) { ... on Runs { count } } }"
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime } } } }"


@dataclass(frozen=True)
class CodeLocation:
    """One code location of Dagster.

    `target` is a module or the absolute path of a Python file, `python` the interpreter, `imports` the folder that comes first on the
    import path while the target is loaded, `directory` the working directory of the code server and of all runs.
    """

    target: str = OURS
    name: str = "ftassets"
    python: str = sys.executable
    imports: str = str(LOOPS)  # without one Dagster takes the working directory; this one has no module in it
    directory: str = "."

    def command(self, port: int) -> list[str]:
        """What starts the code server on a port of the loopback interface."""
        load = ["-f" if self.target.endswith(".py") else "-m", self.target, "-d", self.imports, "--location-name", self.name]
        address = ["-h", "127.0.0.1", "-p", str(port), "--use-python-environment-entry-point"]
        return [self.python, "-P", "-m", "dagster", "code-server", "start", *load, *address]


def code_location(loops: LoopsFolder, definitions: str | None) -> CodeLocation:
    """What to load for a folder of loops: the module or file a person named, else the project whose folder that is, else our own.

    A project runs as `dg` runs it: with the interpreter of its virtual environment, from its folder. Raises ConfigurationError.
    """
    here = Path.cwd()
    if definitions is None or definitions == OURS:
        project = loops.project if definitions is None else None
        if project is None or project.module == OURS:
            return CodeLocation(directory=str(here))
        target = project.module
    elif definitions.endswith(".py"):
        file = Path(definitions).resolve()
        if not file.is_file():
            raise ConfigurationError(f"--definitions names {file}, which is not there")
        project, target = project_around(file.parent), str(file)
        if project and file.is_relative_to(project.sources):  # a module of its package may import its neighbours
            target = ".".join(file.relative_to(project.sources).with_suffix("").parts)
    else:
        project, target = project_around(here), definitions
    if not target.endswith(".py") and not all(map(str.isidentifier, target.split("."))):
        raise ConfigurationError(f"--definitions takes the name of a module, for example shop.definitions, or a .py file, not {target!r}")
    if project is None:
        return CodeLocation(target, python=sys.executable, imports=str(here), directory=str(here))
    python = str(project.python or sys.executable)
    return CodeLocation(target, project.location, python, str(project.sources), str(project.root))


def need_packages(code: CodeLocation) -> None:
    """Raises ConfigurationError when the interpreter of a code location lacks what it needs."""
    names = ["dagster", "ftassets"] + ([] if code.target.endswith(".py") else [code.target.partition(".")[0]])
    try:
        command = [code.python, "-P", "-c", _MISSING, code.imports, *names]
        missing = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(
            f"the interpreter {code.python} cannot be run ({type(error).__name__}): install the project again"
        ) from error
    if missing:
        message = f"{code.python} has no package {missing}, which the definitions {code.target} need: install it there"
        ours = ", or start with --definitions ftassets.definitions, which serves the loops without the project"
        raise ConfigurationError(message + (ours if code.target != OURS else ""))


@dataclass(frozen=True)
class Loading:
    """Whether Dagster has heard from the code location, what is wrong with all its definitions, and the loops without an asset in them."""

    known: bool
    problem: str | None = None
    absent: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the definitions of every loop are there."""
        return self.known and self.problem is None and not self.absent


def loading(url: str, name: str, loops: Iterable[str]) -> Loading:
    """What the webserver at `url` knows of a code location that should have these loops."""
    try:
        entries = _asked(url, _LOADED)["workspaceOrError"]["locationEntries"]
        [found] = [each["locationOrLoadError"] for each in entries if each["name"] == name]
    except (OSError, ValueError, KeyError, TypeError):
        return Loading(False)
    if found is None or str(found.get("className")).startswith("DagsterUserCodeUnreachable"):
        return Loading(False)
    if "message" in found:
        causes = [found["message"], *(link["error"]["message"] for link in found.get("errorChain") or ())]
        return Loading(True, " ".join(causes[-1].split())[:500])
    groups = {group["groupName"] for repository in found["repositories"] for group in repository["assetGroups"]}
    return Loading(True, absent=tuple(sorted(set(loops) - groups)))


def silent_daemons(url: str, silence: float = SILENCE) -> list[str] | None:
    """Parts of Dagster's daemon that have to run and gave no sign of life for so many seconds; None if the webserver at `url` is silent.

    Dagster itself calls one healthy for half an hour.
    """
    try:
        statuses = _asked(url, _DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        limit = time.time() - silence
        return sorted(each["daemonType"] for each in statuses if each["required"] and (each["lastHeartbeatTime"] or 0.0) < limit)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def runs_under_way(url: str) -> int:
    """How many runs have left the queue and not ended, as the webserver at `url` sees it; 0 if it does not answer."""
    try:
        return int(_asked(url, _RUNNING)["runsOrError"]["count"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _asked(url: str, query: str) -> Any:
    request = urllib.request.Request(f"{url}/graphql", json.dumps({"query": query}).encode(), {"content-type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return json.load(answer)["data"]


def without_working_directory(path: str) -> str:
    """A PYTHONPATH with absolute folders; an empty part, which means the working directory, is left out."""
    return os.pathsep.join(os.path.abspath(part) for part in path.split(os.pathsep) if part)
