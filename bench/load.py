"""CPU time to load a project of many loops, beside the time of `import dagster` alone.

Prints one JSON line, exits 1 when the goal does not hold. CPU time grows when other programs share
the cores: compare `peer` with what it is on a machine at rest before believing a figure.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import ftassets
from ftassets.config.loop_files import LOOPS

TEMPLATE = LOOPS / "voice_commands"
PEER = "import dagster"
# a code server loads once and lives: taking the interpreter down again is no part of it
END = "\nimport os\nsys.stdout.flush()\nos._exit(0)\n"
OURS = """
import sys
from pathlib import Path
from ftassets.definitions import load
repository = load(Path(sys.argv[1])).get_repository_def()
if sys.argv[2] == "jobs":
    repository.get_all_jobs()
print(len({key.path[0] for key in repository.asset_graph.get_all_asset_keys()}))
"""


def main() -> int:
    """Write the project, measure both, print the row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loops", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5, help="subprocesses of which the median counts")
    parser.add_argument("--goal", type=float, default=3.0, help="CPU seconds")
    parser.add_argument("--jobs", action="store_true", help="also resolve every job, as a code server does once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = write_project(Path(folder), options.loops)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, str(Path(ftassets.__file__).parents[1])])}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once
        arguments = [str(package), "jobs" if options.jobs else "repository"]
        loaded, imported = [], []
        cpu_seconds([OURS + END, *arguments], environment, expect=options.loops)  # compiles
        for _ in range(options.runs):  # in turn, so that both see the same machine
            loaded.append(cpu_seconds([OURS + END, *arguments], environment, expect=options.loops))
            imported.append(cpu_seconds([f"import sys\n{PEER}{END}"], environment))
    ours, peer = statistics.median(loaded), statistics.median(imported)
    row = {
        "bench": "load",
        "what": f"definitions and repository of {options.loops} loops" + (", every job resolved" if options.jobs else ""),
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "peer_name": PEER,
        "unit": "CPU-s",
        "ratio": round(ours / peer, 2),
        "goal": f"<= {options.goal:g}",
        "holds": ours <= options.goal,
    }
    print(json.dumps(row))
    return 0 if row["holds"] else 1


def write_project(folder: Path, loops: int) -> Path:
    """A Dagster project with copies of the template loop under other names; returns its package."""
    package = folder / "many_loops"
    package.mkdir()
    (package / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "many_loops"\n'
        'defs_module = "many_loops.loops"\nregistry_modules = ["ftassets.components"]\n'
    )
    text = (TEMPLATE / "defs.yaml").read_text()
    assert "\n  name: voice_commands\n" in text
    for number in range(loops):
        copy = package / "loops" / f"loop_{number:03}"
        shutil.copytree(TEMPLATE, copy)
        (copy / "defs.yaml").write_text(text.replace("\n  name: voice_commands\n", f"\n  name: loop_{number:03}\n"))
    (package / "loops" / "__init__.py").touch()
    return package


def cpu_seconds(code: list[str], environment: dict[str, str], expect: int | None = None) -> float:
    """User and system time of a fresh interpreter up to the end of the code. Raises RuntimeError when it loaded something else."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.check_output([sys.executable, "-W", "ignore", "-c", *code], text=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if expect is not None and output.split()[:1] != [str(expect)]:
        raise RuntimeError(f"{expect} loops were written, the definitions hold: {output}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
