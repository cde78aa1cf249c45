"""The same optimizer steps in less memory."""

from ftassets.config.loop import Train


def smaller_batch(train: Train) -> Train | None:
    """Half the rows in a forward pass and twice the passes for a step; None when a pass has an odd number of rows, such as one."""
    if train.batch_size % 2:
        return None
    return train.model_copy(
        update={"batch_size": train.batch_size // 2, "gradient_accumulation_steps": 2 * train.gradient_accumulation_steps}
    )
