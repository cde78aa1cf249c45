"""The first version: a loop without production trains one from its seed examples."""

import time

import dagster as dg

from ftassets.assets._shared.events import newest, node
from ftassets.assets._shared.node import with_signature
from ftassets.automation import runs
from ftassets.automation.jobs import TRIGGER, retrain_job_name
from ftassets.backends.control.base import Control
from ftassets.backends.control.pauses import pause_reason
from ftassets.backends.control.spending import budget_now
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.config.loop import LoopConfig
from ftassets.domain.retrain import ATTEMPTS, retry_after
from ftassets.domain.spending.cycles import MAKING
from ftassets.wording import amount


def build(loop: LoopConfig) -> dg.SensorDefinition:
    """A sensor that requests one retrain while the loop has no release; after a rejected version it requests no other."""

    @dg.sensor(
        name=f"{loop.name}__bootstrap",
        job_name=retrain_job_name(loop.name),
        minimum_interval_seconds=int(loop.sensor_interval),
        default_status=runs.status(loop),
        description="Trains the first version of a loop that has none.",
    )
    @with_signature
    def bootstrap(
        context: dg.SensorEvaluationContext, control: dg.ResourceParam[Control], serving: dg.ResourceParam[Serving]
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            if serving.state(loop.name).production:
                return dg.SkipReason("a version is in production")
        except ServingError as error:
            return dg.SkipReason(str(error))
        if newest(context.instance, node(loop.name, "release")):
            return dg.SkipReason("a release exists and waits for its rollout")
        if paused := pause_reason(control, loop.name):
            return dg.SkipReason(f"the loop is paused: {paused}")
        if loop.mode == "observe":
            return dg.SkipReason("would train a first version, but the loop only observes: set mode to propose or auto")
        if runs.retrain_running(context.instance, loop.name):
            return dg.SkipReason("a retrain of this loop is under way")
        ran = runs.retrain_history(context.instance, loop.name)
        if ran.died >= ATTEMPTS:
            return dg.SkipReason(f"the run's process died {amount(ran.died, 'time')}: check the runs, then start the retrain job by hand")
        if ran.failed_at is not None and time.time() < ran.failed_at + retry_after(ran.failed, loop.retrain_on.cooldown):
            runs_failed = "the run" if ran.failed == 1 else f"{amount(ran.failed, 'run')} in a row"
            return dg.SkipReason(f"{runs_failed} failed or ended without a verdict: the next one starts after a pause")
        if (balance := budget_now(control, loop, MAKING, time.time())) and balance.why:
            return dg.SkipReason(balance.why)
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"bootstrap:{ran.attempts}", tags={TRIGGER: "bootstrap"})])

    return bootstrap
