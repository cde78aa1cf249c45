"""Work of an asset outside of the graph: workers are started through Dagster Pipes, which wants a run."""

from collections.abc import Callable
from typing import Any, TypeVar

import dagster as dg

_Result = TypeVar("_Result")


def in_a_run(run_id: str, do: Callable[[Any], _Result]) -> _Result:
    """What `do` returns, given the context of a Dagster run in memory; its log is on stderr. Raises what `do` raises."""
    results: list[_Result] = []

    @dg.op
    def work(context: dg.OpExecutionContext) -> None:
        results.append(do(context))

    @dg.job(executor_def=dg.in_process_executor, config={"loggers": {"console": {"config": {"log_level": "INFO"}}}})
    def in_memory() -> None:
        work()

    with dg.DagsterInstance.ephemeral() as instance:
        in_memory.execute_in_process(instance=instance, run_id=run_id)
    return results[0]
