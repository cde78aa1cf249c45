"""Users whose feedback as a whole is not to be trusted."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.answer_groups import answer_groups
from ftassets.domain.dataset.curation.copies import requests
from ftassets.domain.dataset.curation.step import FEEDBACK, NO_USERS, Pool, StepOutcome
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

DOUBTED = 5  # rows of a user that label_disagreement must have doubted
FLOOD = 20  # wordings of one request by one user; equal ones do not count, people repeat themselves
_COPIES = ("near", "semantic")


def drop_poisoners(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop all feedback of users most of whose rows were doubted, or are wordings of one request with one answer."""
    feedback = [i for i in pool.index if pool.rows[i].source in FEEDBACK]
    if feedback and not any(pool.rows[i].user for i in feedback):
        return StepOutcome(skipped=NO_USERS)
    left, doubted, copies = defaultdict(list), Counter[str](), defaultdict(list)
    for i in feedback:
        if user := pool.rows[i].user:
            left[user].append(i)
    for i, step in pool.dropped.items():
        if (user := pool.rows[i].user) and pool.rows[i].source in FEEDBACK:
            if step == "label_disagreement":
                doubted[user] += 1
            elif step in _COPIES:
                copies[user].append(i)
    dropped = {}
    users = 0
    for user, rows in left.items():
        total = len(rows) + doubted[user]
        reason = None
        if doubted[user] >= DOUBTED and doubted[user] > total / 2:
            reason = f"{doubted[user]} of {amount(total, 'row')} of this user contradict the rows around them"
        elif len(rows) + len(copies[user]) >= FLOOD:
            count = _wordings([*rows, *copies[user]], pool, loop)
            if count >= FLOOD and count > (len(rows) + len(copies[user])) / 2:
                reason = f"{count} of {amount(len(rows) + len(copies[user]), 'row')} of this user are wordings of one request"
        if reason:
            users += 1
            dropped.update(dict.fromkeys(rows, reason))
    counts = {"users": users, "users judged by floods alone, without vectors": len(left) if pool.vectors is None and not doubted else 0}
    return StepOutcome(dropped, counts={name: count for name, count in counts.items() if count})


def _wordings(positions: list[int], pool: Pool, loop: "LoopConfig") -> int:
    """Size of the largest set of rows that are copies of one of them with its answer."""
    limit = loop.dataset.jaccard
    rows = [pool.rows[i] for i in positions]
    near: Counter[int] = Counter()
    groups = answer_groups(rows, loop.task.form, limit)
    for left, right, _ in requests(rows).copies(limit, groups):
        near.update(left.tolist())
        near.update(right.tolist())
    return max(near.values(), default=0) + 1
