"""Input and result of a sweep's process."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ftassets.config.loop import Sweep
from ftassets.domain.training.job import TrainingJob


class SweepJob(BaseModel):
    """The training whose recipe is varied, and how. `folder` is kept from attempt to attempt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: TrainingJob
    sweep: Sweep
    folder: Path


class Trial(BaseModel):
    """One recipe: `choice` are the settings that differ from the loop's own. `curve`: (share of its steps, validation loss)."""

    number: int
    choice: dict[str, float]
    state: Literal["trained", "stopped early", "failed"]
    why: str | None = None  # of a failed one
    loss: float | None = None  # validation loss at its end, nats a token
    seconds: float = 0.0
    curve: list[tuple[float, float]] = []
    row_losses: list[float] = []  # nats of each validation row
    row_tokens: list[int] = []


class SweepResult(BaseModel):
    """All trials in the order in which they were tried, and why no more were."""

    trials: list[Trial]
    ended: str
