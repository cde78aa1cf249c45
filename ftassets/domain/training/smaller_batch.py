"""The same optimizer steps in less memory."""

from collections.abc import Callable

from ftassets.config.loop import Train


def smaller_batch(train: Train) -> Train | None:
    """Half the rows in a forward pass and twice the passes for a step; None when half the rows of a worker are not a whole number."""
    if train.batch_size % (2 * (train.ray.workers if train.ray else 1)):
        return None
    return train.model_copy(
        update={"batch_size": train.batch_size // 2, "gradient_accumulation_steps": 2 * train.gradient_accumulation_steps}
    )


def fitting_batch(train: Train, needed: Callable[[Train], float], memory: float) -> Train | None:
    """The settings with the largest batch, halved from the one asked for, that needs at most `memory` bytes; None if none does."""
    found: Train | None = train
    while found is not None and needed(found) > memory:
        found = smaller_batch(found)
    return found
