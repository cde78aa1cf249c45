"""One row per request."""

from ftassets.domain.curation.step import Outcome, Pool
from ftassets.domain.curation.text import precedence, prompt_digest
from ftassets.domain.loop import LoopConfig


def drop_exact(pool: Pool, loop: LoopConfig) -> Outcome:
    """Drop rows whose request, once normalised, is that of a row that ranks higher; among equals the first one stays."""
    first: dict[bytes, int] = {}
    dropped = {}
    for i in sorted(pool.index, key=lambda i: precedence(pool.rows[i])):
        kept = first.setdefault(prompt_digest(pool.rows[i]), i)
        if kept != i:
            dropped[i] = f"same prompt as {pool.rows[kept].id}"
    return Outcome(dropped)
