"""Whether the worker of an unfinished run still executes it: the process that a code server, launcher or command line started for the run.

A process is looked up only where it was started, for its number says nothing on another machine or in another container.
"""

from dataclasses import dataclass
from enum import StrEnum

BEAT = 300.0  # seconds between lines that a step writes into the run's log; Dagster does so too while a step waits for a pool
SILENCE = 3 * BEAT  # seconds without a line after which a worker that cannot be looked up is taken to be gone


class Word(StrEnum):
    """What somebody says about a worker."""

    ALIVE = "ALIVE"
    GONE = "GONE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Place:
    """Where processes have numbers of their own. Fields are empty where the system does not tell them."""

    host: str
    machine: str  # stays when the machine restarts; empty in most containers
    boot: str  # changes when the machine restarts
    namespace: str  # differs between containers of one machine


@dataclass(frozen=True)
class Process:
    """One process: its number is used again later, together with the mark of its start it is not."""

    pid: int
    started: str
    place: Place


@dataclass(frozen=True)
class Evidence:
    """What is known about the worker of an unfinished run.

    `worker` is the process that a step of ours named, None before the first; `found` is the mark of the process that has its
    number here now. `launcher` is what the run's launcher says, None if it cannot check. `own_start` is whether a silent start
    can only be a dead one, because a process of the code server is all it needs. `silent` are seconds without a new line in the
    run's log; `foreign_step` says that a step runs which is not ours and may be silent for as long as it likes.
    """

    here: Place
    silent: float
    begun: bool = True
    worker: Process | None = None
    found: str | None = None
    launcher: Word | None = None
    own_start: bool = True
    foreign_step: bool = False


@dataclass(frozen=True)
class Finding:
    """The decision and its reason."""

    word: Word
    reason: str


def judge(seen: Evidence) -> Finding:
    """ALIVE, GONE, or UNKNOWN while neither is proven: an unknown worker's run is left alone."""
    worker, here = seen.worker, seen.here
    if worker and worker.place == here:
        if seen.found == worker.started:
            return Finding(Word.ALIVE, f"process {worker.pid} on {here.host} executes it")
        return Finding(Word.GONE, f"process {worker.pid} on {here.host}, which executed it, is gone")
    if worker and _restarted(worker.place, here):
        return Finding(Word.GONE, f"{here.host}, which executed it, was restarted since")
    if seen.launcher in (Word.ALIVE, Word.GONE):
        return Finding(seen.launcher, "says the run launcher of this Dagster instance")
    minutes = f"{seen.silent / 60:.0f} minutes"
    if seen.silent < SILENCE:
        return Finding(Word.UNKNOWN, f"the last line of its log is {minutes} old")
    if not seen.begun and not seen.own_start:
        return Finding(Word.UNKNOWN, f"it has been starting for {minutes}, and its launcher cannot say whether it still is")
    if seen.foreign_step:
        return Finding(Word.UNKNOWN, f"a step that is not of ftassets has written nothing for {minutes}")
    return Finding(Word.GONE, f"it wrote nothing into its log for {minutes}")


def _restarted(then: Place, now: Place) -> bool:
    """Whether this is the same machine after a restart, and not another one of the same name."""
    same = then.host == now.host and then.machine == now.machine and now.machine != ""
    return same and then.boot != now.boot
