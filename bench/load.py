"""CPU time to load a project of many loops, beside the time of `import dagster` alone.

CPU time grows when other programs share the cores: before believing a figure, compare `peer` with what it is on an idle machine.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.rows import ROOT, Row, Size, environment, parse, parser, write
from ftassets.config.loop_files import LOOPS

TEMPLATE = LOOPS / "voice_commands"
PEER = "import dagster"
GOAL_SECONDS = 3.0
SIZES = {"loops": Size(50, 50, "loops in the project"), "runs": Size(5, 5, "subprocesses of which the median counts")}
# a code server loads once and keeps running: the end of the interpreter is not measured
END = "\nimport os\nsys.stdout.flush()\nos._exit(0)\n"
OURS = """
import sys
from pathlib import Path
import dagster as dg
from ftassets import resources
loops = dg.load_from_defs_folder(path_within_project=Path(sys.argv[1]))
repository = dg.Definitions.merge(loops, dg.Definitions(resources=resources())).get_repository_def()
if sys.argv[2] == "jobs":
    repository.get_all_jobs()
print(len({key.path[0] for key in repository.asset_graph.get_all_asset_keys()}))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the row; returns the exit code."""
    made = parser("load", __doc__)
    made.add_argument("--jobs", action="store_true", help="also resolve every job, as a code server does once")
    return write("load", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Write the project and load it in fresh interpreters."""
    with tempfile.TemporaryDirectory() as folder:
        package = write_project(Path(folder), options.loops)
        variables = environment(PYTHONPATH=os.pathsep.join([folder, str(ROOT)]))
        variables.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once
        command = [OURS + END, str(package), "jobs" if options.jobs else "repository"]
        loaded, imported = [], []
        cpu_seconds(command, variables, expect=options.loops)  # compiles
        for _ in range(options.runs):  # in turn, so that both see the same machine
            loaded.append(cpu_seconds(command, variables, expect=options.loops))
            imported.append(cpu_seconds([f"import sys\n{PEER}{END}"], variables))
    ours, peer = statistics.median(loaded), statistics.median(imported)
    what = f"definitions and repository of {options.loops} loops" + (", every job resolved" if options.jobs else "")
    yield Row(what, ours, "CPU-s", f"<= {GOAL_SECONDS:g}", ours <= GOAL_SECONDS, peer, PEER)


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


def cpu_seconds(code: list[str], variables: dict[str, str], expect: int | None = None) -> float:
    """User and system time of a fresh interpreter up to the end of the code. Raises RuntimeError when it loaded something else."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.check_output([sys.executable, "-W", "ignore", "-c", *code], text=True, env=variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if expect is not None and output.split()[:1] != [str(expect)]:
        raise RuntimeError(f"{expect} loops were written, the definitions hold: {output}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
