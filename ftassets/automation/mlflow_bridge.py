"""One MLflow run for each Dagster run of the retrain job, through dagster-mlflow: the run of its training is shown inside it.

The package is imported only when a run needs it.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ftassets.assets._shared.tracking import run_url


@dg.resource(required_resource_keys={"registry", "home"}, description="The MLflow run that stands for this Dagster run.")
def mlflow_run(context: dg.InitResourceContext) -> Iterator[Any]:
    """The `mlflow` module with this Dagster run's MLflow run active; ended with the Dagster run."""
    import warnings

    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    from dagster_mlflow import mlflow_tracking

    run = context.dagster_run
    loop = run.tags.get("ftassets/loop", "by_hand") if run else "by_hand"
    registry = context.resources.registry
    registry.experiment(loop)  # created here, so that its artefacts lie where the registry keeps them
    url = run_url(context.run_id) if context.run_id else None
    tags = {"loop": loop, **({"dagster_run_url": url, "mlflow.note.content": f"[The Dagster run]({url})"} if url else {})}
    config = {"experiment_name": loop, "mlflow_tracking_uri": registry.tracking_uri, "extra_tags": tags}
    bridge: Any = mlflow_tracking.resource_fn(context.replace_config(config))  # type: ignore[call-arg]
    mlflow = next(bridge)
    try:
        yield mlflow
    finally:
        bridge.close()
        mlflow.end_run()  # a failed run was ended by the hook before: then this does nothing


@dg.failure_hook(name="end_mlflow_run", required_resource_keys={"mlflow"})
def end_mlflow_run(context: dg.HookContext) -> None:
    """Mark the MLflow run failed when a step of the Dagster run fails."""
    context.resources.mlflow.end_run("FAILED")
