"""One row per request."""

from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.curation.text import precedence, request_digest

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def drop_exact(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows whose request, once normalised, is that of a row that ranks higher; among equals the first one stays."""
    first: dict[bytes, int] = {}
    copies = {}
    for _, _, i in sorted([(*precedence(pool.rows[i]), i) for i in pool.index]):
        kept = first.setdefault(request_digest(pool.rows[i]), i)
        if kept != i:
            copies[i] = kept
    return StepOutcome({i: f"same request as {pool.rows[kept].id}" for i, kept in copies.items()}, copies=copies)
