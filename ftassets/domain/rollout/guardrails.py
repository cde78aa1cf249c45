"""In what a canary is watched: evidence that the candidate is worse than production, valid at any number of ticks.

Users stay on a version, and lapses come from a few users more than from others. So the unit of evidence is a user, not a request: the
hash that gave a user its version is the coin that was tossed, once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

from ftassets.config.loop import GuardrailMetric, Rollout
from ftassets.domain.traffic.lapses import LIMITED, OF_ANSWER, OF_FEEDBACK, Ended, FirstLapse, Lapse, Pair

LAPSES: dict[GuardrailMetric, Lapse] = {
    "errors": Lapse.ERROR,
    "form": Lapse.MALFORMED,
    "latency": Lapse.SLOW,
    "first_token": Lapse.LATE,
    "length": Lapse.LONG,
    "refusals": Lapse.REFUSED,
    "language": Lapse.OTHER_LANGUAGE,
    "thumbs_down": Lapse.THUMB_DOWN,
    "corrections": Lapse.CORRECTED,
}
# of `false_rollback`, in shares of the sum over the guardrails that are on: what is found sooner matters most where users get nothing
PARTS: dict[GuardrailMetric, int] = {
    "errors": 14, "form": 2, "latency": 1, "first_token": 1, "length": 1, "refusals": 1, "language": 1, "thumbs_down": 9, "corrections": 1,
}  # fmt: skip
RATIOS = {1.5: 0.02, 2.0: 0.04, 3.0: 0.2, 5.0: 0.22, 10.0: 0.44, 30.0: 0.08}  # of rates, with their weights in the mixture
OF_OPINIONS = {1.5: 0.1, 2.0: 0.2, 3.0: 0.45, 5.0: 0.25}  # what people think of answers does not get ten times worse
WINDOW = 86_400.0  # seconds: a user counts once from the start of a rollout, and again for what began a day, two days, ... later
FIRST = 0.95  # part of a guardrail's error for what began with the rollout
BEFORE = 86_400.0  # seconds before a candidate's first weight that tell what is usual
MOST_BEFORE = 10_000  # answers that tell it, the newest ones
FEWEST_BEFORE = 100  # without so many the usual latency and length are not known
USUAL_QUANTILE = 0.95  # of production's latency or length; a candidate lapses beyond that and its margin


@dataclass(frozen=True)
class Failure:
    """A user's first lapse in a window, by the candidate or by production, at this weight of the candidate (percent).

    Without a user: `count` lapses of requests that are alike, each with a coin of its own.
    """

    candidate: bool
    weight: float
    user: str = ""
    window: int = 0
    count: int = 1


def ratios_of(metric: GuardrailMetric) -> Mapping[float, float]:
    """How many times as often a worse candidate lapses, with the weights of the mixture; fixed before there is any data."""
    return OF_OPINIONS if LAPSES[metric] in OF_FEEDBACK else RATIOS


def e_value(failures: Sequence[Failure], ratios: Mapping[float, float] = RATIOS) -> float:
    """Evidence that lapses come from the candidate more often than its weight explains; `rollback_limit` is its limit.

    Under equal rates a user who lapses is the candidate's with probability s, since a hash chose the version. Mixture over rate ratios r
    of the likelihood ratio with p = r s / (r s + 1 - s): an e-process, so Ville's inequality holds at every tick (Ville 1939; Robbins
    1970). What hits both versions raises both arms and is no evidence. A user counts with its first lapse alone: its later ones are the
    same toss of the coin. That a candidate which gets worse on its third day is seen all the same, there is one such process from the
    start of each window, each with its part of the error (a union bound, as their coins are the same); the largest counts, in units of
    the first.
    """
    largest, logs, first = 0.0, dict.fromkeys(ratios, 0.0), dict[str, Failure]()
    for window in sorted({0, *(failure.window for failure in failures)}, reverse=True):
        for failure in (each for each in failures if each.window == window):
            if failure.user:
                if later := first.get(failure.user):  # of processes that begin earlier, this one is the first
                    _add(logs, later, -1)
                first[failure.user] = failure
            _add(logs, failure, failure.count)
        mixture = sum(share * exp(min(logs[ratio], 700.0)) for ratio, share in ratios.items())
        largest = max(largest, part(window) / FIRST * mixture)
    return largest


def rollback_limit(policy: Rollout, metric: GuardrailMetric = "errors") -> float:
    """The e-value of a guardrail from which a candidate is rolled back.

    The guardrails share what the canary has of `false_rollback`, by a union bound: their coins are the same, so that their e-values cannot
    be averaged.
    """
    whole = sum(PARTS[guardrail.metric] for guardrail in policy.guardrails)
    return whole / (policy.false_rollback_of_phase * PARTS[metric] * FIRST)


def part(window: int) -> float:
    """Of a guardrail's error, for the process that begins with a window; they sum up to 1."""
    return FIRST if window == 0 else (1 - FIRST) / (window * (window + 1))


def compared(candidate: str, production: str, before: Sequence[Ended], policy: Rollout) -> Pair:
    """The versions with the limits of latency and length: what is usual of production, and the margin on top for the candidate.

    `before` are production's answers before the candidate's first weight. A limit is missing where fewer than `FEWEST_BEFORE` tell it.
    """
    import numpy as np

    limits: dict[tuple[str, Lapse], float] = {}
    for guardrail in policy.guardrails:
        lapse = LAPSES[guardrail.metric]
        if lapse in LIMITED:
            known = [value for each in before if each.status == 200 and (value := getattr(each, LIMITED[lapse])) is not None]
            if len(known) >= FEWEST_BEFORE:
                usual = float(np.quantile(known, USUAL_QUANTILE))
                limits |= {(production, lapse): usual, (candidate, lapse): usual * (1 + guardrail.tolerated)}
    return Pair(candidate, production, limits)


def usual_lapses(before: Sequence[Ended], pair: Pair) -> dict[Lapse, frozenset[str]]:
    """Users most of whose requests lapsed before the candidate had any: they would whatever answers, and tell nothing of it.

    Leaving them out keeps the e-value valid, as they are known before the coin is tossed: each candidate gets other users.
    """
    balance: dict[tuple[Lapse, str], int] = {}
    for each in before:
        for lapse in OF_ANSWER:
            lapsed = each.lapsed(lapse, pair.limits.get((pair.production, lapse)))
            if each.user and lapsed is not None:
                balance[lapse, each.user] = balance.get((lapse, each.user), 0) + (1 if lapsed else -1)
    found: dict[Lapse, set[str]] = {}
    for (lapse, user), more in balance.items():
        if more > 0:
            found.setdefault(lapse, set()).add(user)
    return {lapse: frozenset(users) for lapse, users in found.items()}


def failures_of(
    firsts: Sequence[FirstLapse], usual: Mapping[Lapse, frozenset[str]], pair: Pair, policy: Rollout
) -> dict[GuardrailMetric, list[Failure]]:
    """The evidence of each guardrail that is on. A weight is that of the version that answered; the candidate has the rest."""
    found: dict[GuardrailMetric, list[Failure]] = {}
    for guardrail in policy.guardrails:
        lapse = LAPSES[guardrail.metric]
        known = usual.get(lapse, frozenset[str]())
        found[guardrail.metric] = [
            Failure(mine, each.weight if mine else 100 - each.weight, each.user, each.window, each.count)
            for each in firsts
            if each.lapse is lapse and each.user not in known
            for mine in (each.version == pair.candidate,)
        ]
    return found


def _add(logs: dict[float, float], failure: Failure, count: int) -> None:
    s = failure.weight / 100
    if 0 < s < 1:
        for ratio in logs:
            p = ratio * s / (ratio * s + 1 - s)
            logs[ratio] += count * (log(p / s) if failure.candidate else log((1 - p) / (1 - s)))
