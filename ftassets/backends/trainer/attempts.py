"""Going on with a training that was killed: from its checkpoint, with smaller batches when it did not come as far as one."""

from typing import Any

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.trainer.base import Trainer, TrainingKilled, TrainingTerminated
from ftassets.backends.trainer.stored_checkpoints import reached_step
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.domain.training.smaller_batch import smaller_batch

WITHOUT_PROGRESS = 3  # attempts in a row that end before a new checkpoint


def train_through(trainer: Trainer, job: TrainingJob, artifacts: Artifacts, context: Any) -> TrainingResult:
    """Train, again as often as the training gets further between two kills; `context` is the Dagster execution context.

    A process that was killed without getting further most likely ran out of memory, so the next one takes half the batch and twice
    the accumulation. Raises TrainingFailed.
    """
    left = WITHOUT_PROGRESS
    while True:
        before = reached_step(artifacts, job.loop, job.checkpoints)
        try:
            return trainer.train(job, context)
        except TrainingKilled as error:
            reached = reached_step(artifacts, job.loop, job.checkpoints)
            left = WITHOUT_PROGRESS if reached > before else left - 1
            if left == 0:
                raise
            if reached > before or isinstance(error, TrainingTerminated):
                goes_on = f"going on from step {reached}" if reached else "starting it again"
            elif (train := smaller_batch(job.train)) is None:
                raise
            else:
                job = job.model_copy(update={"train": train})
                goes_on = (
                    f"trying it with batch_size {train.batch_size} and gradient_accumulation_steps {train.gradient_accumulation_steps}"
                )
            context.log.warning(f"{error}. Now {goes_on}")
