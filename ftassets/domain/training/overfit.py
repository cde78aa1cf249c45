"""What the validation losses of a training say: when to stop it, and whether it took too many steps."""

from collections.abc import Sequence

TOLERATED = 1.05  # times the lowest validation loss that the last one may be without a remark


def stops_early(validation: Sequence[tuple[int, float]], patience: int) -> bool:
    """Whether the last `patience` of the (step, loss) are all no better than one before them."""
    losses = [loss for _, loss in validation]
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])


def kept_loss(validation: Sequence[tuple[int, float]], patience: int | None) -> float | None:
    """Validation loss of the weights that a training with this patience keeps: the lowest, without patience the last."""
    losses = [loss for _, loss in validation]
    return None if not losses else losses[-1] if patience is None else min(losses)


def overfit_note(validation: Sequence[tuple[int, float]]) -> str | None:
    """What to do about a validation loss, in nats per token by step, that rose again; None if it did not."""
    if not validation:
        return None
    step, lowest = min(validation, key=lambda each: each[1])
    last_step, last = validation[-1]
    if last <= TOLERATED * lowest:
        return None
    return (
        f"the validation loss rose from {lowest:.3f} at step {step} to {last:.3f} at step {last_step}: lower train.epochs, or set "
        "train.early_stopping_patience, which keeps the weights of the lowest"
    )
