"""Records what each node of a run uses, whatever it comes to, and refuses to begin what the loop's budget does not allow."""

import functools
import inspect
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from ftassets.assets._shared.failures import OVER_BUDGET, REFUSED, failing
from ftassets.assets._shared.run_nodes import nodes_of
from ftassets.backends.control.base import Control
from ftassets.backends.control.spending import budget_now
from ftassets.backends.control.usage import close, tidy, write_at_work
from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.budget import SPENDS
from ftassets.domain.spending.usage import Ended, Usage, UsageEntry
from ftassets.errors import StateDamaged
from ftassets.metering import metered


class Work:
    """What is known of a node's work once it is over."""

    made: str | None = None
    refused = False


@contextmanager
def measured(control: Control, loop: str, name: str, context: Any) -> Iterator[Work]:
    """Measure the block as the work of a node in the run of `context`, and record it.

    What costs much does not begin when its use cannot be recorded, as on a full disk: raises OSError then. All else does: a rollback
    must not wait for a disk.
    """
    run, began = context.run, time.time()
    entry = UsageEntry(
        id=f"{run.run_id}.{name}.{secrets.token_hex(4)}",
        loop=loop,
        run_id=run.run_id,
        node=name,
        for_release="release" in nodes_of(context.instance, run, loop),
        at=began,
        until=began,
    )
    try:
        tidy(control, loop, began)
    except (StateDamaged, OSError) as error:  # `ftassets cost` and the budget say so too
        context.log.warning(str(error))
    work, ended, used = Work(), None, Usage()

    def keep(usage: Usage) -> None:
        nonlocal used
        used = usage
        try:
            write_at_work(control, entry.model_copy(update={"usage": usage, "until": time.time()}))
        except OSError:
            if name in SPENDS:
                raise

    try:
        with metered(keep):
            yield work
        ended = "refused" if work.refused else "done"
    except BaseException as error:
        ended = _ended(error)
        raise
    finally:
        over = entry.model_copy(update={"usage": used, "until": time.time(), "ended": ended, "made": work.made})
        try:
            close(control, over)
        except OSError as error:  # what was kept while it worked counts
            context.log.warning(f"what {name} used is not recorded to its end: {error}")


def metered_node(function: Callable[..., Any], loop: LoopConfig, name: str, blocking: Collection[str]) -> Callable[..., Any]:
    """The body of an asset, measured, if the budget lets it begin; `blocking` are its checks that refuse what it made."""
    signature = inspect.signature(function)
    own = "control" in signature.parameters

    @functools.wraps(function)
    def body(context: dg.AssetExecutionContext, **resources: Any) -> Any:
        control: Control = resources["control"] if own else resources.pop("control")
        with measured(control, loop.name, name, context) as work:
            if name in SPENDS:
                _refuse_over_budget(control, loop, context)
            result = function(context, **resources)
            if isinstance(result, dg.MaterializeResult):
                work.made = result.data_version.value if result.data_version else None
                work.refused = any(check.check_name in blocking and not check.passed for check in result.check_results or ())
            return result

    if not own:
        control = inspect.Parameter("control", inspect.Parameter.KEYWORD_ONLY, annotation=dg.ResourceParam[Control])
        signature = signature.replace(parameters=[*signature.parameters.values(), control])
    body.__signature__ = signature  # type: ignore[attr-defined]
    return body


def _refuse_over_budget(control: Control, loop: LoopConfig, context: Any) -> None:
    """Raises dg.Failure at the first node of a run that costs much, if the budget does not allow the run."""
    with failing():
        found = budget_now(control, loop, nodes_of(context.instance, context.run, loop.name), time.time(), context.run.run_id)
    if found and found.why:
        raise dg.Failure(f"{OVER_BUDGET}: {found.why}", allow_retries=False)


def _ended(error: BaseException) -> Ended:
    if isinstance(error, DagsterExecutionInterruptedError | KeyboardInterrupt):
        return "cancelled"
    said = str(error.description) if isinstance(error, dg.Failure) else str(error)
    return "refused" if said.startswith(REFUSED) else "over_budget" if said.startswith(OVER_BUDGET) else "failed"
