"""What all nodes of a loop have in common."""

import functools
import inspect
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, TypeVar

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.metered import metered_node
from ftassets.assets._shared.run_nodes import ALONE, LOOP, refuse_second
from ftassets.config.loop import LoopConfig

F = TypeVar("F", bound=Callable[..., Any])
_SIGNATURES: dict[CodeType, inspect.Signature] = {}  # the same for each loop


def describe(loop: LoopConfig, docstring: str | None, kinds: set[str]) -> dict[str, Any]:
    """Keyword arguments of an asset: group, owners, kinds, and the module's docstring as description."""
    return {
        "group_name": loop.name,
        "owners": list(loop.owners),
        "kinds": kinds,
        "description": (docstring or "").strip(),
        "tags": {LOOP: loop.name},
    }


def asset(
    loop: LoopConfig,
    docstring: str | None,
    kinds: set[str],
    deps: Sequence[str] = (),
    freshness_policy: dg.FreshnessPolicy | None = None,
    **arguments: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Makes a function the asset of its name; `deps` are names of other nodes of the loop, the rest is as for `dg.multi_asset`.

    Of one asset, because Dagster takes a fifth less time to define it than with `dg.asset`. A node of a group that one run at a
    time may work on refuses a second run. What it uses is recorded.
    """
    blocking = {spec.name for spec in arguments.get("check_specs") or () if spec.blocking}

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        name = function.__name__
        spec = dg.AssetSpec(
            node(loop.name, name),
            deps=[node(loop.name, each) for each in deps],
            freshness_policy=freshness_policy,
            **describe(loop, docstring, kinds),
        )
        body = with_signature(function)
        for group in ALONE:
            if name in group:
                body = _alone(body, loop.name, group)
        body = metered_node(body, loop, name, blocking)
        return dg.multi_asset(name=f"{loop.name}__{name}", specs=[spec], **arguments)(body)

    return decorate


def _alone(function: Callable[..., Any], loop: str, group: Sequence[str]) -> Callable[..., Any]:
    @functools.wraps(function)  # with its signature
    def alone(context: dg.AssetExecutionContext, *arguments: Any, **named: Any) -> Any:
        refuse_second(context.instance, context.run_id, loop, group)
        return function(context, *arguments, **named)

    return alone


def with_signature(function: F) -> F:
    """The function with its signature attached: Dagster reads it some twenty times a definition, and takes one it finds."""
    if (signature := _SIGNATURES.get(function.__code__)) is None:
        signature = _SIGNATURES[function.__code__] = inspect.signature(function, eval_str=True)
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function
