"""How often a canary is rolled back that should not be, and how soon one that should, where users stay on a version.

Users send different numbers of requests, and the client of some is broken: it fails whatever answers it, and tries again.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.rows import Row, Size, parse, parser, write
from ftassets.config.loop import Rollout
from ftassets.domain.rollout.canary import COLLAPSE, COLLAPSE_USERS, FIRST, WINDOW, part, rollback_limit
from ftassets.domain.rollout.planning import e_paths

POLICY = Rollout()
SHARE = 0.05
REQUESTS_PER_HOUR = 1000
ERRORS = 0.01
RETRIES = 5  # a broken client sends so many times as many requests
TICK = 300.0  # seconds between looks
HOUR = 3600.0

SIZES = {
    "canaries": Size(300, 2000, "simulated canaries of each cell"),
    "hours": Size(168, 168, "length of a canary that is as good as production"),
}


@dataclass(frozen=True)
class Requests:
    """One canary: time (s), user, whether the candidate answered, and whether it failed, by request in order of time."""

    at: NDArray[np.float64]
    user: NDArray[np.int64]
    mine: NDArray[np.bool_]
    failed: NDArray[np.bool_]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("rollout", __doc__)
    made.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    return write("rollout", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Measure every row."""
    rng = np.random.default_rng(options.seed)
    for users in (100, 1000):
        for broken in (0.0, 0.01, 0.02):
            found = [simulated(rng, options.hours, users, broken, ERRORS) for _ in range(options.canaries)]
            ours = float(np.mean([rolled_back_at(each) is not None for each in found]))
            peer = float(np.mean([rolled_back_by_request(each) for each in found]))
            what = f"candidate as good as production rolled back in {options.hours} h, {users} users, {broken:.0%} with a broken client"
            goal = POLICY.false_rollback + 2 * (POLICY.false_rollback * (1 - POLICY.false_rollback) / options.canaries) ** 0.5
            yield Row(what, ours, "share", f"<= {goal:.3f}", ours <= goal, peer, "every failed request counts")
    for broken in (0.0, 0.02):
        times = [rolled_back_at(simulated(rng, 24, 1000, broken, 10 * ERRORS)) or np.inf for _ in range(options.canaries)]
        what = f"median until a candidate with 10 times the errors is rolled back, 1,000 users, {broken:.0%} with a broken client"
        median = float(np.median(times)) / HOUR
        goal = 1 if not broken else 2  # users who fail anyway hide those who began to
        yield Row(what, median, "h", f"< {goal}", median < goal)


def simulated(rng: np.random.Generator, hours: float, users: int, broken: float, candidate: float) -> Requests:
    """A canary at `SHARE`: a share `broken` of the users fails always; the others as production does, the candidate's at its own rate."""
    is_broken = rng.random(users) < broken
    activity = rng.gamma(0.5, size=users) * np.where(is_broken, RETRIES, 1.0)
    count = rng.poisson(hours * REQUESTS_PER_HOUR)
    user = rng.choice(users, size=count, p=activity / activity.sum())
    mine = (rng.random(users) < SHARE)[user]
    failed = is_broken[user] | (rng.random(count) < np.where(mine, candidate, ERRORS))
    return Requests(np.sort(rng.random(count)) * hours * HOUR, user, mine, failed)


def rolled_back_at(requests: Requests) -> float | None:
    """When the rules of `canary` roll back first, in seconds: at the look after the failure that is enough. None if never."""
    times = [found for found in (_evidence_at(requests), _collapse_at(requests)) if found is not None]
    return float(np.ceil(min(times) / TICK) * TICK) if times else None


def evidence_paths(requests: Requests) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """For each process, by the start of its window: times of users' first failures, and the e-value after each as `e_value` counts it."""
    failed = np.flatnonzero(requests.failed)
    for window in range(int(requests.at[-1] // WINDOW) + 1 if len(requests.at) else 0):
        since = failed[requests.at[failed] >= window * WINDOW]
        _, first = np.unique(requests.user[since], return_index=True)
        since = since[np.sort(first)]
        mine = requests.mine[since][None]
        yield requests.at[since], part(window) / FIRST * e_paths(mine, np.ones_like(mine), SHARE)[0][0]


def _evidence_at(requests: Requests) -> float | None:
    crossed = [times[values >= rollback_limit(POLICY)] for times, values in evidence_paths(requests)]
    return min((float(times[0]) for times in crossed if len(times)), default=None)


def _collapse_at(requests: Requests) -> float | None:
    """When the candidate's last answers have all failed; production is taken to be well meanwhile, which only adds rollbacks."""
    mine = np.flatnonzero(requests.mine)
    if len(mine) < COLLAPSE:
        return None
    runs = np.lib.stride_tricks.sliding_window_view(requests.failed[mine], COLLAPSE).all(axis=1)
    for start in np.flatnonzero(runs):
        users = set(requests.user[mine[start : start + COLLAPSE]])
        if len(users) >= COLLAPSE_USERS or users == set(requests.user[mine[: start + COLLAPSE]]):
            return float(requests.at[mine[start + COLLAPSE - 1]])
    return None


def rolled_back_by_request(requests: Requests) -> bool:
    """Whether the same evidence of every failed request, as if it were another user's, would roll back."""
    mine = requests.mine[requests.failed][None]
    return bool((e_paths(mine, np.ones_like(mine), SHARE)[0] >= 1 / POLICY.false_rollback).any())


if __name__ == "__main__":
    sys.exit(main())
