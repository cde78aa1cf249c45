"""The component this project offers to any Dagster project."""

from ftassets.components.fine_tune_loop import FineTuneLoop

__all__ = ["FineTuneLoop"]
