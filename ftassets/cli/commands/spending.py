"""What loops cost: runs, cycles, promoted models and serving, by the prices of their loop files."""

from typing import Any

from pydantic import TypeAdapter

from ftassets.domain.spending.overview import Spending


def document(found: Spending) -> dict[str, Any]:
    """The summary as plain JSON."""
    plain: dict[str, Any] = TypeAdapter(Spending).dump_python(found, mode="json")
    return plain
