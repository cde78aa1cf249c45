"""Whether a candidate in shadow gets its first weight: a pure decision over pairs of answers, valid at any number of ticks.

Both versions answered the same requests. Where just one of two answers lapses, and both versions are alike, it is either one with
probability one half, whatever the request was. That is the coin of the canary's e-value at a weight of 50 %; a user counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ftassets.config.loop import Rollout
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.rollout.canary import Move
from ftassets.domain.rollout.endpoint import EndpointState, bucket
from ftassets.domain.rollout.guardrails import FIRST, Failure, e_value
from ftassets.domain.statistics import share_interval
from ftassets.domain.traffic.exchange import ANSWERED, Exchange
from ftassets.domain.traffic.shadow_answer import Discordant, PairCounts, PairLapse, ShadowAnswer, ShadowCounts, form_told
from ftassets.errors import InvalidInput
from ftassets.wording import amount, span

ShadowMetric = Literal["errors", "form", "refusals", "language", "latency", "first_token", "length"]
PAIR_LAPSES: dict[ShadowMetric, PairLapse] = {
    "errors": PairLapse.ERROR,
    "form": PairLapse.MALFORMED,
    "refusals": PairLapse.REFUSED,
    "language": PairLapse.OTHER_LANGUAGE,
    "latency": PairLapse.SLOW,
    "first_token": PairLapse.LATE,
    "length": PairLapse.LONG,
}
# of what shadow has of `false_rollback`, in shares of the sum over what is compared
PAIR_PARTS: dict[ShadowMetric, int] = {
    "errors": 4, "form": 4, "refusals": 2, "language": 1, "latency": 1, "first_token": 1, "length": 1,
}  # fmt: skip
SUSPECT = 0.02  # of its limit: with so much evidence against it a candidate gets no users, but more copies
COIN = 50.0  # percent: the weight at which a lapse is the candidate's with probability one half
UNSEEN = "Shadow sees no feedback: what users think of the answers shows in the canary."


@dataclass(frozen=True)
class ShadowEvidence:
    """What the traffic log has of the pairs since the phase began."""

    counts: ShadowCounts = ShadowCounts()
    discordant: Sequence[Discordant] = ()


@dataclass(frozen=True)
class PairState:
    """One respect in which the pairs are compared: the numbers, and the evidence that the candidate is worse."""

    metric: ShadowMetric
    counts: PairCounts
    e_value: float
    limit: float


@dataclass(frozen=True)
class ShadowDecision:
    """The next move, the weight it leads to (percent), why, and the pairs in numbers."""

    move: Move
    weight: int
    reason: str
    counts: ShadowCounts
    compared: tuple[PairState, ...] = ()


def is_copied(loop: str, candidate: str, request_id: str, sample: float) -> bool:
    """Whether a request is among those that a candidate answers in shadow: known from the log alone, and others for each candidate."""
    return bucket(f"{loop}\x00{candidate}\x00shadow", request_id) < sample


def first_weight(policy: Rollout, state: EndpointState, digest: str) -> int:
    """The weight (percent) with which a release starts, 0 for shadow; one that is in shadow gets its first step."""
    in_shadow = policy.shadow is not None and state.production is not None and state.candidate != digest
    return 0 if in_shadow else policy.steps[0]


def pair_limit(policy: Rollout, metric: ShadowMetric) -> float:
    """The e-value from which a candidate in shadow is rolled back; what is compared shares the error by a union bound."""
    whole = sum(PAIR_PARTS[each] for each in compared_in_shadow(policy))
    return whole / (policy.false_rollback_of_phase * PAIR_PARTS[metric] * FIRST)


def compared_in_shadow(policy: Rollout) -> list[ShadowMetric]:
    """The loop's guardrails that pairs can tell."""
    on = {guardrail.metric for guardrail in policy.guardrails}
    return [metric for metric in PAIR_PARTS if metric in on]


def decide_shadow(state: EndpointState, seen: ShadowEvidence, policy: Rollout, now: float) -> ShadowDecision:
    """The next move of a candidate in shadow; its canary starts if the loop file has no such phase. Raises ValueError if none is there."""
    if not state.in_shadow:
        raise ValueError("no candidate is in shadow")
    compared = pair_states(seen, policy)

    def made(move: Move, weight: int, reason: str) -> ShadowDecision:
        return ShadowDecision(move, weight, reason, seen.counts, compared)

    if policy.shadow is None:
        return made(Move.RAMP, policy.steps[0], f"the loop file has no shadow phase any more: next step {policy.steps[0]} %")
    if worse := [each for each in compared if each.e_value >= each.limit]:
        return made(Move.ROLLBACK, 0, f"in shadow the candidate is worse than production on the same requests ({_numbers(worse)})")
    good, needed, waited = seen.counts.good, policy.shadow.min_requests, now - state.since
    told = f"{amount(good, 'good answer')} to {amount(seen.counts.copies, 'copy', 'copies')}"
    suspect = [each for each in compared if each.e_value >= SUSPECT * each.limit]
    if good >= needed and not suspect:
        step = policy.steps[0]
        return made(Move.RAMP, step, f"{told} in shadow, and no evidence that it is worse than production: next step {step} %")
    lacking = f", {needed} are needed" if good < needed else f", but some evidence against it ({_numbers(suspect)})"
    missing = f"{told} in shadow{lacking}"
    if waited < policy.shadow.max_time:
        return made(Move.HOLD, 0, f"{missing}; the phase may last {span(policy.shadow.max_time - waited)} more")
    over = f"{missing}, and the {span(policy.shadow.max_time)} of the phase are over"
    if policy.on_not_enough_data == "rollback":
        return made(Move.ROLLBACK, 0, f"not enough data: {over}")
    return made(Move.NOT_ENOUGH_DATA, 0, f"{over}: raise rollout.shadow.sample, or ramp by hand")


def pair_states(seen: ShadowEvidence, policy: Rollout) -> tuple[PairState, ...]:
    """How the pairs stand in each respect in which they are compared."""
    return tuple(_stands(metric, seen, policy) for metric in compared_in_shadow(policy))


def agreement(counts: ShadowCounts) -> str:
    """How often both answers say the same, in words."""
    if not counts.compared:
        return "no pair of answers could be compared"
    low, high = share_interval(counts.agreeing, counts.compared)
    share = f"{counts.agreeing / counts.compared:.1%} (95 % interval {low:.1%} to {high:.1%})"
    return f"{counts.agreeing} of {amount(counts.compared, 'pair')} agree, {share}"


def paired(production: Exchange, candidate: Exchange, form: AnswerForm) -> ShadowAnswer:
    """The pair of both exchanges, which are answers to the same request, judged by the form of the loop's task."""
    both = production.status == candidate.status == ANSWERED
    return ShadowAnswer(
        request_id=production.id,
        loop=production.loop,
        version=candidate.version,
        production=production.version,
        user=production.user,
        at=production.at,
        status=candidate.status,
        latency_ms=candidate.latency_ms,
        first_token_ms=candidate.first_token_ms,
        tokens_in=candidate.tokens_in,
        tokens_out=candidate.tokens_out,
        well_formed=form_told(candidate),
        refused=candidate.refused,
        production_status=production.status,
        production_latency_ms=production.latency_ms,
        production_first_token_ms=production.first_token_ms,
        production_tokens_out=production.tokens_out,
        production_well_formed=form_told(production),
        production_refused=production.refused,
        agrees=_agree(candidate.answer, production.answer, form) if both else None,
        answer=candidate.answer,
        error=candidate.error,
        other_language=candidate.other_language,
        production_other_language=production.other_language,
    )


def _agree(answer: str, other: str, form: AnswerForm) -> bool | None:
    """Whether both say the same, as evaluation compares answers; None where production's has not the form to be compared with."""
    try:
        return form.agreement(answer, other)[0]
    except InvalidInput:
        return None


def _stands(metric: ShadowMetric, seen: ShadowEvidence, policy: Rollout) -> PairState:
    lapse = PAIR_LAPSES[metric]
    failures = [Failure(each.candidate, COIN, each.user, each.window, each.count) for each in seen.discordant if each.lapse is lapse]
    return PairState(metric, seen.counts.lapses.get(lapse, PairCounts()), e_value(failures), pair_limit(policy, metric))


def _numbers(states: Sequence[PairState]) -> str:
    return "; ".join(
        f"{each.metric}: {each.counts.candidate} of its answers and {each.counts.production} of production's in "
        f"{amount(each.counts.pairs, 'pair')}, e-value {each.e_value:.3g}, limit {each.limit:.0f}"
        for each in states
    )
