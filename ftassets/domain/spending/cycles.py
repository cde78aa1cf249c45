"""What each attempt at a new version used and came to."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from ftassets.domain.spending.usage import UsageEntry

# a run with one of these nodes makes a version, any other watches what is served
MAKING = frozenset(
    {
        "synthetic_examples",
        "curated_dataset",
        "preference_pairs",
        "adapter",
        "aligned_adapter",
        "eval_report",
        "promotion_gates",
        "release",
    }
)
PREPARING = frozenset({"recipe_proposal"})  # done for versions to come: their cost, though it is part of no run that makes one
BETWEEN = 600.0  # seconds after a node in which the next one of its run begins


class Outcome(StrEnum):
    """What a run that makes a version came to."""

    PROMOTED = "promoted"  # its version was in production at some time
    RELEASED = "released"  # its version was not, or not yet
    REFUSED = "refused"  # by a check, a gate, the release, or the budget
    FAILED = "failed"
    CANCELLED = "cancelled"
    DIED = "died"  # its process was killed
    RUNNING = "running"
    PART = "part"  # it was not to make a release: somebody materialized single nodes


@dataclass(frozen=True)
class Cycle:
    """The entries of a run that makes a version, oldest first, and what it came to; `version` is what it trained or released."""

    run_id: str
    outcome: Outcome
    version: str | None
    entries: tuple[UsageEntry, ...]


def cycles(entries: Iterable[UsageEntry], promoted: Collection[str], now: float) -> list[Cycle]:
    """The runs among these entries that make a version, oldest first; `promoted` are the versions that were ever in production."""
    by_run = groupby(sorted(entries, key=lambda entry: (entry.run_id, entry.at)), key=lambda entry: entry.run_id)
    runs = [(run_id, tuple(mine)) for run_id, mine in by_run]
    found = [_cycle(run_id, mine, promoted, now) for run_id, mine in runs if any(entry.node in MAKING | PREPARING for entry in mine)]
    return sorted(found, key=lambda cycle: cycle.entries[0].at)


def _cycle(run_id: str, entries: tuple[UsageEntry, ...], promoted: Collection[str], now: float) -> Cycle:
    last = {entry.node: entry for entry in entries}  # of a node that was tried again the last attempt
    made = next((last[name].made for name in ("release", "aligned_adapter", "adapter") if name in last and last[name].made), None)
    return Cycle(run_id, _outcome(last, entries[-1].until, promoted, now), made, entries)


def _outcome(last: dict[str, UsageEntry], until: float, promoted: Collection[str], now: float) -> Outcome:
    nodes: Sequence[UsageEntry] = list(last.values())
    release = last.get("release")
    if release and release.ended == "done":
        return Outcome.PROMOTED if release.made in promoted else Outcome.RELEASED
    if any(entry.at_work(now) for entry in nodes):
        return Outcome.RUNNING
    for ended, outcome in (
        (None, Outcome.DIED), ("cancelled", Outcome.CANCELLED), ("failed", Outcome.FAILED), ("refused", Outcome.REFUSED),
        ("over_budget", Outcome.REFUSED)
    ):  # fmt: skip
        if any(entry.ended == ended for entry in nodes):
            return outcome
    if not any(entry.for_release for entry in nodes):
        return Outcome.PART
    return Outcome.RUNNING if now - until < BETWEEN else Outcome.DIED
