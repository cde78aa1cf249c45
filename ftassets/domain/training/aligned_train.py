"""The settings of a training on preferences."""

from ftassets.config.loop import Align, Train


def aligned_train(train: Train, align: Align) -> Train:
    """The settings of the training that follows the one by `train`: the adapter stays as it is, the steps are those of `align`."""
    return train.model_copy(
        update={
            **{name: getattr(align, name) for name in ("learning_rate", "epochs", "batch_size", "gradient_accumulation_steps")},
            "lora_dropout": 0.0,  # the reference has none either
            "class_weights": "none",
            "early_stopping_patience": None,
            "eval_steps": None,
            "preset": "lora",
            "command": None,
        }
    )
