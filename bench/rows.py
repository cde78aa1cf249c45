"""What all benchmarks share: the form of a row, the exit code, options for sizes, and where data and peers are."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".bench"  # what is kept between runs: peers, vectors of the data
DATA_VARIABLE = "FTASSETS_BENCH_DATA"


class CannotMeasure(Exception):
    """Something a benchmark needs is missing; the message says what, and what to do."""


@dataclass(frozen=True)
class Row:
    """One figure of ours, the peer's where there is one, and whether the goal holds. A row without a goal is shown only."""

    what: str
    ours: float
    unit: str
    goal: str | None = None
    holds: bool | None = None
    peer: float | None = None
    peer_name: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a goal without an answer to whether it holds, and the other way round; the same for peer and name."""
        if (self.goal is None) != (self.holds is None) or (self.peer is None) != (self.peer_name is None):
            raise ValueError(f"goal and holds, peer and peer_name come in pairs: {self}")

    def line(self, bench: str) -> str:
        """The row as JSON; `ratio` is ours divided by the peer's, null when that is 0 or missing."""
        document = {
            "bench": bench,
            "what": self.what,
            "ours": round(float(self.ours), 4),
            "peer": None if self.peer is None else round(float(self.peer), 4),
            "peer_name": self.peer_name,
            "unit": self.unit,
            "ratio": round(float(self.ours / self.peer), 4) if self.peer else None,
            "goal": self.goal,
            "holds": None if self.holds is None else bool(self.holds),  # numpy's bool is no JSON
        }
        return json.dumps(document, allow_nan=False)


def write(bench: str, rows: Iterable[Row]) -> int:
    """Print each row as soon as it is measured; returns the exit code.

    0: every goal holds. 1: a goal does not hold. 2: nothing was measured, or what a row needs is missing (stderr says what).
    """
    held: list[bool | None] = []
    try:
        for row in rows:
            print(row.line(bench), flush=True)
            held.append(row.holds)
    except CannotMeasure as error:
        print(f"bench.{bench}: {error}", file=sys.stderr)
        return 2
    if not held:
        print(f"bench.{bench}: nothing was measured", file=sys.stderr)
        return 2
    return 1 if False in held else 0


class Size(NamedTuple):
    """How much to measure: in a few minutes, and for the figures of bench/README.md."""

    quick: int
    full: int
    help: str


def parser(bench: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for the options of a benchmark."""
    return argparse.ArgumentParser(prog=f"python -m bench.{bench}", description=description)


def parse(made: argparse.ArgumentParser, sizes: Mapping[str, Size], arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with `--full` and one option for each size added; a size that is not given is the quick or the full one."""
    made.add_argument("--full", action="store_true", help="the sizes of the figures in bench/README.md")
    for name, size in sizes.items():
        amounts = f"{size.quick:,}" if size.quick == size.full else f"{size.quick:,}, with --full {size.full:,}"
        made.add_argument(f"--{name.replace('_', '-')}", type=_count, metavar="N", help=f"{size.help} (default {amounts})")
    options = made.parse_args(arguments)
    for name, size in sizes.items():
        if getattr(options, name) is None:
            setattr(options, name, size.full if options.full else size.quick)
    return options


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def data(name: str) -> Path:
    """A file of the data folder, such as `clinc150/data_full.json`. Raises CannotMeasure if it is missing."""
    folder = Path(os.environ.get(DATA_VARIABLE) or ROOT.parent / "shared" / "data")
    if not (folder / name).is_file():
        raise CannotMeasure(
            f"{folder / name} is missing: set {DATA_VARIABLE} to the folder that has clinc150/ and presidio_synth/ in it; "
            "bench/README.md says where the data comes from"
        )
    return folder / name


@dataclass(frozen=True)
class Done:
    """A command of ftassets that ended well: its JSON, and its seconds by the clock and of CPU, the start of Python included."""

    said: Any
    seconds: float
    cpu: float


def run(*arguments: object, **variables: str) -> Done:
    """Run a command of ftassets in a process of its own, with these environment variables. Raises CalledProcessError if it fails."""
    whole = [sys.executable, "-m", "ftassets.cli", *map(str, arguments), "--json"]
    before, begin = os.times(), time.perf_counter()
    done = subprocess.run(whole, env=environment(**variables), check=True, stdout=subprocess.PIPE)
    seconds, used = time.perf_counter() - begin, os.times()
    cpu = used.children_user + used.children_system - before.children_user - before.children_system
    return Done(json.loads(done.stdout), seconds, cpu)


def environment(**more: str) -> dict[str, str]:
    """The environment of a child process: this one's, with the project as PYTHONPATH, changed by `more`."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def peak_memory() -> float:
    """MB that this process took at most. `ru_maxrss` begins at what the parent had when it started the process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1000


def installed(folder: Path, install: Callable[[Path], None]) -> Path:
    """The folder of a peer below `.bench/`, filled at first use. Raises CannotMeasure if it cannot be installed."""
    done = folder / ".installed"
    if not done.exists():
        try:
            install(folder)
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotMeasure(f"the peer in {folder} could not be installed: {error}") from None
        done.touch()
    return folder
