"""What shadow costs production, and which candidates it stops.

The gateway answers as in `bench.gateway`: stub engines after 20 ms, processes of their own. Runs with a candidate in shadow and runs
without take turns. The candidates of the decision are simulated: users send different numbers of requests and lapse at rates of their
own, half of what lapses does so whatever answers, and the clients of some users are broken.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
from numpy.typing import NDArray

from bench.gateway import LOOP, body, running
from bench.rows import Row, Size, parse, parser, write
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.config.loop import Rollout, Shadow
from ftassets.domain.rollout.canary import Move
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import FIRST, WINDOW, part
from ftassets.domain.rollout.planning import RATES, e_paths
from ftassets.domain.rollout.rules import TICK
from ftassets.domain.rollout.shadow_phase import (
    COIN,
    PAIR_LAPSES,
    ShadowEvidence,
    ShadowMetric,
    compared_in_shadow,
    decide_shadow,
    is_copied,
    pair_limit,
)
from ftassets.domain.traffic.shadow_answer import Discordant, ShadowCounts

POLICY = Rollout(shadow=Shadow())
SAMPLE, CLIENTS, ADDED = 0.2, 8, 0.05
PAIRS_PER_HOUR = 1000 * SAMPLE
HOUR = 3600.0
LAPSE_RATES: dict[ShadowMetric, float] = {
    "refusals": 0.01, **{metric: rate for metric, rate in RATES.items() if metric in PAIR_LAPSES},
}  # fmt: skip
STATE = EndpointState(production="p", candidate="c", lease_until=1e12)

SIZES = {
    "requests": Size(800, 2000, "requests of one run through the gateway"),
    "turns": Size(9, 15, "runs with and runs without a candidate in shadow"),
    "phases": Size(400, 2000, "simulated phases of each cell"),
}


@dataclass(frozen=True)
class Pairs:
    """One phase: time (s) and user of each pair in order of time, and by metric whether the candidate's and production's answer lapsed."""

    at: NDArray[np.float64]
    user: NDArray[np.int64]
    lapsed: Mapping[ShadowMetric, tuple[NDArray[np.bool_], NDArray[np.bool_]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("shadow", __doc__)
    made.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    return write("shadow", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """All rows."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        with running(home, {"rollout": {"shadow": {"sample": SAMPLE}}}) as (gateway, _, candidate):
            yield from production(home, gateway, candidate, options.requests, options.turns)
    rng = np.random.default_rng(options.seed)
    yield from false_stops(rng, options.phases)
    yield stops(rng, options.phases)


def production(home: Home, gateway: str, candidate: str, requests: int, turns: int) -> Iterator[Row]:
    """The slowest 1 % of production's answers with and without copies, what clients got, and what the log has of the copies."""
    serving, log, times = GatewayServing(home), SqliteTrafficLog(home.traffic_db), dict[bool, list[list[float]]]({True: [], False: []})
    returned, began = 0, time.time()
    asyncio.run(_load(gateway, requests))  # what is slow at first is in neither
    for turn in range(2 * turns):
        shadow = turn % 4 in (1, 2)  # without, with, with, without: what changes with time is in both
        if shadow:
            serving.start(LOOP, candidate, 0, 600, "bench", "shadow")
        took, versions = asyncio.run(_load(gateway, requests))
        if shadow:
            time.sleep(1.5)  # the last copies are stored
            serving.rollback(LOOP, "bench", "next turn")
        times[shadow].append(took)
        returned += versions.count(candidate)
    off, on = ([float(np.quantile(each, 0.99)) for each in times[side]] for side in (False, True))
    ours, peer = statistics.median(on), statistics.median(off)
    what = f"99 % of production's answers at a sample of {SAMPLE:.0%}, {CLIENTS} clients, median of {turns} runs"
    yield Row(what, ours, "ms", f"<= {1 + ADDED:g} x peer", ours <= (1 + ADDED) * peer, peer, "without a candidate in shadow")
    middle = [statistics.median(statistics.median(each) for each in times[side]) for side in (True, False)]
    yield Row(what.replace("99 %", "the median"), middle[0], "ms", None, None, middle[1], "without a candidate in shadow")
    yield Row("answers of the candidate that a client got", returned, "answers", "none", returned == 0)
    stored = {each.request_id for each in log.shadow_answers(LOOP, candidate, began, 10**6)}
    asked = [row.id for row in log.stream(LOOP, began)]
    sampled = {name for name in asked if is_copied(LOOP, candidate, name, SAMPLE)}
    rows = f"{len(stored)} copies of {len(asked)} requests, half of them with a candidate in shadow"
    yield Row(
        f"copies that are not of the sample; {rows}",
        len(stored - sampled),
        "copies",
        "none, some stored",
        bool(stored <= sampled and stored),
    )


def false_stops(rng: np.random.Generator, phases: int) -> Iterator[Row]:
    """How often a candidate as good as production is stopped at any pair of a phase of full length."""
    goal = POLICY.false_rollback
    assert POLICY.shadow is not None
    for users in (100, 1000):
        for broken in (0.0, 0.02):
            found = [stopped_at(simulated(rng, POLICY.shadow.max_time / HOUR, users, broken)) is not None for _ in range(phases)]
            ours = float(np.mean(found))
            what = f"candidate as good as production stopped in 48 h, {users:,} users, {broken:.0%} with a broken client"
            yield Row(what, ours, "share", f"<= {goal:g}", ours <= goal)


def stops(rng: np.random.Generator, phases: int) -> Row:
    """How often a candidate whose form breaks in 5 % of answers is rolled back before it gets a user."""
    ends = [ended(simulated(rng, 48, 1000, 0.02, {"form": 0.05})) for _ in range(phases)]
    ours = float(np.mean([move is Move.ROLLBACK for move, _ in ends]))
    copies = statistics.median(copies for _, copies in ends)
    what = f"candidate whose form breaks in 1 -> 5 % of answers stopped before the canary, after {copies:.0f} copies in the median"
    return Row(what, ours, "share", ">= 0.95", ours >= 0.95)


def simulated(
    rng: np.random.Generator, hours: float, users: int, broken: float, candidate: Mapping[ShadowMetric, float] | None = None
) -> Pairs:
    """The pairs of a phase, the candidate's answers at rates of its own where given; a broken client's fail on either side by chance."""
    is_broken = rng.random(users) < broken
    activity = rng.gamma(0.5, size=users) * np.where(is_broken, 5.0, 1.0)
    count = rng.poisson(hours * PAIRS_PER_HOUR)
    user = rng.choice(users, size=count, p=activity / activity.sum())
    at = np.sort(rng.random(count) * hours * HOUR)
    lapsed: dict[ShadowMetric, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}
    failed = [is_broken[user] & (rng.random(count) < 0.5) for _ in range(2)]
    for metric in compared_in_shadow(POLICY):
        usual = LAPSE_RATES[metric]
        of_user = rng.gamma(2.0, 0.5, size=users)[user]
        common = rng.random(count) < usual / 2 * of_user
        rates = ((candidate or {}).get(metric, usual) - usual / 2, usual / 2)
        sides = [common | (rng.random(count) < rate * of_user) for rate in rates]
        if metric == "errors":
            sides = [side | also for side, also in zip(sides, failed, strict=True)]
        lapsed[metric] = sides[0], sides[1]
    return Pairs(at, user, lapsed)


def evidence_paths(pairs: Pairs, metric: ShadowMetric) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """For each process, by the start of its window: places of users' first discordant pairs, and the e-value after each."""
    mine, theirs = pairs.lapsed[metric]
    discordant = np.flatnonzero(mine != theirs)
    for window in range(int(pairs.at[-1] // WINDOW) + 1 if len(pairs.at) else 0):
        since = discordant[pairs.at[discordant] >= window * WINDOW]
        _, first = np.unique(pairs.user[since], return_index=True)
        since = since[np.sort(first)]
        if len(since):
            candidate = mine[since][None]
            yield since, part(window) / FIRST * e_paths(candidate, np.ones_like(candidate), COIN / 100)[0][0]


def stopped_at(pairs: Pairs) -> int | None:
    """The pair after which the evidence is first enough; None if it never is."""
    over = [
        int(places[values >= pair_limit(POLICY, metric)][0])
        for metric in compared_in_shadow(POLICY)
        for places, values in evidence_paths(pairs, metric)
        if (values >= pair_limit(POLICY, metric)).any()
    ]
    return min(over, default=None)


def evidence(pairs: Pairs, until: float) -> ShadowEvidence:
    """What the log counts of the pairs before a time."""
    seen = int(np.searchsorted(pairs.at, until))
    errors, form = pairs.lapsed["errors"][0][:seen], pairs.lapsed["form"][0][:seen]
    first: dict[tuple[ShadowMetric, int, int], Discordant] = {}
    for metric, (mine, theirs) in pairs.lapsed.items():
        for index in np.flatnonzero(mine[:seen] != theirs[:seen]):
            user, window = int(pairs.user[index]), int(pairs.at[index] // WINDOW)
            each = Discordant(PAIR_LAPSES[metric], bool(mine[index]), str(user), window)
            first.setdefault((metric, user, window), each)
    return ShadowEvidence(ShadowCounts(seen, int((~errors & ~form).sum())), list(first.values()))


def ended(pairs: Pairs) -> tuple[Move, int]:
    """How the phase ends at the looks of the sensor, and after how many copies."""
    for now in np.arange(TICK, pairs.at[-1] + 2 * TICK, TICK):
        decision = decide_shadow(STATE, evidence(pairs, now), POLICY, float(now))
        if decision.move is not Move.HOLD:
            return decision.move, decision.counts.copies
    return Move.HOLD, len(pairs.at)


async def _load(gateway: str, requests: int) -> tuple[list[float], list[str]]:
    """Milliseconds of each request of some clients, and which version answered."""
    took: list[float] = []
    versions: list[str] = []

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in range(requests // CLIENTS):
            began = time.perf_counter()
            async with session.post(f"{gateway}/v1/chat/completions", json=body()) as reply:
                reply.raise_for_status()
                await reply.read()
            took.append((time.perf_counter() - began) * 1000)
            versions.append(reply.headers["x-ftassets-version"])

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(CLIENTS)))
    return took, versions


if __name__ == "__main__":
    sys.exit(main())
