"""When a training is going nowhere: a pure decision over its losses."""

import math
from collections.abc import Sequence

from ftassets.errors import FtassetsError

GRACE = 5  # steps that make up the start, and the window that is compared with it
FLOOR = 0.5  # nats; a start below it (going on from an adapter) counts as this much, or noise would look like divergence


class TrainingStopped(FtassetsError):
    """The training was stopped because it diverged or could not succeed; the message says what to change."""


def objection(losses: Sequence[float], limit: float) -> str | None:
    """Why a training with these losses, one a step in nats per token, should stop; None when it may go on.

    The mean of the last GRACE losses is held against `limit` times the mean of the first GRACE.
    """
    if losses and not math.isfinite(losses[-1]):
        return f"the loss became {losses[-1]} at step {len(losses)}: lower train.learning_rate (try a tenth) or train.max_grad_norm"
    if len(losses) <= GRACE:
        return None
    start = max(sum(losses[:GRACE]) / GRACE, FLOOR)
    now = sum(losses[-GRACE:]) / GRACE
    if now > limit * start:
        return (
            f"the loss rose to {now:.2f} at step {len(losses)}, more than {limit:g} times its start of {start:.2f}: "
            "lower train.learning_rate, raise train.warmup_ratio, or check the newest rows of the dataset"
        )
    return None
