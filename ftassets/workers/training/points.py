"""Numbers of a training, step by step, in a file that whoever started it follows."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from ftassets.domain.training.points import Point, to_line

Track = Callable[[int, Mapping[str, float]], None]
_MIB = 2**20


def tracking(file: Path) -> Track:
    """A function that notes numbers after a step at the end of the file."""
    file.parent.mkdir(parents=True, exist_ok=True)

    def track(step: int, values: Mapping[str, float]) -> None:
        with file.open("a", encoding="utf-8") as out:
            out.write(to_line(Point(step, values, time.time())))

    return track


def whole_lines(file: Path, start: int) -> tuple[list[bytes], int]:
    """The whole lines from a place in a file on, which may not be there yet, and where the next one begins."""
    try:
        with file.open("rb") as lines:
            lines.seek(start)
            whole = lines.read().rpartition(b"\n")[0]
    except FileNotFoundError:  # the training has not come as far as a step
        return [], start
    return whole.splitlines(), start + (len(whole) + 1 if whole else 0)


def memory() -> dict[str, float]:
    """Memory of this process in MiB, and the most it has taken of its GPU if it has one."""
    import torch

    used = {"memory_mib": psutil.Process().memory_info().rss / _MIB}
    return used | ({"gpu_memory_mib": torch.cuda.max_memory_allocated() / _MIB} if torch.cuda.is_available() else {})
