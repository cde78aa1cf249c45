"""Moves a release to all traffic, or back: one step per sensor tick."""

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

import dagster as dg

from ftassets.assets._shared.events import data_version, history, metadata_value, node
from ftassets.assets._shared.node import with_signature
from ftassets.assets._shared.offered import offered
from ftassets.assets._shared.shadow_pairs import HEAD, rows_of, shadow_evidence
from ftassets.automation import runs
from ftassets.automation.jobs import endpoint_job_name
from ftassets.backends.control.base import Control
from ftassets.backends.control.pauses import pause_reason
from ftassets.backends.control.releases import Releases
from ftassets.backends.control.rollout_looks import record_look
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.signer.base import Signer
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.rollout.canary import (
    COLLAPSE,
    COLLAPSE_USERS,
    CanaryAnswers,
    CanaryEvidence,
    Counts,
    Latest,
    Move,
    RolloutDecision,
    decide,
)
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import BEFORE, LAPSES, MOST_BEFORE, WINDOW, compared, failures_of, usual_lapses
from ftassets.domain.rollout.look import RolloutLook, rollout_look, shadow_look
from ftassets.domain.rollout.next_release import Obstacle, in_the_way
from ftassets.domain.rollout.shadow_phase import UNSEEN, ShadowDecision, agreement, decide_shadow, first_weight
from ftassets.domain.rollout.transition import Transition
from ftassets.domain.traffic.lapses import Lapse
from ftassets.reporting.tables import markdown_table

log = logging.getLogger(__name__)

AGAIN = 3600.0  # seconds: a run that was refused is tried again in the next hour, for what was in its way may have ended


def build(loop: LoopConfig, clock: Callable[[], float] | None = None) -> dg.SensorDefinition:
    """A sensor that starts releases, renews the canary's lease and requests runs for the moves of `decide`; it is now as a `clock` says.

    It makes a rollback within its tick, before the run that records it: traffic must not wait for a run to start.
    """

    @dg.sensor(
        name=f"{loop.name}__rollout",
        job_name=endpoint_job_name(loop.name),
        minimum_interval_seconds=int(min(loop.sensor_interval, loop.rollout.interval)),
        default_status=runs.status(loop),
        description="Starts, ramps and rolls back releases.",
    )
    @with_signature
    def rollout(
        context: dg.SensorEvaluationContext,
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
        serving: dg.ResourceParam[Serving],
        signer: dg.ResourceParam[Signer],
    ) -> dg.SensorResult | dg.SkipReason:
        now = clock() if clock else time.time()
        try:
            state = serving.state(loop.name)
            moves = max((transition.number for transition in serving.newest(loop.name, 1)), default=0)
            paused = pause_reason(control, loop.name)
            attempt = f"{moves}:{runs.moves_died(context.instance, loop.name)}:{int(now // AGAIN)}"
            moving = partial(runs.move_running, context.instance, loop.name)
            released, release = next(history(context.instance, node(loop.name, "release"), limit=1), (0.0, None))
            if state.candidate:
                newer = _newer(loop, state, release, Releases(control, signer), now)
                return _tick(loop, state, control, traffic_log, serving, paused, attempt, moving, now, context.log.info, newer)
        except ServingError as error:
            return dg.SkipReason(str(error))
        if release is None:
            return dg.SkipReason("nothing was released yet")
        attempt += f":{released}"  # released again, it may start where it was rejected before
        digest = data_version(release)
        if digest == state.production:
            return dg.SkipReason("the newest release is in production")
        offer, approval = offered(loop, release, Releases(control, signer))
        obstacle = in_the_way(offer, state, loop.mode, now)
        if paused and (obstacle is None or obstacle.obstacle not in (Obstacle.ROLLED_BACK, Obstacle.APPROVED_IN_VAIN)):
            return dg.SkipReason(f"the loop is paused: {paused}")
        if obstacle:
            return dg.SkipReason(obstacle.sentence)
        if approval:
            attempt += f":{approval.issued_at}"  # a second approval is a second attempt
        if moving():
            return dg.SkipReason("a run is moving traffic already")
        overridden = metadata_value(release, "override")
        reason = "a new release with an override" if overridden else "a new release passed its gates"
        return _request(loop.name, f"start:{digest}:{attempt}", "start", first_weight(loop.rollout, state, digest), reason)

    return rollout


def _tick(
    loop: LoopConfig,
    state: EndpointState,
    control: Control,
    traffic_log: TrafficLog,
    serving: Serving,
    paused: str | None,
    attempt: str,
    moving: Callable[[], bool],
    now: float,
    tell: Callable[[str], None],
    newer: str | None = None,
) -> dg.SensorResult | dg.SkipReason:
    look: RolloutLook
    decision: RolloutDecision | ShadowDecision
    if state.in_shadow:
        pairs = shadow_evidence(traffic_log, loop, state)
        decision = decide_shadow(state, pairs, loop.rollout, now)
        look = shadow_look(state, pairs, loop.rollout, now, decision)
        tell(f"{agreement(decision.counts)}. {UNSEEN}\n{markdown_table(HEAD, rows_of(decision.compared))}")
    else:
        seen = canary_evidence(traffic_log, loop, state, serving.recent(loop.name))
        decision = decide(state, seen, loop.rollout, now)
        look = rollout_look(state, seen, loop.rollout, now, decision)
    if decision.move is Move.ROLLBACK:
        serving.rollback(loop.name, "sensor:rollout", decision.reason)
    try:
        record_look(control, loop.name, look)
    except (OSError, ValueError) as error:  # of a full disk, for example: traffic is watched all the same
        log.warning("what the tick saw of %s could not be kept: %s", str(state.candidate)[:12], error)
    if decision.move is Move.ROLLBACK:
        return _request(loop.name, f"rollback:{attempt}", "report", None, f"rolled back: {decision.reason}")
    serving.renew(loop.name, loop.rollout.lease)
    if paused:
        return dg.SkipReason(f"holding {'in shadow' if state.in_shadow else f'at {state.weight} %'}, the loop is paused: {paused}")
    successor = newer if loop.rollout.on_newer == "supersede" else None
    if successor is None and decision.move in (Move.HOLD, Move.NOT_ENOUGH_DATA):
        waits = f"; release {newer[:12]} waits until this rollout has ended" if newer else ""
        return dg.SkipReason(f"{decision.move}: {decision.reason}{waits}")
    if moving():
        return dg.SkipReason("a run is moving traffic already")
    if successor:
        reason = "a newer release passed its gates"
        return _request(loop.name, f"start:{successor}:{attempt}", "start", first_weight(loop.rollout, state, successor), reason)
    run_key = f"ramp:{state.candidate}:{decision.weight}:{attempt}"
    return _request(loop.name, run_key, "ramp", decision.weight, decision.reason, state.candidate)


def _newer(loop: LoopConfig, state: EndpointState, release: dg.AssetMaterialization | None, releases: Releases, now: float) -> str | None:
    """The newest release, if nothing but the rollout under way keeps it from its start."""
    if release is None or data_version(release) in (state.candidate, state.production):
        return None
    offer, _ = offered(loop, release, releases)
    return offer.version if in_the_way(offer, state, loop.mode, now) is None else None


def canary_evidence(traffic_log: TrafficLog, loop: LoopConfig, state: EndpointState, newest_first: Iterable[Transition]) -> CanaryEvidence:
    """What the log has of candidate and production since the candidate's first weight, as `decide` takes it.

    What was not judged, and what a client got wrong, counts for neither side. The log counts: the cost does not grow with texts, nor
    with what was before. Of the day before the canary a bounded sample tells what is usual.
    """
    candidate, production = str(state.candidate), str(state.production)
    started = _first_weight(newest_first, candidate, state.since)
    before = traffic_log.ended(loop.name, production, started - BEFORE, started, MOST_BEFORE)
    pair = compared(candidate, production, before, loop.rollout)

    def since(at: float) -> list[CanaryAnswers]:
        found = traffic_log.outcomes(loop.name, [candidate, production], at)
        return [
            CanaryAnswers(o.version == candidate, o.weight if o.version == candidate else 100 - o.weight, o.failed, o.count)
            for o in found
            if o.judged
        ]

    firsts = traffic_log.first_lapses(loop.name, pair, started, WINDOW)
    began, latest = traffic_log.time_of_newest(loop.name, candidate, COLLAPSE, started), Latest()
    if began is not None:
        users = traffic_log.users(loop.name, candidate, began, COLLAPSE_USERS)
        latest = Latest(since(began), users, users < traffic_log.users(loop.name, candidate, started, COLLAPSE_USERS))
    usual = usual_lapses(before, pair)
    broken = usual.get(Lapse.ERROR, frozenset()) | usual.get(Lapse.MALFORMED, frozenset())
    mine, theirs = (
        traffic_log.lapse_counts(loop.name, version, state.since, float("inf"), pair.limits, broken) for version in (candidate, production)
    )
    metrics = [guardrail.metric for guardrail in loop.rollout.guardrails]
    counts = {metric: Counts(mine[LAPSES[metric]], theirs[LAPSES[metric]]) for metric in metrics}
    return CanaryEvidence(since(started), failures_of(firsts, usual, pair, loop.rollout), latest, counts)


def _first_weight(newest_first: Iterable[Transition], candidate: str, since: float) -> float:
    """When the rollout under way gave the candidate its first users; not its start, if that was in shadow."""
    for move in newest_first:
        if move.state.candidate == candidate and move.state.weight:
            since = move.at
        if move.action == "start" and move.state.candidate == candidate:
            break
    return since


def _request(loop: str, run_key: str, action: str, weight: int | None, reason: str, candidate: str | None = None) -> dg.SensorResult:
    config = {"action": action, "reason": reason} | ({"weight": weight} if weight else {}) | ({"candidate": candidate} if candidate else {})
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key, run_config={"ops": {f"{loop}__endpoint": {"config": config}}})])
