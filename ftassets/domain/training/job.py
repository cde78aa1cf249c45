"""Input and result of a training process."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ftassets.config.loop import Align, Task, Train

POINTS = "points.jsonl"


class TrainingJob(BaseModel):
    """Everything a training process needs; written as JSON next to its data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loop: str
    base_model: str
    task: Task
    train: Train
    align: Align | None = None  # the rows are preferences, by which the adapter `start_from` is trained on
    preferences_commit: str | None = None  # of these rows
    preferences_hash: str | None = None  # SHA-256 of `train_file` then: which rows of the commit are trained on depends on settings
    dataset_commit: str
    dataset_hash: str | None = None
    train_file: Path  # JSONL of Example; of Pair or Rated for an alignment, and so is `validation_file`
    cold_file: Path | None = None  # rows to train on instead when `start_from` is an adapter of another base
    validation_file: Path
    start_from: Path | None = None  # adapter, or merged weights, to continue training from
    not_continued: str | None = None  # why production's version cannot be continued
    home: Path  # whose artefact store gets the checkpoints too
    checkpoints: Path  # kept from attempt to attempt; a training of other rows or settings removes what it finds there
    work: Path  # the process writes its result below this folder and nowhere else
    versions: Path  # finished versions are moved here, under their digest

    @property
    def points_file(self) -> Path:
        """Where the process notes its numbers step by step, a `Point` a line; an attempt after a kill appends to the same file."""
        return self.work / POINTS

    @property
    def parent(self) -> str | None:
        """The version whose weights the training continues from."""
        return self.start_from.parent.name if self.start_from else None

    @property
    def alignment(self) -> dict[str, Any] | None:
        """What the recipe of a version has besides that was trained on preferences."""
        align = self.align
        if align is None:
            return None
        rows = {"preferences_commit": self.preferences_commit, "preferences_hash": self.preferences_hash}
        return {"method": align.method, "beta": align.beta, "held_out": align.held_out, **rows}


class TrainingResult(BaseModel):
    """What a finished training reports; an exit code of 0 without it is a failure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str = Field(pattern=r"[0-9a-f]{64}")
    base_digest: str = Field(pattern=r"[0-9a-f]{64}")
    steps: int = Field(gt=0)
    rows: int = Field(gt=0)
    train_seconds: float
    tokens_per_second: float | None  # not known of a command of the user's
    trainable_parameters: int = Field(gt=0)
    first_loss: float
    last_loss: float
    validation_loss: float | None
    losses: list[tuple[int, float]]  # (step, training loss)
    validation_losses: list[tuple[int, float]] = []  # (step, loss)
    merged_agreement: float | None = None  # share of tokens that the merged copy finds as likely as the trained model
    left_out: dict[str, int] = {}  # rows of the split that were not trained on, by reason
    resumed_at: list[int] = []  # steps of the checkpoints it went on from
    start_from: str | None = None  # version whose weights training continued from
    lineage: str = "starts from the untuned base"

    @property
    def numbers(self) -> dict[str, float]:
        """What is known of the training, as people and the registry see it: seconds, losses in the objective's own unit."""
        names = (
            "rows", "steps", "train_seconds", "tokens_per_second", "trainable_parameters", "first_loss", "last_loss", "validation_loss",
            "merged_agreement",
        )  # fmt: skip
        return {name: value for name in names if (value := getattr(self, name)) is not None}
