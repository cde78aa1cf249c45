"""How often a canary is rolled back that should not be, how soon one that should, and which candidates get all traffic.

Users stay on a version, send different numbers of requests and lapse at rates of their own; the client of some is broken: it fails
whatever answers it, and tries again. Requests without a user have a coin each. All guardrails of the default policy are on. Beside it,
on the same traces, rules of others.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.rows import Row, Size, parse, parser, write
from ftassets.config.loop import GuardrailMetric, Rollout
from ftassets.domain.rollout.canary import COLLAPSE, COLLAPSE_USERS, limited_or_margin
from ftassets.domain.rollout.guardrails import BEFORE, FIRST, MOST_BEFORE, WINDOW, part, ratios_of, rollback_limit
from ftassets.domain.rollout.non_inferiority import difference
from ftassets.domain.rollout.planning import FEEDBACK, RATES, WITHIN, e_paths
from ftassets.domain.rollout.rules import RULES, TICK
from ftassets.domain.traffic.lapses import LapseCounts

POLICY = Rollout()
SHARE, LAST = 0.05, 0.5  # weights of the first and the last step
REQUESTS_PER_HOUR = 1000
RETRIES = 5  # a broken client sends so many times as many requests
HOUR = 3600.0
FOUND: tuple[tuple[GuardrailMetric, float, int, int, int | None], ...] = (
    ("errors", 0.1, 24, 1000, 1),
    ("form", 0.05, 96, 1000, 24),
    ("thumbs_down", 0.15, 96, 5000, 24),
    ("thumbs_down", 0.15, 96, 1000, None),  # 50 of the candidate: a user counts once, and most have disliked an answer of either soon
)
"""Guardrail, the candidate's rate, hours that are simulated, users, and hours by which half of the candidates should be back."""
OF_FEEDBACK = ("thumbs_down", "corrections")

SIZES = {
    "canaries": Size(200, 2000, "simulated canaries of each cell"),
    "hours": Size(168, 168, "length of a canary that is as good as production"),
}


@dataclass(frozen=True)
class Requests:
    """One canary: time (s), user, whether the candidate answers the user, by request in order of time.

    `known` and `lapsed` by guardrail, see `LapseCounts`. `usual` are users most of whose requests lapsed on the day before. Users from the
    number `named` on are requests without a user.
    """

    at: NDArray[np.float64]
    user: NDArray[np.int64]
    mine: NDArray[np.bool_]
    known: Mapping[GuardrailMetric, NDArray[np.bool_]]
    lapsed: Mapping[GuardrailMetric, NDArray[np.bool_]]
    usual: Mapping[GuardrailMetric, frozenset[int]]
    share: float = SHARE
    named: int = 2**62


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("rollout", __doc__)
    made.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    return write("rollout", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Measure every row."""
    rng = np.random.default_rng(options.seed)
    yield from _false_rollbacks(rng, options.canaries, options.hours)
    for metric, rate, hours, users, goal in FOUND:
        for broken in (0.0, 0.02):
            times = [rolled_back_at(simulated(rng, hours, users, broken, {metric: rate})) or np.inf for _ in range(options.canaries)]
            what = f"median until {metric} {RATES[metric]:.0%} -> {rate:.0%} rolls back, {users:,} users, {broken:.0%} with a broken client"
            median = min(float(np.median(times)) / HOUR, hours)
            yield Row(what, median, "h") if goal is None else Row(what, median, "h", f"< {goal}", median < goal)
    yield from _promotions(rng, options.canaries, options.hours)


def _false_rollbacks(rng: np.random.Generator, canaries: int, hours: float) -> Iterator[Row]:
    goal = POLICY.false_rollback + 2 * (POLICY.false_rollback * (1 - POLICY.false_rollback) / canaries) ** 0.5
    for users, anonymous in ((100, 0.0), (1000, 0.0), (1000, 0.5)):
        for broken in (0.0, 0.02):
            found = [simulated(rng, hours, users, broken, anonymous=anonymous) for _ in range(canaries)]
            ours = float(np.mean([rolled_back_at(each) is not None for each in found]))
            what = f"candidate as good as production rolled back in {hours} h, {users} users, {broken:.0%} with a broken client"
            what += f", {anonymous:.0%} without a name" if anonymous else ""
            peer = float(np.mean([rolled_back_by_request(each) for each in found]))
            yield Row(what, ours, "share", f"<= {goal:.3f}", ours <= goal, peer, "every failed request counts")
            for rule in RULES:
                back = float(np.mean([rule.ends(*ticks(each))[0] < 0 for each in found]))
                yield Row(what, ours, "share", f"<= {goal:.3f}", ours <= goal, back, rule.name)


def _promotions(rng: np.random.Generator, canaries: int, hours: float) -> Iterator[Row]:
    """At the last step: candidates that are worse by 5 points, and equal ones, with the looks of a week."""
    goal = POLICY.false_promotion + 2 * (POLICY.false_promotion * (1 - POLICY.false_promotion) / canaries) ** 0.5
    for metric in ("form", "thumbs_down"):
        found = [simulated(rng, hours, 3000, 0.01, {"latency": WITHIN, metric: RATES[metric] + 0.05}, LAST) for _ in range(canaries)]
        ours = float(np.mean([proved_at(each) is not None for each in found]))
        what = f"candidate 5 points worse in {metric} promoted in {hours} h at 50 %, 3,000 users, 1% with a broken client"
        for rule in RULES:
            yield Row(
                what,
                ours,
                "share",
                f"<= {goal:.3f}",
                ours <= goal,
                float(np.mean([rule.ends(*ticks(each))[0] > 0 for each in found])),
                rule.name,
            )
        yield Row(what, ours, "share", f"<= {goal:.3f}", ours <= goal, _matches_or_beats(rng), "matches or beats on 200 rows")
    times = [proved_at(simulated(rng, hours, 3000, 0.01, {"latency": WITHIN}, LAST)) or np.inf for _ in range(canaries)]
    share = float(np.mean(np.isfinite(times)))
    yield Row(f"candidate as good as production promoted in {hours} h at 50 %, 3,000 users", share, "share", ">= 0.8", share >= 0.8)
    median = min(float(np.median(times)) / HOUR, hours)
    yield Row("median until a candidate as good as production is promoted at 50 %, 3,000 users", median, "h")


def simulated(
    rng: np.random.Generator,
    hours: float,
    users: int,
    broken: float,
    candidate: Mapping[str, float] | None = None,
    share: float = SHARE,
    anonymous: float = 0.0,
) -> Requests:
    """A canary at a share of the traffic: a part `broken` of the users fails always; the others lapse as of production, the candidate's
    at rates of its own where given. Latency and length are at their margins: those beyond what is usual are as many on both sides.
    """
    is_broken = rng.random(users) < broken
    activity = rng.gamma(0.5, size=users) * np.where(is_broken, RETRIES, 1.0)
    before = BEFORE / HOUR
    count = rng.poisson((before + hours) * REQUESTS_PER_HOUR)
    user = rng.choice(users, size=count, p=activity / activity.sum())
    at = np.sort(rng.random(count) * (before + hours) - before) * HOUR
    mine = (rng.random(users) < share)[user]
    nameless = (rng.random(users) < anonymous)[user] if anonymous else np.zeros(count, dtype=bool)
    mine = np.where(nameless, rng.random(count) < share, mine) if anonymous else mine
    during, began = at >= 0, int(np.searchsorted(at, 0))
    newest = slice(max(0, began - MOST_BEFORE), began)
    known: dict[GuardrailMetric, NDArray[np.bool_]] = {}
    lapsed, usual = dict(known), dict[GuardrailMetric, frozenset[int]]()
    answered = ~is_broken[user]
    rated = answered & (rng.random(count) < FEEDBACK)
    for guardrail in POLICY.guardrails:
        metric = guardrail.metric
        rate = np.where(mine & during, (candidate or {}).get(metric, RATES[metric]), RATES[metric])
        lapses = rng.random(count) < rate * (rng.gamma(2.0, 0.5, size=users))[user]
        has = np.ones(count, dtype=bool) if metric == "errors" else rated if metric in OF_FEEDBACK else answered
        lapses = has & (lapses | ~answered if metric == "errors" else lapses)
        balance = np.bincount(user[newest], np.where(lapses[newest], 1.0, -1.0) * (has & ~nameless)[newest], users)
        usual[metric] = frozenset(np.flatnonzero(balance > 0).tolist()) if metric not in OF_FEEDBACK else frozenset()
        known[metric], lapsed[metric] = has[during], lapses[during]
    user = np.where(nameless, users + np.arange(count), user)
    return Requests(at[during], user[during], mine[during], known, lapsed, usual, share, users)


def rolled_back_at(requests: Requests) -> float | None:
    """When the rules of `canary` roll back first, in seconds: at the look after the lapse that is enough. None if never."""
    found = [_evidence_at(requests, guardrail.metric) for guardrail in POLICY.guardrails]
    times = [each for each in (*found, _collapse_at(requests)) if each is not None]
    return float(np.ceil(min(times) / TICK) * TICK) if times else None


def evidence_paths(requests: Requests, metric: GuardrailMetric) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """For each process, by the start of its window: times of users' first lapses, and the e-value after each as `e_value` counts it."""
    lapsed = np.flatnonzero(requests.lapsed[metric] & ~np.isin(requests.user, list(requests.usual[metric])))
    for window in range(int(requests.at[-1] // WINDOW) + 1 if len(requests.at) else 0):
        since = lapsed[requests.at[lapsed] >= window * WINDOW]
        _, first = np.unique(requests.user[since], return_index=True)
        since = since[np.sort(first)]
        if not len(since):
            continue
        mine = requests.mine[since][None]
        yield requests.at[since], part(window) / FIRST * e_paths(mine, np.ones_like(mine), requests.share, ratios=ratios_of(metric))[0][0]


def proved_at(requests: Requests, every: float = HOUR) -> float | None:
    """When the candidate is first proved to be no worse in all required guardrails, in seconds; None if never."""
    users, looks = int(requests.user.max()) + 1, int(np.ceil(requests.at[-1] / every))
    broken = requests.usual["errors"] | requests.usual["form"]
    proved = np.ones(looks, dtype=bool)
    for guardrail in (each for each in POLICY.guardrails if each.required):
        counts = np.zeros((2, looks, users))
        for number, which in enumerate((requests.known[guardrail.metric], requests.lapsed[guardrail.metric])):
            which = which & ~np.isin(requests.user, list(broken))
            np.add.at(counts[number], (np.floor(requests.at[which] / every).astype(int), requests.user[which]), 1)
        answers, lapses = counts.cumsum(axis=1)
        candidate = np.zeros(users, dtype=bool)
        candidate[requests.user[requests.mine]] = True
        scale, allowed = limited_or_margin(guardrail)
        for look in np.flatnonzero(proved):
            mine, theirs = (_counts(lapses[look], answers[look], side) for side in (candidate, ~candidate))
            proved[look] = difference(mine, theirs, scale, POLICY.false_promotion).bound < allowed
    found = np.flatnonzero(proved)
    return float(found[0] + 1) * every if len(found) else None


def ticks(requests: Requests) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Requests and errors of the candidate in each tick of `rules`, as one canary of many."""
    number = int(np.ceil(requests.at[-1] / TICK))
    which = np.floor(requests.at / TICK).astype(int)
    counted = (np.bincount(which[each], minlength=number) for each in (requests.mine, requests.mine & requests.lapsed["errors"]))
    asked, failed = (each[None] for each in counted)
    return asked, failed


def _counts(lapses: NDArray[np.float64], answers: NDArray[np.float64], side: NDArray[np.bool_]) -> LapseCounts:
    n, x = answers[side & (answers > 0)], lapses[side & (answers > 0)]
    return LapseCounts(len(n), *(int(each) for each in (n.sum(), x.sum(), n @ n, x @ x, n @ x, x.max(initial=0))))


def _matches_or_beats(rng: np.random.Generator, rows: int = 200, discordance: float = 0.1, worse: float = 0.05) -> float:
    """How often a candidate that gets `worse` fewer rows right has at least as many of a sample, as an evaluation before a release."""
    won, lost, _ = rng.multinomial(rows, [(discordance - worse) / 2, (discordance + worse) / 2, 1 - discordance], size=20_000).T
    return float((won >= lost).mean())


def _evidence_at(requests: Requests, metric: GuardrailMetric) -> float | None:
    crossed = [times[values >= rollback_limit(POLICY, metric)] for times, values in evidence_paths(requests, metric)]
    return min((float(times[0]) for times in crossed if len(times)), default=None)


def _collapse_at(requests: Requests) -> float | None:
    """When the candidate's last answers have all failed; production is taken to be well meanwhile, which only adds rollbacks."""
    mine = np.flatnonzero(requests.mine)
    who = np.minimum(requests.user, requests.named)  # requests without a user may all be of one client
    if len(mine) < COLLAPSE:
        return None
    failed = requests.lapsed["errors"][mine] | requests.lapsed["form"][mine]
    for start in np.flatnonzero(np.lib.stride_tricks.sliding_window_view(failed, COLLAPSE).all(axis=1)):
        users = set(who[mine[start : start + COLLAPSE]])
        if len(users) >= COLLAPSE_USERS or users == set(who[mine[: start + COLLAPSE]]):
            return float(requests.at[mine[start + COLLAPSE - 1]])
    return None


def rolled_back_by_request(requests: Requests) -> bool:
    """Whether the same evidence of every failed request, as if it were another user's, would roll back."""
    mine = requests.mine[requests.lapsed["errors"]][None]
    return bool((e_paths(mine, np.ones_like(mine), requests.share)[0] >= 1 / POLICY.false_rollback).any())


if __name__ == "__main__":
    sys.exit(main())
