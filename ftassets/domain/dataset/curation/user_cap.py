"""A cap on what one user may contribute: a flood is not a majority."""

from collections import Counter
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import FEEDBACK, Pool, StepOutcome

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def cap_users(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop a user's feedback rows after the first `max_rows_per_user`."""
    cap = loop.dataset.max_rows_per_user
    seen: Counter[str] = Counter()
    dropped = {}
    for i in pool.index:
        user = pool.rows[i].user
        if user and pool.rows[i].source in FEEDBACK:
            seen[user] += 1
            if seen[user] > cap:
                dropped[i] = f"more than {cap} rows of one user"
    return StepOutcome(dropped)
