"""Whether to hold, ramp, promote or roll back a canary: a pure decision that is valid at any number of ticks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ftassets.config.loop import Guardrail, GuardrailMetric, Rollout
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import LAPSES, Failure, e_value, ratios_of, rollback_limit
from ftassets.domain.rollout.non_inferiority import difference
from ftassets.domain.traffic.lapses import LIMITED, LapseCounts
from ftassets.wording import amount

COLLAPSE = 10  # failures in a row: at an equal failure rate of 30 % six of a million windows
COLLAPSE_USERS = 3  # that they come from at least, where the candidate has had so many: one user's client may be broken
EXISTS = 100  # users of production with data of a guardrail: with fewer it is not asked of a candidate, but for errors
_LIMITED_SCALE = 0.02  # of answers within margin fewer lapse, as a candidate's limit is higher: so much fewer should be seen


class Move(StrEnum):
    """What the rollout does next."""

    HOLD = "HOLD"
    NOT_ENOUGH_DATA = "NOT ENOUGH DATA"
    RAMP = "RAMP"
    PROMOTE = "PROMOTE"
    ROLLBACK = "ROLLBACK"


@dataclass(frozen=True)
class CanaryAnswers:
    """Answers during the canary that are alike: are they the candidate's, its weight then (percent), did they fail, how many."""

    candidate: bool
    weight: float
    failed: bool
    count: int = 1


@dataclass(frozen=True)
class Latest:
    """Answers since the candidate's last `COLLAPSE` began, how many users its own are of, and whether it has had more users."""

    answers: Sequence[CanaryAnswers] = ()
    users: int = 0
    more_users: bool = False


@dataclass(frozen=True)
class Counts:
    """Of one guardrail: answers and lapses of both versions' users since the weights changed last."""

    candidate: LapseCounts = LapseCounts()
    production: LapseCounts = LapseCounts()


@dataclass(frozen=True)
class CanaryEvidence:
    """What the traffic log has of a canary since the candidate's first weight, in any order; `counts` since its present one."""

    answers: Sequence[CanaryAnswers] = ()
    failures: Mapping[GuardrailMetric, Sequence[Failure]] = field(default_factory=dict)
    latest: Latest = field(default_factory=Latest)
    counts: Mapping[GuardrailMetric, Counts] = field(default_factory=dict)


@dataclass(frozen=True)
class GuardrailState:
    """How a guardrail stands: evidence that the candidate is worse, and what is proved of how much worse it can be at most.

    `estimate` and `bound` are differences of shares, candidate less production, and `allowed` is what the bound must be below; infinite
    bounds where it is not known.
    """

    metric: GuardrailMetric
    e_value: float
    limit: float
    estimate: float
    bound: float
    allowed: float
    needed: bool

    @property
    def proved(self) -> bool:
        """Whether the candidate is proved to be no worse by more than the margin."""
        return self.bound < self.allowed

    @property
    def missing(self) -> str:
        """What is not proved yet, in words."""
        if self.bound == float("inf"):
            return f"{self.metric}: too few users"
        return f"{self.metric}: {100 * self.bound:+.2f} points at most, must be below {100 * self.allowed:+.2f}"


@dataclass(frozen=True)
class RolloutDecision:
    """The next move, the weight it leads to (percent), why, and how each guardrail stands."""

    move: Move
    weight: int
    reason: str
    guardrails: tuple[GuardrailState, ...] = ()

    @property
    def evidence(self) -> float:
        """The largest e-value, in parts of its limit."""
        return max((each.e_value / each.limit for each in self.guardrails), default=0.0)


def decide(state: EndpointState, seen: CanaryEvidence, policy: Rollout, now: float) -> RolloutDecision:
    """The next move of a canary. Raises ValueError when there is no canary."""
    if state.candidate is None:
        raise ValueError("no canary to decide about")
    guardrails = tuple(_stands(guardrail, seen, policy) for guardrail in policy.guardrails)

    def made(move: Move, weight: int, reason: str) -> RolloutDecision:
        return RolloutDecision(move, weight, reason, guardrails)

    worse = [each for each in guardrails if each.e_value >= each.limit]
    if worse:
        evidence = "; ".join(f"{each.metric}: e-value {each.e_value:.0f}, limit {each.limit:.0f}" for each in worse)
        return made(Move.ROLLBACK, 0, f"the candidate is worse than production for more users ({evidence})")
    if _collapsed(seen.latest):  # a long quiet past must not hide it from the e-value
        return made(Move.ROLLBACK, 0, f"the candidate's last {COLLAPSE} answers all failed, most of production's meanwhile did not")
    waited = now - state.since
    if waited < policy.interval:
        return made(Move.HOLD, state.weight, f"{waited:.0f} s at {state.weight} %, the step lasts {policy.interval:.0f} s")
    # only good answers at this weight count: neither traffic that stops after a step nor an outage may carry it through the next
    here = [o for o in seen.answers if o.candidate and round(o.weight) == state.weight]
    failed = sum(o.count for o in here if o.failed)
    good = sum(o.count for o in here if not o.failed)
    if good < policy.min_requests:
        reason = f"{amount(good, 'good answer')} of the candidate at {state.weight} %, {policy.min_requests} are needed"
        if policy.on_not_enough_data == "rollback":
            return made(Move.ROLLBACK, 0, f"not enough data: {reason}")
        return made(Move.NOT_ENOUGH_DATA, state.weight, reason)
    step = next(step for step in policy.steps if step > state.weight)
    told = f"{amount(good + failed, 'answer')} of the candidate at {state.weight} %, {failed} failed"
    if step < 100:
        return made(Move.RAMP, step, f"{told}: next step {step} %")
    needed = [each for each in guardrails if each.needed]
    if unproved := [each.missing for each in needed if not each.proved]:
        return made(Move.NOT_ENOUGH_DATA, state.weight, f"not proved to be as good as production ({'; '.join(unproved)}), after {told}")
    proved = f", no worse than production by more than the margin in {', '.join(each.metric for each in needed)}" if needed else ""
    return made(Move.PROMOTE, 100, f"{told}{proved}: next step 100 %")


def one_by_one(canary_answers: Sequence[CanaryAnswers]) -> CanaryEvidence:
    """The evidence of answers one by one, oldest first, each to a request without a user; failures are errors."""
    mine = [index for index, answer in enumerate(canary_answers) if answer.candidate]
    latest = Latest(canary_answers[mine[-COLLAPSE] :], COLLAPSE) if len(mine) >= COLLAPSE else Latest()
    failures = [Failure(answer.candidate, answer.weight, count=answer.count) for answer in canary_answers if answer.failed]
    return CanaryEvidence(canary_answers, {"errors": failures}, latest)


def limited_or_margin(guardrail: Guardrail) -> tuple[float, float]:
    """The difference of shares that should be seen, and what its bound must be below; a limit of latency or length has the margin in it."""
    return (_LIMITED_SCALE, 0.0) if LAPSES[guardrail.metric] in LIMITED else (guardrail.tolerated, guardrail.tolerated)


def _stands(guardrail: Guardrail, seen: CanaryEvidence, policy: Rollout) -> GuardrailState:
    metric, (scale, allowed) = guardrail.metric, limited_or_margin(guardrail)
    counts = seen.counts.get(metric, Counts())
    found = difference(counts.candidate, counts.production, scale, policy.false_promotion)
    needed = guardrail.required and (metric == "errors" or counts.production.users >= EXISTS)
    evidence = e_value(seen.failures.get(metric, ()), ratios_of(metric))
    return GuardrailState(metric, evidence, rollback_limit(policy, metric), found.estimate, found.bound, allowed, needed)


def _collapsed(latest: Latest) -> bool:
    """Whether the candidate's latest answers all failed, and most of production's in the same span did not."""
    mine, theirs = ([answer for answer in latest.answers if answer.candidate is side] for side in (True, False))
    if sum(answer.count for answer in mine) < COLLAPSE or not all(answer.failed for answer in mine):
        return False
    if latest.users < COLLAPSE_USERS and latest.more_users:
        return False
    return 2 * sum(answer.count for answer in theirs if answer.failed) <= sum(answer.count for answer in theirs)
