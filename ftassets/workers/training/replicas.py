"""Training on the cores of a CPU: forked copies that each take a part of every batch and agree on every gradient.

Two threads in one process are no faster than one for a small model,
two processes nearly twice as fast (docs/decisions/0014-demo-training-recipe.md).
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from ftassets.workers.process import KILLED, die_with_parent

GRACE = 5.0  # seconds in which the original may detect the cause of a copy's failure itself and report it better
_MEET = "replicas"  # file by which they find each other
_left = Event()  # there is nothing more to agree on
_watches: list[Thread] = []  # in the original, one for each copy


def fitting(batch_size: int, cores: int) -> int:
    """The most replicas that split a batch evenly."""
    return max(count for count in range(1, max(cores, 1) + 1) if batch_size % count == 0)


def fork(count: int, work: Path) -> int:
    """Make `count` copies of this process; returns 0 in the original, else the copy's number. Torch must not have started threads.

    They will meet in `work`. The original ends when a copy does before its time, with exit code 137 when it was killed.
    """
    work.mkdir(parents=True, exist_ok=True)
    (work / _MEET).unlink(missing_ok=True)  # of an attempt that was killed: nobody else would come
    copies = []
    for rank in range(1, count):
        if (pid := os.fork()) == 0:
            die_with_parent()
            return rank
        copies.append(pid)
    _left.clear()
    _watches[:] = [Thread(target=_end_with, args=(pid,), name="replica-watch", daemon=True) for pid in copies]
    for watch in _watches:
        watch.start()
    return 0


def _end_with(pid: int) -> None:
    """Replicas wait for each other at every step: without this the original would wait for half an hour."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == -signal.SIGKILL:
        os._exit(KILLED)
    if code and not _left.wait(GRACE):
        os._exit(1)


@dataclass(frozen=True)
class Member:
    """The place of a process among `count` of other machines that somebody else started and connected."""

    rank: int
    count: int


class Share:
    """Positions of this replica's rows, epoch after epoch: its part of each batch that one process would take.

    All replicas take as many: of a smaller last batch up to count - 1 rows are left out.
    """

    def __init__(self, rows: int, batch_size: int, rank: int, count: int, seed: int) -> None:
        self._rows, self._batch_size, self._rank, self._count, self._seed = rows, batch_size, rank, count, seed
        self._taken = rows - rows % batch_size % count
        self.epoch = 0  # the next one

    def __len__(self) -> int:
        return self._taken // self._count

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self._seed, self.epoch]).permutation(self._rows)[: self._taken]
        self.epoch += 1
        for start in range(0, self._taken, self._batch_size):
            yield from order[start : start + self._batch_size][self._rank :: self._count].tolist()


@contextmanager
def joined(rank: int, count: int, work: Path) -> Iterator[None]:
    """Connects the replicas for gradient exchange inside the block; a copy exits at its end."""
    if count == 1:
        yield
        return
    import torch.distributed as dist

    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    code = 1
    try:
        dist.init_process_group("gloo", init_method=f"file://{work.resolve() / _MEET}", rank=rank, world_size=count)
        yield
        dist.destroy_process_group()
        code = 0
    except BaseException:
        for watch in _watches:
            watch.join(1.0)  # that a copy was killed says more than that it does not answer
        raise
    finally:
        _left.set()
        if rank:
            os._exit(code)


def agree(model: Any) -> None:
    """Replace every gradient by the mean over all replicas."""
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def total(value: float) -> float:
    """Sum of a number over all replicas."""
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        return value
    number = torch.tensor([value], dtype=torch.float64)
    dist.all_reduce(number)
    return float(number)


def gathered(value: Any) -> list[Any]:
    """The values of all replicas, by rank; they are small."""
    import torch.distributed as dist

    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def least(value: int) -> int:
    """The smallest of a number over all replicas."""
    return min(gathered(value))
