"""What all nodes of a loop have in common."""

from typing import Any

from ftassets.domain.loop import LoopConfig


def describe(loop: LoopConfig, docstring: str | None, kinds: set[str]) -> dict[str, Any]:
    """Keyword arguments of an asset: group, owners, kinds, and the module's docstring as description."""
    return {
        "group_name": loop.name,
        "owners": list(loop.owners),
        "kinds": kinds,
        "description": (docstring or "").strip(),
        "tags": {"ftassets/loop": loop.name},
    }
