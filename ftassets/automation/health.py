"""Finds out how each loop is, stores it for metrics and status, and sends each concern once, and once more when it is over."""

import functools
import time

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState

from ftassets.assets._shared.node import with_signature
from ftassets.assets.health import asset
from ftassets.assets.health.observe import Stores, all_states, observe, states_of
from ftassets.automation import runs
from ftassets.backends.control.base import Control
from ftassets.backends.control.health import read_notices, update_notices, write_health
from ftassets.backends.notifier.base import Alert, Notifier
from ftassets.backends.notifier.routing import alert_about, routed
from ftassets.backends.serving.base import Serving
from ftassets.backends.signer.base import Signer
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.health.health import Health
from ftassets.domain.health.notices import Due, Notices

SHORTEST = 30  # seconds between two looks


def build(loop: LoopConfig) -> dg.SensorDefinition:
    """A sensor that finds out how the loop is. It runs whatever the loop's automation is set to: it changes nothing."""

    @dg.sensor(
        name=f"{loop.name}__health",
        minimum_interval_seconds=max(int(loop.sensor_interval), SHORTEST),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Finds out how the loop is and sends what needs a person.",
    )
    @with_signature
    def health(
        context: dg.SensorEvaluationContext,
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
        serving: dg.ResourceParam[Serving],
        signer: dg.ResourceParam[Signer],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.SensorResult:
        found = observe(
            loop, Stores(control, traffic_log, serving, signer, context.instance, states_known_to(context, loop.name)), time.time()
        )
        write_health(control, loop.name, found)
        if runs.status(loop) is dg.DefaultSensorStatus.RUNNING:
            tell(loop, control, routed(control, loop, notifier), found)
        ledger = asset.shadow_of(control, loop)
        verdict, seen = asset.verdict(found.concerns), ",".join(sorted(each.key for each in found.concerns))
        seen += f" {len(ledger)} in shadow" if ledger else ""
        if seen == context.cursor:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"{verdict}, as before"), cursor=seen)
        return dg.SensorResult(asset_events=asset.events(loop, found, ledger), cursor=seen)

    return health


def states_known_to(context: dg.SensorEvaluationContext, loop: str) -> tuple[InstigatorState, ...]:
    """The states of the loop's own sensors and schedules, without reading those of other loops."""
    repository, place = context.repository_def, context.code_location_origin
    if repository is None or place is None:
        return all_states(context.instance)
    names = [sensor.name for sensor in repository.sensor_defs] + [schedule.name for schedule in repository.schedule_defs]
    own = [name for name in names if name.startswith(f"{loop}__")]
    return states_of(context.instance, place.location_name, repository.name, own)


def tell(loop: LoopConfig, control: Control, notifier: Notifier, found: Health) -> None:
    """Send what is due, and remember it: what is sent while the document cannot be written is sent again."""
    update_notices(control, loop.name, lambda known: known.seeing(found.concerns, found.at))
    for due in read_notices(control, loop.name).due(found.at):
        sent = notifier.notify(_alert(loop, due))
        update_notices(control, loop.name, functools.partial(Notices.after, due=due, sent=sent, now=found.at))
    update_notices(control, loop.name, lambda known: known.forgetting(found.at))


def _alert(loop: LoopConfig, due: Due) -> Alert:
    concern = due.open.concern
    title = f"{concern.subject.replace('-', ' ')}{' is over' if due.over else ''}"
    text = concern.text if due.over or not concern.command else f"{concern.text}. Next: {concern.command}"
    return alert_about(loop, concern.subject, title, text, concern.detail, resolved=due.over)
