"""A cap on what one user may contribute: a flood is not a majority."""

from collections import Counter
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import FEEDBACK, NO_USERS, Pool, StepOutcome
from ftassets.domain.dataset.curation.text import ranked
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def cap_users(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop a user's feedback rows beyond `max_rows_per_user`; the best by rank stay. Copies went before, so that they take no place.

    Counts say which feedback no cap by user can hold: rows without a user, and users with one row, as which earlier releases logged
    requests without a user.
    """
    cap = loop.dataset.max_rows_per_user
    feedback = [i for i in pool.index if pool.rows[i].source in FEEDBACK]
    rows = Counter(pool.rows[i].user for i in feedback)
    if feedback and not any(rows):
        return StepOutcome(skipped=NO_USERS)
    seen: Counter[str] = Counter()
    dropped = {}
    for i in ranked(pool.rows, feedback):
        if user := pool.rows[i].user:
            seen[user] += 1
            if seen[user] > cap:
                dropped[i] = f"more than {amount(cap, 'row')} of one user"
    uncapped = {
        "feedback rows without a user, which no cap holds": sum(count for user, count in rows.items() if not user),
        "users with one row": sum(count == 1 for user, count in rows.items() if user),
    }
    return StepOutcome(dropped, counts={name: count for name, count in uncapped.items() if count})
